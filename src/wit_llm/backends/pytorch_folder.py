"""PyTorch: a transformers model as it lies on disk: safetensors only, whole, and no code of the folder's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import transformers

from wit_llm.backends.config import read_config
from wit_llm.backends.pytorch_linear import computes
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    from wit_llm.backends.config import ModelConfig


def model_config(folder: Path) -> ModelConfig:
    """
    What its ``config.json`` says.

    Raises:
        OperatorError: It cannot be read, or wants to run code.
    """
    config = read_config(folder)
    if config is None:
        raise OperatorError(f"{folder} has no config.json, which says what its weights are")
    # Many folders bring code for a family that transformers has learned since; that is passed over.
    if config.auto_map and config.model_type not in transformers.CONFIG_MAPPING:
        raise OperatorError(
            f"{folder} wants to run Python code of its own (auto_map in config.json), as transformers does not know "
            f"the family {config.model_type!r}; it never will"
        )
    return config


def read_model(
    auto_class: Any,  # noqa: ANN401 -- transformers has no type for its Auto classes
    folder: Path,
    dtype: torch.dtype | None,
    *,
    unused: str | None = None,
) -> transformers.PreTrainedModel:
    """
    Read a model, into the memory of the CPU.

    Args:
        auto_class: Of transformers: which kind of model.
        folder: Where it lies.
        dtype: Of its weights; none is as they are stored.
        unused: How names of weights begin that may be missing, because nothing that is computed needs them.

    Raises:
        OperatorError: It cannot be read, or not whole.
    """
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded = auto_class.from_pretrained(
            folder,
            dtype=dtype or "auto",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise OperatorError(f"{folder} cannot be read by transformers: {error}") from error
    model, report = cast("tuple[transformers.PreTrainedModel, dict[str, list[object]]]", loaded)
    # transformers fills what it does not find with random numbers.
    found_wrong = sorted(str(key) for key in (*report["missing_keys"], *report["mismatched_keys"]))
    wrong = [key for key in found_wrong if unused is None or not key.startswith(unused)]
    if wrong:
        raise OperatorError(
            f"the weights in {folder} lack {wrong[0]} and {len(wrong) - 1} more; the folder is not whole"
        )
    model.eval()  # type: ignore[no-untyped-call]
    return model


def fitting(config: ModelConfig, device: torch.device) -> torch.dtype:
    """
    The type in which arithmetic loses no bit of the weights and is fast.

    A CPU computes in bf16 up to twice as fast as in f32 where it has instructions for it, and slowly where it has not;
    in f16 it is slow. Where ``config.json`` does not say what the weights are, f32 has room for all of them.
    """
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(config.stored or "", torch.float32)
    fast = device.type != "cpu" or (dtype is torch.bfloat16 and computes(dtype))
    return dtype if fast else torch.float32
