"""The schedule: at each load, both ways in turns; replies are looked at before anything is said of their speed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from msgspec import UNSET
from msgspec.structs import replace

from wit_llm.bench.clients import Answers, Failure, Reply, Way
from wit_llm.bench.figures import in_turns
from wit_llm.bench.load import Prompts, Request, arrivals
from wit_llm.errors import WrongReply

_AT_A_RATE = 32
_PER_CLIENT = 2
_LEAD_US = 50_000
_SHOWN = 200
_CHECKED = 4


class Load(NamedTuple):
    """
    How much is asked: so many clients, each of which waits for its reply, or requests that arrive so many a second.

    Args:
        concurrency: Clients; none where requests arrive by themselves, each with a client of its own.
        rate: Requests a second, a Poisson process; none where clients wait.
    """

    concurrency: int | None = None
    rate: float | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return f"concurrency {self.concurrency}" if self.rate is None else f"{self.rate:g} requests/s"

    @property
    def requests(self) -> int:
        """How many a run has, unless it is said."""
        return _AT_A_RATE if self.concurrency is None else self.concurrency * _PER_CLIENT

    def shares(self, requests: Sequence[Request], seed: object) -> list[list[Request]]:
        """Each client's requests."""
        if self.rate is None:
            clients = min(self.concurrency or 1, len(requests))
            return [list(requests[client::clients]) for client in range(clients)]
        times = arrivals(self.rate, len(requests), seed)
        return [[replace(request, at_us=at_us)] for request, at_us in zip(requests, times, strict=True)]


ALONE = Load(concurrency=1)


class Asking(Protocol):
    """Who makes requests."""

    def ask(self, way: Way, shares: Sequence[Sequence[Request]], start_us: int) -> list[Answers]:
        """Let each client make its share of them, as ``Clients.ask`` says."""


class Source(Protocol):
    """Where requests come from."""

    def draw(self, load: Load, number: int) -> Sequence[Request]:
        """The requests of a run; a negative number is a warm-up's. One with the same id is the same request."""


class Made:
    """
    Made-up requests: new ones for each run, so that no prefix cache helps, but for the warm-up's, which are the same.

    Args:
        prompts: What makes them.
        count: Of a run; none for as many as the load has.
        same: Whether all are one and the same.
    """

    def __init__(self, prompts: Prompts, count: int | None = None, *, same: bool = False) -> None:
        self._prompts = prompts
        self._count = count
        self._one = prompts.request() if same else None
        self._warm_up: list[Request] = []

    def draw(self, load: Load, number: int) -> Sequence[Request]:
        """The requests of a run."""
        count = self._count or load.requests
        if self._one is not None:
            return [self._one] * count
        if number >= 0:
            return [self._prompts.request() for _ in range(count)]
        self._warm_up += [self._prompts.request() for _ in range(count - len(self._warm_up))]
        return self._warm_up[:count]


class Given:
    """
    Requests of a file, the same in every run, so that their prompts are in a prefix cache after the warm-up.

    Args:
        requests: All there are.
        count: Of a run, drawn from them; none for all.
        seed: Of the draw.
    """

    def __init__(self, requests: Sequence[Request], count: int | None = None, *, seed: int = 0) -> None:
        rng = random.Random(seed)  # noqa: S311 -- no secret
        self._requests = requests if count is None else rng.choices(requests, k=count)

    def draw(self, _load: Load, _number: int) -> Sequence[Request]:
        """The requests of a run."""
        return self._requests


class Run(NamedTuple):
    """What one run gave: its replies, and how long it took from the first request sent to the last reply's end."""

    replies: Sequence[Reply]
    wall_s: float


class Measured(NamedTuple):
    """
    The runs at one load, a pair for each repeat.

    Args:
        load: Of each.
        guest: Through guests.
        direct: Without.
        again: Replies to requests that had been made before.
        same: Those of them that were the same again.
    """

    load: Load
    guest: Sequence[Run]
    direct: Sequence[Run]
    again: int
    same: int


@dataclass(slots=True)
class Bench:
    """
    Measures a graph.

    A request that is made alone has to get the same reply each time and either way. Among others it need not: engines
    add in another order then, and what a model finds about as likely comes out the other way; it is counted.

    Args:
        clients: Of the graph.
        source: Of requests.
        repeats: Timed runs of each way at each load.
        seed: Of arrivals.
    """

    clients: Asking
    source: Source
    repeats: int
    seed: int = 0
    _alone: dict[str, str] = field(default_factory=dict)
    _among_others: dict[str, str] = field(default_factory=dict)
    _again: int = 0
    _same: int = 0
    _lead_us: int = _LEAD_US

    def check(self) -> None:
        """
        Make some requests alone, twice each way.

        Raises:
            WrongReply: A request failed, or its reply is not what it should be.
            WitLLMError: As ``Clients.ask``.
        """
        for way in (Way.GUEST, Way.DIRECT) * 2:
            self._run(ALONE, way, -1, most=_CHECKED)

    def measure(self, load: Load) -> Measured:
        """
        Run both ways at one load.

        Raises:
            WrongReply: As ``check``.
            WitLLMError: The same.
        """
        self._again = self._same = 0
        guest, direct = (partial(self._run, load, way) for way in (Way.GUEST, Way.DIRECT))
        pairs = list(in_turns(guest, direct, self.repeats))
        return Measured(load, [run for run, _ in pairs], [run for _, run in pairs], self._again, self._same)

    def _run(self, load: Load, way: Way, number: int, *, most: int | None = None) -> Run:
        ready_us = 1
        while ready_us > 0:  # a client that is late makes its requests look slow
            shares = load.shares(self.source.draw(load, number)[:most], (self.seed, number))
            answers = self.clients.ask(way, shares, time.time_ns() // 1000 + self._lead_us)
            ready_us = max(answer.ready_us for answer in answers)
            self._lead_us *= 2 if ready_us > 0 else 1
        where = f"{way.value}, {load.name}"
        replies, ends_us = [], []
        for request, reply in _pairs(shares, [answer.replies for answer in answers]):
            replies.append(self._checked(request, reply, where, alone=load.concurrency == 1))
            due_us = reply.sent_us if request.at_us is UNSET else request.at_us
            ends_us.append(due_us + replies[-1].e2el_us)
        return Run(replies, (max(ends_us) - min(reply.sent_us for reply in replies)) / 1e6)

    def _checked(self, request: Request, reply: Reply | Failure, where: str, *, alone: bool) -> Reply:
        """The reply, where it is what it should be."""
        if isinstance(reply, Failure):
            raise WrongReply(f"{where}: request {request.id!r} failed: {reply.error}")
        text = _cut(reply.text)
        if request.ignore_eos and request.max_output_tokens and reply.generated_tokens != request.max_output_tokens:
            wanted = f"has {reply.generated_tokens} tokens of the {request.max_output_tokens} that were asked for"
            raise WrongReply(f"{where}: the reply to request {request.id!r} {wanted}")
        if reply.met is False:
            expected = _cut(str(request.expected))
            raise WrongReply(f"{where}: request {request.id!r} expects {expected!r}, and the reply is {text!r}")
        said = self._alone.get(request.id, self._among_others.get(request.id))
        self._again += said is not None
        self._same += said == reply.text
        (self._alone if alone else self._among_others).setdefault(request.id, reply.text)
        if alone and self._alone[request.id] != reply.text:
            before = _cut(self._alone[request.id])
            raise WrongReply(f"{where}: the reply to request {request.id!r} is {text!r}, and was {before!r} before")
        return reply


def _pairs(
    shares: Sequence[Sequence[Request]], replies: Sequence[Sequence[Reply | Failure]]
) -> Iterator[tuple[Request, Reply | Failure]]:
    for asked, got in zip(shares, replies, strict=True):
        yield from zip(asked, got, strict=True)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
