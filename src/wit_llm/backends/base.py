"""The seam: what a backend says of itself and what it can be asked, inside a worker process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import msgspec

from wit_llm.errors import OperatorError
from wit_llm.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.errors import NNError
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted, NamedTensor


class Target(Enum):
    """``wasi:nn/graph.execution-target``, in the order of the WIT."""

    CPU = "cpu"
    GPU = "gpu"
    TPU = "tpu"


@dataclass(frozen=True, slots=True)
class TextInfo:
    """
    What the door and the sessions have to know of a graph that reads tokens.

    Args:
        vocab_size: Token ids are 0 to ``vocab_size - 1``.
        context_window: Tokens the model can hold, prompt and reply together.
        scores: The backend is a ``Scorer``.
        max_logprobs: Rivals of a chosen token of which log-probabilities are known; none where not even its own is.
        constraints: A reply can be held to what an automaton says.
    """

    vocab_size: int
    context_window: int
    scores: bool = False
    max_logprobs: int | None = None
    constraints: bool = False


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """
    What a loaded graph takes and gives.

    Args:
        inputs: Each tensor that a compute must bring, and no other.
        outputs: Each tensor that a compute gives, in this order.
        text: Of a graph that generates tokens.
        any_tensors: Any names, types and dimensions go, in any number, and ``inputs`` says nothing.
        encodes: Of a graph that reads a text's tokens and gives a vector for each.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    text: TextInfo | None = None
    any_tensors: bool = False
    encodes: TextInfo | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """
    What the operator says that a graph takes and gives, for files that do not say it themselves.

    Args:
        inputs: In the order of the program's arguments.
        outputs: In the order of its results.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def refuse(self, files: str) -> None:
        """
        Say that ``files`` need none.

        Raises:
            OperatorError: There is one, which would be ignored.
        """
        if self.inputs or self.outputs:
            raise OperatorError(
                f"{files} says what it takes and gives; leave out [graphs.NAME.inputs] and [graphs.NAME.outputs]"
            )


class Likelihood(NamedTuple):
    """A token and the natural logarithm of its probability, as the model has it before a sampler changes that."""

    token_id: int
    logprob: float


class End(Enum):
    """Why an engine gave no more tokens."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


class Progress(msgspec.Struct, array_like=True, frozen=True):
    """
    What one step did for one request.

    Args:
        request: The host's number of the request.
        token_ids: Newly sampled, in order; with ``End.STOP`` the last one is the stop token.
        end: None while it goes on.
        logprobs: Where they were asked for, of each token: its own first, then those of its rivals, likeliest first.
    """

    request: int
    token_ids: tuple[int, ...]
    end: End | None = None
    logprobs: tuple[tuple[Likelihood, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A request that an engine gave up, alone."""

    request: int
    error: NNError


class Backend(Protocol):
    """A loaded graph."""

    @property
    def info(self) -> GraphInfo:
        """What it takes and gives, known without loading weights that only raw compute needs."""

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """
        One stateless inference: every output, in the model's order; their bytes are good until the next one.

        Raises:
            BackendFailure: The library failed on valid input.
            InvalidArgument: Dimensions that the model's own conditions exclude.
            TooLarge: There is no memory for it.
        """


@runtime_checkable
class Preparing(Protocol):
    """The power to put off what only raw compute needs; its memory is the graph's, and no compute's."""

    def prepare(self) -> None:
        """
        Do it, where it has not been done yet.

        Raises:
            BackendFailure: The library failed.
        """


@runtime_checkable
class Scorer(Protocol):
    """The power to tell how likely given tokens are, so that their logits need not leave the worker."""

    def score(self, admitted: Admitted, first: int) -> Sequence[NamedTensor]:
        """
        Natural logarithms of probabilities: one tensor, FP32 ``[rows, tokens - first]``.

        They are those of ``input_ids`` from position ``first`` on, each after all tokens before it in its row, and 0
        where ``attention_mask`` is 0, which is at the ends of rows. All rows begin with the same ``first`` tokens, of
        which there is one or more.

        Raises:
            BackendFailure: The library failed on valid input.
            TooLarge: There is no memory for it.
        """


@runtime_checkable
class Generator(Protocol):
    """The power to generate tokens, many requests at once; called from one thread, in a loop."""

    @property
    def slots(self) -> int:
        """Requests that may be live at once; the loop keeps more than these waiting."""

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> int | None:
        """
        Take up a request: ``input_ids`` I64 ``[1, tokens]``, ``attention_mask`` I64 ``[1, tokens]``.

        Returns:
            Prompt tokens whose state is there already, from requests of the same scope; none where that is not known.

        Raises:
            BackendFailure: The library refused it.
        """

    def cancel(self, request: int) -> None:
        """End a request: the next step frees its slot and says so; unknown numbers are ignored."""

    def step(self) -> Sequence[Progress | Lost]:
        """
        Advance every live request by about one token; returns at once where none is live.

        Raises:
            BackendFailure: All live requests are lost; ``reset`` comes next.
        """

    def reset(self) -> None:
        """Forget all requests and be as new, after ``step`` raised."""
