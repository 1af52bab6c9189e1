"""
Who asks: clients that each have their requests answered one after the other, all at once, in two ways.

Through guests, each client is the packaged benchmark guest; without, it is a thread that does the same with a session
of the host's. Both write down the same times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder, encode

from wit_llm.bell import Bell
from wit_llm.bench.load import Request
from wit_llm.errors import BackendFailure, NNError
from wit_llm.host import Host
from wit_llm.limits import Limits
from wit_llm.registry import Loaded
from wit_llm.text.message import Setup
from wit_llm.text.session import Session
from wit_llm.wasm.stdio import Captured

GUEST = Path(__file__).parents[1] / "embedded" / "bench" / "bench.wasm"


class Reply(Struct, frozen=True, kw_only=True, tag="reply"):
    """
    What came of a request; microseconds, after the start of all or after the request was due.

    Args:
        id: The request's.
        sent_us: When it was sent, after the start of all.
        ttft_us: Until the first text was there, after the request was sent, or after it was due.
        e2el_us: The same until the end.
        itl_us: Between one piece of text and the next.
        prompt_tokens: With the template's.
        generated_tokens: The end token too.
        reason: Why it ended.
        text: All of it.
        met: Whether it is what was expected; unset where nothing was.
    """

    id: str
    sent_us: int
    ttft_us: int
    e2el_us: int
    itl_us: tuple[int, ...]
    prompt_tokens: int
    generated_tokens: int
    reason: str
    text: str
    met: bool | UnsetType = UNSET


class Failure(Struct, frozen=True, tag="failure"):
    """A request that came to an error."""

    id: str
    sent_us: int
    error: str


class Summary(Struct, frozen=True, tag="summary"):
    """What a guest says of all its requests, as far as it is looked at; negative is before the start of all."""

    ready_us: int


class Answers(NamedTuple):
    """What one client got, and when it was ready, after the start of all."""

    ready_us: int
    replies: Sequence[Reply | Failure]


class Way(Enum):
    """How requests reach the graph."""

    GUEST = "guest"
    DIRECT = "direct"


_LINES = Decoder(Reply | Failure | Summary)


class Clients:
    """
    Clients of one graph.

    Args:
        host: That has it, loaded.
        graph: Its name.
    """

    def __init__(self, host: Host, graph: str) -> None:
        self._host = host
        self._graph = graph

    def ask(self, way: Way, shares: Sequence[Sequence[Request]], start_us: int) -> list[Answers]:
        """
        Let each client ask its share.

        Args:
            way: Of all of them.
            shares: Each client's requests, in order.
            start_us: When all begin, in microseconds since 1970.

        Raises:
            GuestTrapped: A guest was ended.
            BackendFailure: A guest gave up; has its words.
            NNError: The graph cannot be prompted.
        """
        return self._through_guests(shares, start_us) if way is Way.GUEST else self._directly(shares, start_us)

    def _through_guests(self, shares: Sequence[Sequence[Request]], start_us: int) -> list[Answers]:
        with ExitStack() as stack:
            started = []
            for share in shares:
                out, err = stack.enter_context(Captured()), stack.enter_context(Captured())
                lines = b"\n".join(map(encode, share))
                arguments = ["--start", str(start_us), self._graph]
                guest = self._host.start(GUEST, arguments, stdin=lines, stdout=out, stderr=err)
                started.append((guest, out, err))
            answers = []
            for guest, out, err in started:
                guest.wait()
                if err.size_bytes:
                    raise BackendFailure(f"the benchmark guest gave up: {err.read().decode().strip()}")
                *replies, summary = (_LINES.decode(line) for line in out.read().splitlines())
                answers.append(Answers(summary.ready_us, replies))
            return answers

    def _directly(self, shares: Sequence[Sequence[Request]], start_us: int) -> list[Answers]:
        loaded = self._host.registry.load(self._graph)
        with ThreadPoolExecutor(len(shares)) as pool:
            return list(pool.map(lambda share: _Direct(loaded, self._host.limits, start_us).answers(share), shares))


class _Direct:
    """A client without a guest: what ``bench.c`` does, by the same sessions."""

    def __init__(self, loaded: Loaded, limits: Limits, start_us: int) -> None:
        self._loaded = loaded
        self._limits = limits
        self._bell = Bell()
        self._zero_us = time.monotonic_ns() // 1000 + start_us - time.time_ns() // 1000

    def answers(self, share: Sequence[Request]) -> Answers:
        ready_us = self._now_us()
        self._wait_until(0)
        return Answers(ready_us, [self._answer(request) for request in share])

    def _answer(self, request: Request) -> Reply | Failure:
        if request.at_us is not UNSET:
            self._wait_until(request.at_us)
        sent_us = self._now_us()
        try:
            return self._ask(request, sent_us)
        except NNError as exc:
            return Failure(request.id, sent_us, str(exc))

    def _ask(self, request: Request, sent_us: int) -> Reply:
        from_us = sent_us if request.at_us is UNSET else request.at_us
        session = Session(self._loaded.model, Setup(), self._bell, self._limits)
        generation = session.start(request.turn, request.options)
        try:
            texts, times_us, finished = [], [], False
            while not finished:
                text, finished = (fragment := generation.next_text()).text, fragment.finished
                end_us = self._now_us() - from_us
                if text:
                    texts.append(text)
                    times_us.append(end_us)
            summary = generation.summary()
        finally:
            generation.close()
        whole = "".join(texts)
        return Reply(
            id=request.id,
            sent_us=sent_us,
            ttft_us=times_us[0] if times_us else end_us,
            e2el_us=end_us,
            itl_us=tuple(later - earlier for earlier, later in pairwise(times_us)),
            prompt_tokens=summary.usage.prompt_tokens,
            generated_tokens=summary.usage.generated_tokens,
            reason=summary.reason.value,
            text=whole,
            met=UNSET if request.expected is UNSET else whole == request.expected,
        )

    def _now_us(self) -> int:
        return time.monotonic_ns() // 1000 - self._zero_us

    def _wait_until(self, due_us: int) -> None:
        time.sleep(max(0, due_us - self._now_us()) / 1e6)
