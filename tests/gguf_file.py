"""GGUF files, written without a library: any metadata and tensors, and the embedded model ``tiny``."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALIGNMENT = 32
F32, F16 = 0, 1
# What tiny's tensors are called there.
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_OF_A_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}

Value = str | int | float | list[str] | list[int]
Values = np.ndarray[tuple[int, ...], np.dtype[np.float16]]


class Packed(NamedTuple):
    """A tensor as it lies in the file: its sizes, innermost first, its type's number, its bytes."""

    sizes: tuple[int, ...]
    kind: int
    data: bytes


def write(path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, Packed]) -> None:
    """Write a file of version 3."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _string(key) + _value(value)
    at = 0
    for name, tensor in tensors.items():
        head += _string(name) + struct.pack(
            f"<I{len(tensor.sizes)}QIQ", len(tensor.sizes), *tensor.sizes, tensor.kind, at
        )
        at += _padded(len(tensor.data))
    body = b"".join(tensor.data.ljust(_padded(len(tensor.data)), b"\0") for tensor in tensors.values())
    path.write_bytes(head.ljust(_padded(len(head)), b"\0") + body)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    match value:
        case str():
            return struct.pack("<I", 8) + _string(value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(str(text)) for text in value)
        case _:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def tiny(folder: Path) -> tuple[dict[str, Value], dict[str, Packed]]:
    """
    Metadata and tensors of ``tiny``, as llama.cpp's own script writes a Llama.

    Args:
        folder: Where tiny lies.
    """
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    control = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    by_id = {token_id: text for text, token_id in (tokenizer["model"]["vocab"] | control).items()}
    heads = {"self_attn.q_proj": config["num_attention_heads"], "self_attn.k_proj": config["num_key_value_heads"]}
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "general.file_type": 1,
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.block_count": config["num_hidden_layers"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": config["num_attention_heads"],
        "llama.attention.head_count_kv": config["num_key_value_heads"],
        "llama.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "llama.rope.dimension_count": config["head_dim"],
        "llama.rope.freq_base": config["rope_parameters"]["rope_theta"],
        "llama.vocab_size": config["vocab_size"],
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [by_id.get(number, f"[PAD{number}]") for number in range(config["vocab_size"])],
        "tokenizer.ggml.token_type": [3 if by_id.get(n) in control else 1 for n in range(config["vocab_size"])],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in tokenizer["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": config["bos_token_id"],
        "tokenizer.ggml.eos_token_id": config["eos_token_id"],
        "tokenizer.chat_template": (folder / "chat_template.jinja").read_text(),
    }
    tensors = {}
    for name, values in load_file(folder / "model.safetensors").items():
        stem = name.removesuffix(".weight")
        if stem in _WHOLE:
            tensors[f"{_WHOLE[stem]}.weight"] = _packed(values)
            continue
        _, _, layer, part = stem.split(".", 3)
        packed = _packed(_paired(values, heads[part]) if part in heads else values)
        tensors[f"blk.{layer}.{_OF_A_LAYER[part]}.weight"] = packed
    return metadata, tensors


def _paired(rows: Values, heads: int) -> Values:
    """Rows of a projection whose rotated pairs lie side by side, as there, and not half a head apart."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _packed(values: Values) -> Packed:
    if values.ndim == 1:
        return Packed(values.shape, F32, values.astype(np.float32).tobytes())
    return Packed(values.shape[::-1], F16, values.astype(np.float16).tobytes())
