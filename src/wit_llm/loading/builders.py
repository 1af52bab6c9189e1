"""What a guest hands to ``load``: builders, told apart by their content, and the files that a backend makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidEncoding
from wit_llm.loading.program import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_NET = re.compile(rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>)?\s*<net[\s>]")
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
# Fields of onnx.ModelProto; a graph is the one that no model is without.
_ONNX_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_ONNX_GRAPH = 7
# Where a model's data lie that is passed inside one process: OpenVINO reads memory at the address that the file says.
_ONNX_ADDRESS = b"_ORT_MEM_ADDR_"
_FIXED_BYTES = {1: 8, 5: 4}
_VARINT, _BYTES = 0, 2


class Encoding(Enum):
    """``wasi:nn/graph.graph-encoding``, in the order of the WIT."""

    OPENVINO = "openvino"
    ONNX = "onnx"
    TENSORFLOW = "tensorflow"
    PYTORCH = "pytorch"
    TENSORFLOWLITE = "tensorflowlite"
    GGML = "ggml"
    AUTODETECT = "autodetect"


@dataclass(frozen=True, slots=True)
class Files:
    """A graph's folder before it is written: whose it is, and the content of each file by its name."""

    backend: str
    contents: Mapping[str, bytes]


def read_builders(builders: Sequence[bytes], encoding: Encoding) -> Files:
    """
    Look at builders as at what their encoding says.

    Raises:
        InvalidEncoding: No backend reads the encoding, there are too few or too many, or they are something else.
    """
    if encoding is Encoding.AUTODETECT:
        encoding = _detected(builders)
    reader = _READERS.get(encoding)
    if reader is None:
        there = ", ".join(known.value for known in _READERS)
        raise InvalidEncoding(f"no backend of this host reads encoding {encoding.value}; it reads {there}")
    return reader(builders)


def _detected(builders: Sequence[bytes]) -> Encoding:
    first = builders[0] if builders else b""
    if _NET.match(first):
        return Encoding.OPENVINO
    if first.startswith(_ZIP):
        return Encoding.PYTORCH
    if _is_onnx(first):
        return Encoding.ONNX
    raise InvalidEncoding(
        f"neither an OpenVINO IR nor ONNX nor an archive of torch.export.save: the first builder {_beginning(first)}"
    )


def _openvino(builders: Sequence[bytes]) -> Files:
    _count(builders, "openvino", "two builders, the model's XML and its weights, or the XML alone", (1, 2))
    if not _NET.match(builders[0]):
        raise InvalidEncoding(f"the first builder of encoding openvino is the XML; it {_beginning(builders[0])}")
    return Files("openvino", dict(zip(("model.xml", "model.bin"), builders, strict=False)))


def _onnx(builders: Sequence[bytes]) -> Files:
    _count(builders, "onnx", "one builder, the model", (1,))
    if not _is_onnx(builders[0]):
        raise InvalidEncoding(f"the builder is no whole ONNX model; it {_beginning(builders[0])}")
    if _ONNX_ADDRESS in builders[0]:
        raise InvalidEncoding("the ONNX model names an address in memory as its data; put the data into the model")
    return Files("openvino", {"model.onnx": builders[0]})


def _pytorch(builders: Sequence[bytes]) -> Files:
    _count(builders, "pytorch", "one builder, an archive of torch.export.save", (1,))
    archive = builders[0]
    if archive.startswith(_PICKLE):
        raise InvalidEncoding("the builder is a pickle, which is code; make an archive with torch.export.save")
    if not archive.startswith(_ZIP):
        raise InvalidEncoding(f"the builder is no archive of torch.export.save; it {_beginning(archive)}")
    return Files("pytorch", {"model.pt2": rewritten(archive)})


_READERS: dict[Encoding, Callable[[Sequence[bytes]], Files]] = {
    Encoding.OPENVINO: _openvino,
    Encoding.ONNX: _onnx,
    Encoding.PYTORCH: _pytorch,
}


def _count(builders: Sequence[bytes], encoding: str, wanted: str, counts: tuple[int, ...]) -> None:
    if len(builders) not in counts:
        raise InvalidEncoding(f"encoding {encoding} takes {wanted}; got {len(builders)} builders")


def _beginning(builder: bytes) -> str:
    return f"begins with {builder[:8]!r}" if builder else "is empty"


# ---------------------------------------------------------------- protobuf


def _is_onnx(data: bytes) -> bool:
    """Whether these are the fields of a model, from the first byte to the last, and a graph is among them."""
    try:
        fields = set(_fields(data))
    except (IndexError, ValueError):
        return False
    return _ONNX_GRAPH in fields and fields <= _ONNX_FIELDS


def _fields(data: bytes) -> Iterator[int]:
    """
    The numbers of a message's fields.

    Raises:
        IndexError: It ends in the middle of a field.
        ValueError: A field of no known kind.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _BYTES:
            size, at = _varint(data, at)
            at += size
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise ValueError(f"kind {kind}")
        if at > len(data):
            raise IndexError(at)
        yield tag >> 3


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
