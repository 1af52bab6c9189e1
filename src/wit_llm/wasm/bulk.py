"""``wit-llm:nn/bulk``: tensors in 64-bit words, eight bytes an element of the list that crosses the wall."""

from __future__ import annotations

from wit_llm.errors import InvalidArgument, TooLarge
from wit_llm.tensor import Tensor, TensorType
from wit_llm.wasm.guest import AXIS_BYTES, Guest
from wit_llm.wasm.linking import Interface

WORD = 8


class Builder:
    """``wit-llm:nn/bulk.builder``: collects a tensor's bytes, in order."""

    def __init__(self, dimensions: tuple[int, ...], ty: TensorType) -> None:
        self.dimensions = dimensions
        self.ty = ty
        self.data: bytearray | None = bytearray()

    @property
    def wanted(self) -> int:
        """Bytes of the whole tensor."""
        return Tensor(self.dimensions, self.ty, b"").elements * self.ty.itemsize

    @property
    def held_bytes(self) -> int:
        """What it takes of the host's memory."""
        return len(self.data or b"") + AXIS_BYTES * len(self.dimensions)

    def collected(self) -> bytearray:
        """
        The bytes so far.

        Raises:
            InvalidArgument: The builder is spent.
        """
        if self.data is None:
            raise InvalidArgument("the builder has finished its tensor; make another")
        return self.data


BULK = Interface("wit-llm:nn/bulk@0.1.0", {"builder": Builder})


@BULK.func("[constructor]builder")
def _new(guest: Guest, dimensions: tuple[int, ...], ty: TensorType) -> Builder:
    return Builder(dimensions, ty)


@BULK.func("[method]builder.append")
def _append(guest: Guest, builder: Builder, words: memoryview) -> None:
    _check_rank(guest, builder)
    data = builder.collected()
    room = builder.wanted - len(data)
    if len(words) * WORD >= room + WORD:
        raise InvalidArgument(f"{len(words) * WORD} bytes go past the end: {room} of {builder.wanted} are missing")
    if builder.wanted > guest.limits.tensor_bytes:
        raise TooLarge(f"a tensor of {builder.wanted} bytes; at most {guest.limits.tensor_bytes} go in")
    piece = words.cast("B")[:room]
    if any(words.cast("B")[room:]):
        raise InvalidArgument("the padding of the last word is not zero")
    _check_held(guest, len(piece))
    data += piece


def _check_rank(guest: Guest, builder: Builder) -> None:
    """
    Look at the number of axes before they are multiplied: a hundred thousand of them would take seconds.

    Raises:
        InvalidArgument: There are more than a tensor may have.
    """
    if len(builder.dimensions) > guest.limits.rank:
        raise InvalidArgument(f"a tensor of {len(builder.dimensions)} dimensions; at most {guest.limits.rank} go in")


def _check_held(guest: Guest, more_bytes: int) -> None:
    """
    Count what lies in builders with the tensors that it is to become.

    Raises:
        TooLarge: The guest would hold more than it may.
    """
    building = sum(builder.held_bytes for builder in guest.handles.of(Builder))
    if guest.handles.held_bytes + building + more_bytes > guest.limits.held_bytes:
        raise TooLarge(f"a guest holds at most {guest.limits.held_bytes} bytes of tensors: drop some")


@BULK.func("[method]builder.finish")
def _finish(guest: Guest, builder: Builder) -> Tensor:
    _check_rank(guest, builder)
    data = builder.collected()
    if len(data) != builder.wanted:
        raise InvalidArgument(f"{builder.wanted - len(data)} of {builder.wanted} bytes are missing")
    builder.data = None
    return Tensor(builder.dimensions, builder.ty, memoryview(data).toreadonly())


@BULK.func("read")
def _read(guest: Guest, tensor: Tensor, offset: int, count: int) -> memoryview:
    data = memoryview(tensor.data)[offset * WORD : (offset + count) * WORD]
    padding = -len(data) % WORD
    return (memoryview(data.tobytes() + bytes(padding)) if padding else data.cast("B")).cast("Q")
