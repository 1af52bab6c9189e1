"""A GGUF file of a transformers folder: ``python -m engines.write_gguf FOLDER FILE TYPE``; it has no vocabulary."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType

from wit_llm.weights import Weights

# Which matrices there are in a layer, and what GGUF calls them.
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def main() -> None:
    """Write it; the head is the vocabulary, as in all shapes here."""
    folder, path, named = Path(sys.argv[1]), Path(sys.argv[2]), GGMLQuantizationType[sys.argv[3]]
    config = json.loads((folder / "config.json").read_text())
    weights = Weights.open(*folder.glob("*.safetensors"))
    writer = gguf.GGUFWriter(path, config["model_type"])
    _write_head(writer, config)
    for name in weights.dimensions:
        ours, _, kind = name.rpartition(".")
        data = weights.f32(name)
        if config["model_type"] == "llama" and ours.endswith((".q_proj", ".k_proj")):
            heads = config["num_attention_heads" if ours.endswith(".q_proj") else "num_key_value_heads"]
            data = _paired(data, heads)
        stored = _stored_as(data, ours, named)
        writer.add_tensor(f"{_name(ours)}.{kind}", gguf.quants.quantize(data, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_head(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")


def _name(ours: str) -> str:
    if ours in _NAMES:
        return _NAMES[ours]
    number, _, place = ours.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.{_IN_LAYER[place]}"


def _stored_as(data: npt.NDArray[np.float32], ours: str, named: GGMLQuantizationType) -> GGMLQuantizationType:
    """Vectors stay in FP32, and beside matrices of four bits the vocabulary has eight, as with the other engines."""
    if data.ndim == 1:
        return GGMLQuantizationType.F32
    return GGMLQuantizationType.Q8_0 if named is GGMLQuantizationType.Q4_0 and ours in _NAMES else named


def _paired(data: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows in the order of llama.cpp, which rotates neighbours of a head where transformers rotates its halves."""
    by_half = data.reshape(heads, 2, -1, *data.shape[1:])  # [head, half, row of the half, ...]
    return np.ascontiguousarray(by_half.swapaxes(1, 2).reshape(data.shape))


if __name__ == "__main__":
    main()
