"""How tests ask an engine: tensors of token ids, and a listener that remembers."""

from __future__ import annotations

import threading
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from wit_llm.options import Decoding
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.backends.base import End, Likelihood
    from wit_llm.errors import NNError
    from wit_llm.worker.client import Engine, Request

SOON_S = 30


class Heard:
    """A listener that keeps all that it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.cached_tokens: int | None = None
        self.token_ids: list[int] = []
        self.logprobs: list[Sequence[Likelihood]] = []
        self.end: End | None = None
        self.error: NNError | None = None
        self.begun = threading.Event()
        self.first = threading.Event()
        self._over = threading.Event()
        self.times_ns: list[int] = []

    def accepted(self, at_ns: int, cached_tokens: int | None = None) -> None:
        """Remember that it has begun."""
        self.times_ns.append(at_ns)
        self.cached_tokens = cached_tokens
        self.begun.set()

    def tokens(
        self, token_ids: Sequence[int], end: End | None, at_ns: int, logprobs: Sequence[Sequence[Likelihood]] = ()
    ) -> None:
        """Remember tokens, and the end."""
        self.token_ids += token_ids
        self.logprobs += logprobs
        self.times_ns.append(at_ns)
        if token_ids:
            self.first.set()
        if end is not None:
            self.end = end
            self._over.set()

    def failed(self, error: NNError) -> None:
        """Remember the failure."""
        self.error = error
        self._over.set()

    def wait(self) -> Heard:
        """All that there was to hear."""
        assert self._over.wait(SOON_S), "neither an end nor a failure came"
        return self


def open_descriptors(process: int | str = "self", hoped: int | None = None) -> int:
    """
    How many descriptors a process has open.

    Waits a while for as few as are hoped for: a worker closes the memory that it has sent when the host may have read
    it already.
    """
    until = time.monotonic() + SOON_S
    while True:
        count = len(list(Path(f"/proc/{process}/fd").iterdir()))
        if hoped is None or count <= hoped or time.monotonic() > until:
            return count
        time.sleep(0.02)


def prompt(engine: Engine, token_ids: Sequence[int]) -> Admitted:
    """The tensors of a prompt, as the graph declares them."""
    rows = {"input_ids": token_ids, "attention_mask": [1] * len(token_ids), "position_ids": range(len(token_ids))}
    names = [spec.name for spec in engine.info.inputs] or ["input_ids"]
    return Admitted(tuple(row(name, rows[name]) for name in names))


def row(name: str, values: Sequence[int]) -> NamedTensor:
    """I64 ``[1, values]``."""
    return NamedTensor(name, Tensor((1, len(values)), TensorType.I64, array("q", values).tobytes()))


def ask(engine: Engine, token_ids: Sequence[int], decoding: Decoding) -> tuple[Heard, Request]:
    """Begin to generate."""
    heard = Heard()
    return heard, engine.generate(prompt(engine, token_ids), decoding, heard)


def generate(engine: Engine, token_ids: Sequence[int], decoding: Decoding) -> tuple[list[int], End | None]:
    """Generate to the end."""
    heard = ask(engine, token_ids, decoding)[0].wait()
    if heard.error is not None:
        raise heard.error
    return heard.token_ids, heard.end
