"""Weights of a small layer, read where no engine is."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from wit_llm.errors import InvalidEncoding

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_HEADER = struct.Struct("<Q")
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_weights(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """
    The tensors of a safetensors file, as FP32.

    Raises:
        InvalidEncoding: It is something else, or has elements that are no numbers of 16 bits and more.

    Source: "Format" in the README of github.com/huggingface/safetensors.
    """
    try:
        content = path.read_bytes()
        (size,) = _HEADER.unpack_from(content)
        header: dict[str, dict[str, Any]] = json.loads(content[_HEADER.size : _HEADER.size + size])
        header.pop("__metadata__", None)
        return {name: _tensor(content[_HEADER.size + size :], **told) for name, told in header.items()}
    except FileNotFoundError:
        raise InvalidEncoding(f"{path.parent.name} has no {path.name}") from None
    except (ValueError, TypeError, KeyError, AttributeError, struct.error) as exc:
        raise InvalidEncoding(f"{path.parent.name}/{path.name} is no safetensors file: {exc}") from exc


def _tensor(data: bytes, dtype: str, shape: list[int], data_offsets: list[int]) -> npt.NDArray[np.float32]:
    start, end = data_offsets
    elements = np.frombuffer(data[start:end], _DTYPES[dtype], math.prod(shape)).reshape(shape)
    # bf16 is the upper half of FP32.
    return (elements.astype("<u4") << 16).view("<f4") if dtype == "BF16" else elements.astype("<f4")
