"""
No weights: tensors come back as they went in, and a prompt is answered with itself, token by token.

The conformance model of the wasi-nn working group, and the fake in the tests of everything above it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain, cycle
from typing import TYPE_CHECKING, Annotated

import msgspec

from wit_llm.backends.base import End, GraphInfo, Likelihood, Progress, Target, TextInfo
from wit_llm.backends.settings import parse
from wit_llm.errors import OperatorError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from wit_llm.backends.base import Signature
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted, NamedTensor


class Settings(msgspec.Struct, frozen=True):
    """
    What the operator may choose.

    Args:
        delay_ms: How long each step takes.
        window: Tokens of a prompt and its reply together.
        vocab_size: Token ids are below it; 262 are those of the embedded tokenizer.
        max_num_seqs: Requests at once; more than these wait.
    """

    delay_ms: Annotated[float, msgspec.Meta(ge=0)] = 0
    window: Annotated[int, msgspec.Meta(ge=1)] = 4096
    vocab_size: Annotated[int, msgspec.Meta(ge=1)] = 262
    max_num_seqs: Annotated[int, msgspec.Meta(ge=1)] = 64


def load(folder: Path, target: Target, settings: Mapping[str, str], signature: Signature) -> Echo:
    """
    Make the graph ready; nothing in the folder is looked at.

    Raises:
        OperatorError: As ``backends.table`` says.
    """
    if not folder.is_dir():
        raise OperatorError(f"a graph is a folder; {folder} is none")
    signature.refuse("an echo")
    if target is not Target.CPU:
        raise Unsupported(f"backend 'echo' runs on target cpu, not on {target.value}")
    return Echo(parse("echo", Settings, settings))


@dataclass(slots=True)
class _Live:
    """A request: its tokens still to come, how many may, and which ends it."""

    token_ids: Iterator[int]
    left: int
    stop_token_ids: tuple[int, ...]
    logprobs: bool

    def advance(self, request: int) -> Progress:
        """The next token, which is certain."""
        token_id = next(self.token_ids)
        self.left -= 1
        end = End.STOP if token_id in self.stop_token_ids else None if self.left else End.LENGTH
        return Progress(request, (token_id,), end, ((Likelihood(token_id, 0.0),),) if self.logprobs else ())


class Echo:
    """The graph."""

    def __init__(self, settings: Settings) -> None:
        self.info = GraphInfo((), (), TextInfo(settings.vocab_size, settings.window, max_logprobs=0), any_tensors=True)
        self.slots = settings.max_num_seqs
        self._delay_s = settings.delay_ms / 1e3
        self._live: dict[int, _Live] = {}
        self._cancelled: list[int] = []

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """The inputs."""
        return admitted.tensors

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> None:
        """
        Take up a request: the prompt's tokens, then the first stop token; without one, the prompt for ever.

        How to choose is all the same, as there is only one token to choose from.
        """
        prompt = memoryview(admitted["input_ids"].data).cast("q").tolist()
        stop = decoding.stop_token_ids
        token_ids = chain(prompt, stop[:1]) if stop else cycle(prompt)
        self._live[request] = _Live(token_ids, decoding.max_new_tokens, stop, decoding.logprobs is not None)

    def cancel(self, request: int) -> None:
        """End a request, as ``Generator`` says."""
        if self._live.pop(request, None):
            self._cancelled.append(request)

    def step(self) -> Sequence[Progress]:
        """One token of each live request."""
        if self._live and self._delay_s:
            time.sleep(self._delay_s)
        progress = [Progress(request, (), End.CANCELLED) for request in self._cancelled]
        progress += [live.advance(request) for request, live in self._live.items()]
        self._cancelled.clear()
        for one in progress:
            if one.end is not None:
                self._live.pop(one.request, None)
        return progress

    def reset(self) -> None:
        """Forget all requests."""
        self._live.clear()
        self._cancelled.clear()
