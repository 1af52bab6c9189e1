"""ONNX files, written without a library: as much of the format as a handful of nodes needs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wit_llm.tensor import TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from wit_llm.tensor import TensorSpec

_IR_VERSION = 8
_OPSET = 13

# Source: onnx.proto, TensorProto.DataType.
_TYPES = {
    TensorType.FP32: 1,
    TensorType.U8: 2,
    TensorType.I32: 6,
    TensorType.I64: 7,
    TensorType.FP16: 10,
    TensorType.FP64: 11,
    TensorType.BF16: 16,
}


class _Wire(Enum):
    """How a field of a protobuf message is written."""

    VARINT = 0
    BYTES = 2


def model(
    name: str,
    nodes: Sequence[bytes],
    constants: Sequence[bytes],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> bytes:
    """
    A file's content.

    Args:
        name: Of the graph.
        nodes: In an order in which they can be computed.
        constants: What ``constant`` makes.
        inputs: What the graph takes.
        outputs: What it gives.
    """
    parts = [
        *(_field(1, part) for part in nodes),
        _field(2, name),
        *(_field(5, part) for part in constants),
        *(_field(11, _value(spec)) for spec in inputs),
        *(_field(12, _value(spec)) for spec in outputs),
    ]
    return _field(1, _IR_VERSION) + _field(7, b"".join(parts)) + _field(8, _field(2, _OPSET))


def node(operator: str, inputs: str, outputs: str, attributes: Mapping[str, int] | None = None) -> bytes:
    """An operator on values, which are named in order with blanks between."""
    parts = [_field(1, word) for word in inputs.split()] + [_field(2, word) for word in outputs.split()]
    parts.append(_field(4, operator))
    # 2 is AttributeType.INT
    parts += [
        _field(5, _field(1, key) + _field(3, number) + _field(20, 2)) for key, number in (attributes or {}).items()
    ]
    return b"".join(parts)


def constant(name: str, ty: TensorType, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    """A value that the file brings."""
    dimensions = b"".join(_field(1, size) for size in array.shape)
    return dimensions + _field(2, _TYPES[ty]) + _field(8, name) + _field(9, array.tobytes())


def _value(spec: TensorSpec) -> bytes:
    """What goes in or comes out; an axis of any size has a name of its own."""
    axes = [
        _field(1, _field(2, f"{spec.name}_{axis}") if size is None else _field(1, size))
        for axis, size in enumerate(spec.dimensions or ())
    ]
    tensor = _field(1, _TYPES[spec.ty]) + _field(2, b"".join(axes))
    return _field(1, spec.name) + _field(2, _field(1, tensor))


def _field(number: int, content: bytes | str | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(content, int):
        return _varint(number << 3 | _Wire.VARINT.value) + _varint(content)
    data = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | _Wire.BYTES.value) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
