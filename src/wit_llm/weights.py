"""Weights in safetensors files, read one at a time and without an engine."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
import numpy as np

from wit_llm.errors import InvalidEncoding

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

# Source: "Format", github.com/huggingface/safetensors; bf16 is the upper half of f32, which numpy does not have.
_DTYPES = {name: np.dtype(code) for name, code in {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}.items()}
_MOST_HEAD_BYTES = 100_000_000
_HEAD_BYTES = struct.Struct("<Q")

_Natural = Annotated[int, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[_Natural, ...]
    data_offsets: tuple[_Natural, _Natural]


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    dtype: str
    dimensions: tuple[int, ...]
    offset: int


class Weights:
    """
    Weights by name, of one file or of many.

    Args:
        places: Where each lies.
    """

    def __init__(self, places: dict[str, _Place]) -> None:
        self._places = places

    @classmethod
    def open(cls, *paths: Path) -> Self:
        """
        Read what the files say of themselves.

        Raises:
            InvalidEncoding: One is no safetensors file or cut off, or has weights of a type that is not read; the
                message begins with the file's name, without its folder.
        """
        places: dict[str, _Place] = {}
        for path in paths:
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
        """A weight of the name; what FP64 has beyond FP32 becomes infinity."""
        place = self._places[name]
        dtype, count = _DTYPES[place.dtype], prod(place.dimensions)
        raw: npt.NDArray[Any] = np.fromfile(place.path, dtype, count, offset=place.offset).reshape(place.dimensions)
        if place.dtype == "BF16":
            return (raw.astype("<u4") << 16).view("<f4")
        with np.errstate(over="ignore"):
            return raw.astype("<f4", copy=False)


def _places(path: Path) -> dict[str, _Place]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (head_bytes,) = _HEAD_BYTES.unpack(file.read(_HEAD_BYTES.size))
            if head_bytes > min(size, _MOST_HEAD_BYTES):
                raise InvalidEncoding(f"{path.name} is cut off or no safetensors file")
            head = msgspec.json.decode(file.read(head_bytes), type=dict[str, msgspec.Raw])
            entries = {n: msgspec.json.decode(raw, type=_Entry) for n, raw in head.items() if n != "__metadata__"}
    except (struct.error, msgspec.DecodeError) as error:
        raise InvalidEncoding(f"{path.name} is cut off or no safetensors file: {error}") from error
    data = _HEAD_BYTES.size + head_bytes
    places = {}
    for name, entry in entries.items():
        if entry.dtype not in _DTYPES:
            raise InvalidEncoding(f"{path.name}: weight {name} has type {entry.dtype}; {', '.join(_DTYPES)} are read")
        begin, end = entry.data_offsets
        if end - begin != prod(entry.shape) * _DTYPES[entry.dtype].itemsize or data + end > size:
            raise InvalidEncoding(f"{path.name} is cut off or broken: weight {name} is not whole")
        places[name] = _Place(path, entry.dtype, entry.shape, data + begin)
    return places
