"""
What does a generated token cost on its way through the wall?

Looked at is the processor time of the host's whole process for each token of a reply that comes from a worker without
weights, a token a millisecond, so that each is waited for and read by itself: read by a guest, and by a thread that
calls the host's Python functions and has no guest. The guests are the packaged one, in C, which writes each piece, and
one in Python. Bars: a C guest costs at most 100 µs a token more, a Python guest at most 200 µs. Beside them the same
guests on wasmtime-py as it ships its conversions, over the same functions.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from measure import CACHE, Bar, Of, Report, Row, in_turns, parser
from stock import Stock
from wall import python_guest
from wasmtime import component as wit

from wit_llm import Host
from wit_llm.bell import Bell
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.limits import Limits
from wit_llm.text.generation import Generation
from wit_llm.text.message import Say, Setup
from wit_llm.text.session import Session

C_BAR = Bar(Of.DIFFERENCE, at_most=100)
PYTHON_BAR = Bar(Of.DIFFERENCE, at_most=200)
GRAPH = "echo-worker"
STEP_MS = 1
# Two lengths, so that what a run costs beside its tokens goes away.
TOKENS = (100, 1100)
QUICK_TOKENS = (20, 60)

PYTHON_SOURCE = """
with graph.load_by_name(sys.argv[1]) as model, session(model) as talk:
    with talk.start(types.Turn_Say(sys.argv[2]), None) as generation:
        text, _ = read(generation)
say(text)
"""

Reader = Callable[[str], str]


class Cost:
    """
    Processor time for each token.

    Args:
        reader: Has a text echoed, and reads it; on a thread of its own, as guests do.
        tokens: Of a short reply and a long one.
    """

    def __init__(self, reader: Reader, tokens: tuple[int, int]) -> None:
        self._reader = reader
        self._tokens = tokens

    def us(self, _number: int) -> float:
        """Of the process, in microseconds."""
        short, long = self._tokens
        return (self._spent_s(long) - self._spent_s(short)) / (long - short) * 1e6

    def _spent_s(self, tokens: int) -> float:
        text = "x" * tokens
        with ThreadPoolExecutor(1) as pool:
            began_s = time.process_time()
            echoed = pool.submit(self._reader, text).result()
            spent_s = time.process_time() - began_s
        if echoed.strip() != text:
            raise RuntimeError(f"{tokens} letters came back as {echoed!r}")
        return spent_s


def in_guest(host: Host, component: Path, arguments: list[str], text: str) -> str:
    """Read by a guest on our host."""
    outcome = host.run(component, [*arguments, GRAPH, text])
    if outcome.exit_code:
        raise RuntimeError(outcome.stderr.decode())
    return outcome.stdout.decode()


def without(host: Host, text: str) -> str:
    """Read by this thread."""
    loaded = host.registry.load(GRAPH)
    session = Session(loaded.model, Setup(), Bell(), Limits())
    generation = session.start(Say(text), None)
    pieces = []
    finished = False
    while not finished:
        fragment = generation.next_text()
        pieces.append(fragment.text)
        finished = fragment.finished
    session.close()
    loaded.close()
    return "".join(pieces)


class Shipped:
    """
    A guest on wasmtime-py as shipped, with the functions of `wit-llm:nn/prompt` that it calls.

    Args:
        host: Whose graph it gets.
        component: Its file.
    """

    def __init__(self, host: Host, component: Path) -> None:
        self._host = host
        self._stock = Stock(component)
        self._stock.offer(
            {
                "wasi:nn/graph": {"load-by-name": self._load},
                "wit-llm:nn/prompt": {
                    "[static]session.open": self._open,
                    "[method]session.start": self._start,
                    "[method]generation.next-text": lambda store, of: kebab(self._generation(store, of).next_text()),
                    "[method]generation.summary": lambda store, of: kebab(self._generation(store, of).summary()),
                },
            }
        )

    def _load(self, _store: object, name: str) -> object:
        return wit.Variant("ok", self._stock.give("graph", self._host.registry.load(name)))

    def _open(self, store: Any, graph: Any, _setup: object) -> object:  # noqa: ANN401 -- wasmtime's
        model = self._stock.look(store, graph).model
        return self._stock.give("session", Session(model, Setup(), Bell(), Limits()))

    def _start(self, store: Any, session: Any, turn: Any, _options: object) -> object:  # noqa: ANN401 -- wasmtime's
        return self._stock.give("generation", self._stock.look(store, session).start(Say(turn.payload), None))

    def _generation(self, store: Any, handle: Any) -> Generation:  # noqa: ANN401 -- wasmtime's
        found: Generation = self._stock.look(store, handle)
        return found

    def run(self, arguments: list[str], text: str) -> str:
        """Read by the guest."""
        return self._stock.run([*arguments, GRAPH, text]).decode()


def kebab(value: object) -> object:
    """A record as wasmtime-py takes it."""
    if isinstance(value, Enum):
        return value.value
    if not dataclasses.is_dataclass(value):
        return value
    record = wit.Record()
    for field in dataclasses.fields(value):
        setattr(record, field.name.replace("_", "-"), kebab(getattr(value, field.name)))
    return record


def main() -> int:
    """Measure each guest."""
    arguments = parser(__doc__).parse_args()
    tokens = QUICK_TOKENS if arguments.quick else TOKENS
    report = Report(__doc__, arguments, {"tokens": tokens, "step_ms": STEP_MS})
    with Host([f"{GRAPH},settings.delay_ms={STEP_MS}"], cache_dir=CACHE / "wit-llm") as host:
        bare = Cost(partial(without, host), tokens)
        for name, component, first, bar in (
            ("C", CHAT_GUEST, [], C_BAR),
            ("Python", python_guest(), [PYTHON_SOURCE], PYTHON_BAR),
        ):
            ours = Cost(partial(in_guest, host, component, first), tokens)
            stock = Cost(partial(Shipped(host, component).run, first), tokens)
            pairs = list(in_turns(ours.us, bare.us, report.pairs))
            report.add(Row(f"a token to a guest in {name}", "µs", "no guest", pairs, bar))
            report.add(
                Row(f"the same guest in {name}", "µs", "as shipped", list(in_turns(ours.us, stock.us, report.pairs)))
            )
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
