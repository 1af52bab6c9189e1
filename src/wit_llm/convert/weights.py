"""Weights in safetensors files, read one at a time and without a library of tensors."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np

from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

# Source: "Format", github.com/huggingface/safetensors; bf16 is the upper half of f32, which numpy does not have.
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_MOST_HEAD_BYTES = 100_000_000
_MOST = float(np.finfo(np.float16).max)


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    dtype: str
    dimensions: tuple[int, ...]
    offset: int


class Weights:
    """
    The weights of a transformers folder by name, of one file or of many.

    Args:
        places: Where each lies.
    """

    def __init__(self, places: dict[str, _Place]) -> None:
        self._places = places

    @classmethod
    def open(cls, folder: Path) -> Self:
        """
        Read what the files say of themselves.

        Raises:
            OperatorError: A file is no safetensors file or cut off, or has weights of a type that is not read.
        """
        places: dict[str, _Place] = {}
        for path in sorted(folder.glob("*.safetensors")):
            places |= _places(path)
        return cls(places)

    @property
    def dimensions(self) -> dict[str, tuple[int, ...]]:
        """Of every weight, outermost first."""
        return {name: place.dimensions for name, place in self._places.items()}

    @property
    def parameters(self) -> int:
        """How many numbers there are."""
        return sum(prod(place.dimensions) for place in self._places.values())

    def f32(self, name: str) -> npt.NDArray[np.float32]:
        """
        A weight.

        Raises:
            OperatorError: A number is too large for FP16, which it may be stored as, or is none.
        """
        values = self._f32(self._places[name])
        # Comparing finds NaN, too.
        if not max(values.max(initial=0), -values.min(initial=0)) <= _MOST:
            raise OperatorError(f"weight {name} has numbers beyond 65504 or none at all, which FP16 does not hold")
        return values

    @staticmethod
    def _f32(place: _Place) -> npt.NDArray[np.float32]:
        raw: npt.NDArray[Any] = np.memmap(place.path, _DTYPES[place.dtype], "r", place.offset, place.dimensions)
        if place.dtype == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32)


def _places(path: Path) -> dict[str, _Place]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (head_bytes,) = struct.unpack("<Q", file.read(8))
            if head_bytes > min(size, _MOST_HEAD_BYTES):
                raise OperatorError(f"{path} is cut off or no safetensors file")
            head = msgspec.json.decode(file.read(head_bytes), type=dict[str, msgspec.Raw])
            entries = {n: msgspec.json.decode(raw, type=_Entry) for n, raw in head.items() if n != "__metadata__"}
    except (struct.error, msgspec.DecodeError) as error:
        raise OperatorError(f"{path} is cut off or no safetensors file: {error}") from error
    places = {}
    for name, entry in entries.items():
        if entry.dtype not in _DTYPES:
            raise OperatorError(f"weight {name} of {path} has type {entry.dtype}; {', '.join(_DTYPES)} are converted")
        begin, end = entry.data_offsets
        if end - begin != prod(entry.shape) * _DTYPES[entry.dtype].itemsize or 8 + head_bytes + end > size:
            raise OperatorError(f"{path} is cut off or broken: weight {name} is not whole")
        places[name] = _Place(path, entry.dtype, entry.shape, 8 + head_bytes + begin)
    return places
