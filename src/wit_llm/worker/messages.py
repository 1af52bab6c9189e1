"""What host and worker say to each other: fixed types, so that nothing a worker sends can become anything else."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import msgspec

from wit_llm import errors
from wit_llm.backends.base import GraphInfo, Progress, Signature, Target
from wit_llm.errors import BackendFailure, NNError, OperatorError, WitLLMError
from wit_llm.options import Decoding
from wit_llm.worker.allowance import Allowance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.tensor import NamedTensor


class Cargo:
    """Named tensors on their way; a type of its own, because the channel decides how their bytes travel."""

    __slots__ = ("tensors",)

    def __init__(self, tensors: Sequence[NamedTensor]) -> None:
        self.tensors = tuple(tensors)


class Load(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """The first message: the graph that this worker will hold."""

    backend: str
    folder: str
    target: Target
    settings: dict[str, str]
    signature: Signature = Signature()


class Compute(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """
    One stateless inference.

    Args:
        call: Its number.
        admitted: Its inputs.
        allowance: What it may take; none is all there is.
        scored_from: Tokens from this position on are scored, in the place of the graph's outputs; none is not.
    """

    call: int
    admitted: Cargo
    allowance: Allowance | None = None
    scored_from: int | None = None


class Generate(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """A request for tokens."""

    call: int
    admitted: Cargo
    decoding: Decoding


class Cancel(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """End a request for tokens; its last ``Progress`` says when its slot is free."""

    call: int


class Loaded(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """The answer to ``Load``."""

    info: GraphInfo


class Computed(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """The answer to ``Compute``."""

    call: int
    outputs: Cargo


class Accepted(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """
    A request for tokens has its place in the engine.

    Args:
        call: Its number.
        cached_tokens: As ``Generator.add`` says.
    """

    call: int
    cached_tokens: int | None = None


class Stepped(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """What one step did, for all requests."""

    progress: list[Progress]


class Failed(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """
    A call that came to nothing.

    Args:
        call: Its number; none is the loading itself.
        error: Name of a class in ``wit_llm.errors``.
        message: What it says.
        detail: The traceback, for the operator, where the message does not tell all.
    """

    call: int | None
    error: str
    message: str
    detail: str = ""

    def raised(self) -> WitLLMError:
        """The error as the worker meant it."""
        return _CLASSES.get(self.error, BackendFailure)(self.message)


ToWorker = Load | Compute | Generate | Cancel
ToHost = Loaded | Computed | Accepted | Stepped | Failed
WITH_CARGO = (Compute, Computed, Generate)

# Only what a backend may raise, and what one text can make again.
_CLASSES: dict[str, type[WitLLMError]] = {
    cls.__name__: cls
    for cls in (
        OperatorError,
        errors.InvalidArgument,
        errors.InvalidEncoding,
        errors.DeadlinePassed,
        errors.BackendFailure,
        errors.Unsupported,
        errors.NotPromptable,
        errors.TooLarge,
        errors.Busy,
    )
}


def failed(call: int | None, error: Exception) -> Failed:
    """
    The message of an error.

    Where nobody meant it, a guest is told its class alone; who loads a graph is told all.
    """
    name = type(error).__name__
    detail = "".join(traceback.format_exception(error))
    if name not in _CLASSES:
        if call is None:
            return Failed(call, OperatorError.__name__, f"the backend failed with {name}: {error}", detail)
        return Failed(call, BackendFailure.__name__, f"the backend failed with {name}", detail)
    translated = isinstance(error, NNError) and error.__cause__ is not None
    return Failed(call, name, str(error), detail if translated else "")
