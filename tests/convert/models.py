"""Transformers folders of every family that is converted: small, random, with all that a family may have."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import torch
import transformers

from tests.contract.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path

_SIZES: dict[str, Any] = {
    "vocab_size": 640,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 192,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def configurations() -> dict[str, transformers.PreTrainedConfig]:
    """One of each kind, by name."""
    return {
        "llama": transformers.LlamaConfig(**_SIZES, rms_norm_eps=1e-5, tie_word_embeddings=True),
        "llama-with-biases": transformers.LlamaConfig(**_SIZES, attention_bias=True, mlp_bias=True),
        "llama-3.1": transformers.LlamaConfig(**_SIZES, rope_parameters=_LLAMA3),
        "llama-stretched": transformers.LlamaConfig(
            **_SIZES, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}
        ),
        "mistral": transformers.MistralConfig(**_SIZES, sliding_window=None, head_dim=48),
        "qwen2": transformers.Qwen2Config(**_SIZES, tie_word_embeddings=True),
        "qwen3": transformers.Qwen3Config(**_SIZES, head_dim=64, tie_word_embeddings=False),
        "one-cached-head": transformers.LlamaConfig(**{**_SIZES, "num_key_value_heads": 1}),
        "no-shared-heads": transformers.Qwen2Config(**{**_SIZES, "num_key_value_heads": 4}),
    }


def write(
    folder: Path, config: transformers.PreTrainedConfig, *, shard_size: str = "1GB"
) -> transformers.PreTrainedModel:
    """
    Save a model with tiny's tokenizer.

    Norms and biases are random too, so that one that is forgotten shows; weights are BF16, as people's are.
    """
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.normal_(1, 0.3)
            else:
                parameter.normal_(0, 0.5 if name.endswith("bias") else 0.08)
    model.save_pretrained(folder, max_shard_size=shard_size)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(TINY / name, folder)
    whole: transformers.PreTrainedModel = model.float().eval()
    return whole
