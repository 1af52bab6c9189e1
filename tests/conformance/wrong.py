"""
What a wrong host does in the place of the right thing; each function stands for one of the WIT.

A function that has to remember something is made anew by a function of its own.
"""

# ruff: noqa: ARG001 -- a signature is the WIT's

from __future__ import annotations

import array
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from wit_llm.backends.base import Target
from wit_llm.conformance.suite import MODELS
from wit_llm.errors import (
    BackendFailure,
    ErrorCode,
    InvalidArgument,
    NNError,
    NotFound,
    QuotaExceeded,
    QuotaKind,
)
from wit_llm.graph import ExecutionContext
from wit_llm.loading.builders import Encoding
from wit_llm.options import ByPreset, Options, Preset
from wit_llm.registry import Loaded
from wit_llm.tensor import NamedTensor, Tensor, TensorType
from wit_llm.text.generation import Generation
from wit_llm.text.message import Fragment, Reply, Say, Setup, Turn
from wit_llm.text.session import Session
from wit_llm.wasm.guest import Guest

Functions = Mapping[str, Callable[..., object]]

COMPUTE = "[method]graph-execution-context.compute"


# ---------------------------------------------------------------- tensors


def one_byte_more(guest: Guest, tensor: Tensor) -> bytes:
    """A byte too many."""
    return bytes(tensor.data) + b"\0"


def quiet_nans(guest: Guest, tensor: Tensor) -> bytes:
    """What a float unit makes of a signalling NaN on the way."""
    data = bytearray(tensor.data)
    quiet = {
        TensorType.FP16: (2, 1, 2),
        TensorType.FP32: (4, 2, 0x40),
        TensorType.FP64: (8, 6, 8),
        TensorType.BF16: (2, 0, 0x40),
    }
    if tensor.ty in quiet:
        size, at, bit = quiet[tensor.ty]
        data[-size + at] |= bit
    return bytes(data)


def saturated(guest: Guest, tensor: Tensor) -> bytes:
    """No number below 0, and none over 127 in a byte."""
    return bytes(byte & 0x7F for byte in tensor.data)


def padded(guest: Guest, dimensions: tuple[int, ...], ty: TensorType, data: bytes) -> Tensor:
    """Zeros for what is missing."""
    return Tensor(dimensions, ty, data.ljust(min(math.prod(dimensions) * ty.itemsize, 4096), b"\0"))


def cut(guest: Guest, dimensions: tuple[int, ...], ty: TensorType, data: bytes) -> Tensor:
    """What is too much is left out."""
    return Tensor(dimensions, ty, data[: math.prod(dimensions) * ty.itemsize])


def at_most_16(guest: Guest, tensor: Tensor) -> tuple[int, ...]:
    """No more than 16 dimensions."""
    return tensor.dimensions[:16]


# ---------------------------------------------------------------- compute


def _compute(context: ExecutionContext, inputs: Sequence[NamedTensor]) -> tuple[NamedTensor, ...]:
    return context.compute(inputs)


def never_refused(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """No outputs for what is refused."""
    try:
        return _compute(context, inputs)
    except NNError:
        return ()


def wrapped(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """The product of dimensions in 64 bits."""
    for named in inputs:
        if named.tensor.elements * named.tensor.ty.itemsize % 2**64 == named.tensor.data_bytes:
            return tuple(NamedTensor("y", named.tensor) for named in inputs)
    return _compute(context, inputs)


def as_bytes(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """A tensor is its bytes, whatever its type and rank."""
    if [named.name for named in inputs] == ["a", "b"]:
        inputs = tuple(
            replace(n, tensor=Tensor((4,), TensorType.FP32, bytes(n.tensor.data).ljust(16)[:16])) for n in inputs
        )
    return _compute(context, inputs)


def swapped(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """The last output first."""
    return _compute(context, inputs)[::-1]


def by_place(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """Inputs count by their place."""
    if {named.name for named in inputs} == {"left", "right"}:
        inputs = tuple(map(NamedTensor, ("left", "right"), (named.tensor for named in inputs)))
    return _compute(context, inputs)


def numbered(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """Outputs are called 0, 1 and so on."""
    return tuple(NamedTensor(str(i), out.tensor) for i, out in enumerate(_compute(context, inputs)))


def known_names(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """Unknown names are left out, and of two the last one counts."""
    known = {named.name: named for named in inputs if named.name in {"a", "b", "x"}}
    return _compute(context, tuple(known.values()))


def remembering() -> Functions:
    """What is missing is what was there before, whoever sent it."""
    before: dict[str, NamedTensor] = {}

    def compute(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
        given = {named.name: named for named in inputs}
        if not set(given) - {"a", "b"}:
            given = before | given
        outputs = _compute(context, tuple(given.values()))
        before.update(given)
        return outputs

    return {COMPUTE: compute}


def narrow(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """I64 in 32 bits."""

    def cut(tensor: Tensor) -> Tensor:
        data = bytearray(tensor.data)
        for at in range(4, len(data), 8):
            data[at : at + 4] = b"\xff" * 4 if data[at - 1] & 0x80 else bytes(4)
        return replace(tensor, data=bytes(data))

    return _compute(
        context, [NamedTensor(n.name, cut(n.tensor) if n.tensor.ty is TensorType.I64 else n.tensor) for n in inputs]
    )


def stale() -> Functions:
    """Now and then the answer of the compute before."""
    count = itertools.count()
    last: dict[int, tuple[NamedTensor, ...]] = {}

    def compute(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
        outputs = _compute(context, inputs)
        outputs = last[0] if next(count) % 100 == 99 else outputs
        last[0] = outputs
        return outputs

    return {COMPUTE: compute}


def off(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """A bit of each FP32 element is the other way round."""
    return _flipped(_compute(context, inputs), 2)


def _flipped(outputs: Sequence[NamedTensor], byte: int) -> tuple[NamedTensor, ...]:
    """The highest bit of one byte of each FP32 element turned round."""

    def flip(tensor: Tensor) -> Tensor:
        data = bytes(value ^ 0x80 if at % 4 == byte else value for at, value in enumerate(tensor.data))
        return replace(tensor, data=data) if tensor.ty is TensorType.FP32 else tensor

    return tuple(replace(named, tensor=flip(named.tensor)) for named in outputs)


def dies_with_its_graph(
    guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]
) -> tuple[NamedTensor, ...]:
    """No compute without a graph."""
    if not guest.handles.of(Loaded):
        raise BackendFailure("the graph is gone")
    return _compute(context, inputs)


def dead_after_failure() -> Functions:
    """A context that has refused once refuses for ever."""
    broken: set[int] = set()

    def compute(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
        try:
            if id(context) in broken:
                raise InvalidArgument("broken")
            return _compute(context, inputs)
        except NNError:
            broken.add(id(context))
            raise

    return {COMPUTE: compute}


def data_dies_with_context(guest: Guest, tensor: Tensor) -> bytes:
    """No data without a context."""
    return bytes(tensor.data) if guest.handles.of(ExecutionContext) else b""


# ---------------------------------------------------------------- errors


def wrong_code(guest: Guest, error: NNError) -> ErrorCode:
    """Every error is one."""
    return ErrorCode.UNKNOWN


def wordless(guest: Guest, error: NNError) -> str:
    """Errors say nothing."""
    return ""


def talkative(guest: Guest, error: NNError) -> str:
    """Errors show a path."""
    return f"{error} (see {MODELS}/add)"


def words_die_with_graph(guest: Guest, error: NNError) -> str:
    """No words without a graph."""
    return str(error) if guest.handles.of(Loaded) else "(gone)"


def leaking(guest: Guest, error: NNError) -> ErrorCode:
    """Something stays behind for each error."""
    guest.handles.push(NNError())
    return error.code


# ---------------------------------------------------------------- graphs


def any_name(guest: Guest, name: str) -> Loaded:
    """The first graph where there is none of that name."""
    try:
        return guest.registry.load(name)
    except NotFound:
        return guest.registry.load("numbers")


def tells_what_there_is(guest: Guest, name: str) -> Loaded:
    """Another text for a name that exists."""
    if name == "tiny":
        raise NotFound("'tiny' is there, and not for you")
    return guest.registry.load(name)


def no_types(guest: Guest, name: str) -> Loaded:
    """What is missing is broken."""
    if name.startswith("echo"):
        raise BackendFailure("something went wrong")
    return guest.registry.load(name)


def always(graph: str) -> Functions:
    """Whatever the bytes are, they are this graph."""

    def load(guest: Guest, builder: tuple[bytes, ...], encoding: Encoding, target: Target) -> Loaded:
        return guest.registry.load(graph)

    return {"load": load}


def runs_out() -> Functions:
    """Three graphs from bytes, and then none ever."""
    count = itertools.count()

    def load(guest: Guest, builder: tuple[bytes, ...], encoding: Encoding, target: Target) -> Loaded:
        if next(count) > 2:
            raise InvalidArgument("that was enough")
        return guest.registry.load("numbers")

    return {"load": load}


# ---------------------------------------------------------------- text


def any_graph(guest: Guest, graph: Loaded, setup: Setup) -> Session:
    """Every graph can be prompted."""
    return Session(guest.registry.load("tiny").model, setup, guest.bell, guest.limits)


def no_empty(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    """Nothing to say breaks the backend."""
    if turn == Say(""):
        raise BackendFailure("there is nothing to say")
    return session.ask(turn, options)


def short_prompts(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    """A prompt is cut so that it fits."""
    return session.ask(Say(turn.text[:500]) if isinstance(turn, Say) else turn, options)


def no_long_prompts(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    """A million bytes break the backend."""
    if isinstance(turn, Say) and len(turn.text) > 1_000_000:
        raise BackendFailure("something went wrong")
    return session.ask(turn, options)


def sessions_run_out() -> Functions:
    """Ten sessions, and then none ever."""
    count = itertools.count()

    def open_(guest: Guest, graph: Loaded, setup: Setup) -> Session:
        if next(count) > 9:
            raise QuotaExceeded(QuotaKind.SESSIONS, 10)
        return Session(graph.model, setup, guest.bell, guest.limits)

    return {"[static]session.open": open_}


def default_options(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    """Options are not looked at."""
    return session.ask(turn, None)


def moody() -> Functions:
    """Never the same answer twice."""
    count = itertools.count()

    def ask(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
        reply = session.ask(turn, options)
        return replace(reply, text=f"{reply.text}{next(count) or ''}")

    return {"[method]session.ask": ask}


def forgetful(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    """Every turn is the first."""
    session.rewind(0)
    return session.ask(turn, options)


def honours_control_text(guest: Guest, session: Session, turn: Turn, options: Options | None) -> int:
    """Never more than nine tokens."""
    return min(session.measure(turn, options), 9)


def only_ascii(guest: Guest, generation: Generation) -> Fragment:
    """A question mark for every other character."""
    fragment = generation.next_text()
    return replace(fragment, text=fragment.text.encode("ascii", "replace").decode())


def keeps_dropped(guest: Guest, session: Session) -> int:
    """Two messages, whatever was dropped."""
    return 2


def turned_round(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """The least likely token is the likeliest."""
    return _flipped(_compute(context, inputs), 3)


def shifted(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """Each logit is 20 more, of which no probability knows."""

    def shift(tensor: Tensor) -> Tensor:
        values = array.array("f", bytes(tensor.data))
        return replace(tensor, data=array.array("f", [value + 20 for value in values]).tobytes())

    outputs = _compute(context, inputs)
    return tuple(replace(n, tensor=shift(n.tensor)) if n.tensor.ty is TensorType.FP32 else n for n in outputs)


def no_penalties(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    """Every sampler is greedy, and nothing else."""
    return session.ask(turn, replace(options, sampling=ByPreset(Preset.DETERMINISTIC)) if options else None)


def other_words(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    """A prompt over tensors has no template."""
    if inputs[0].name == "prompt":
        inputs = (NamedTensor("prompt", Tensor((6,), TensorType.U8, b"Hello!")),)
    return _compute(context, inputs)
