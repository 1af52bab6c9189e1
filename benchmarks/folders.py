"""Model folders that more than one benchmark measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measure import BENCH

from wit_llm.backends.config import read_config

if TYPE_CHECKING:
    from pathlib import Path


def random_ir() -> Path:
    """The 135M shape as an fp16 IR, made in a minute unless it is there."""
    folder = BENCH / "random-llama-135m"
    if not folder.exists():
        from random_llama import make  # which imports torch

        make(folder)
    return folder


def random_source() -> Path:
    """The 135M shape as transformers has it, made in a minute unless it is there."""
    from random_llama import make_source  # which imports torch

    return make_source(BENCH / "random-llama-135m-transformers")


def folders_by_backend(model: Path | None) -> dict[str, Path]:
    """What both backends load: one folder that has IR and safetensors, or the 135M shape for each."""
    if model is not None:
        return {"openvino": model, "pytorch": model}
    return {"openvino": random_ir(), "pytorch": random_source()}


def read_vocab_size(folder: Path) -> int:
    """How many tokens the model has."""
    config = read_config(folder)
    if config is None:
        raise SystemExit(f"error: {folder} has no config.json")
    return config.text_info().vocab_size
