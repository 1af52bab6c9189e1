"""
By how much does one guest's 1 MB prompt delay a neighbour's next token?

The neighbour reads a reply from a worker that gives a token every 5 ms; meanwhile another guest of the same host sends
a prompt of 1 MB, which is an overflow: words to `tiny`, whose tokenizer merges a lot; words to the neighbour's own
graph, whose tokenizer makes a token of every byte; control tokens written out, which have to be made harmless one by
one. Looked at is the longest time without a new token, against that of a time as long in which nobody else does
anything. Bar: 50 ms more.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from threading import Event

import numpy as np
from measure import CACHE, Bar, Of, Report, Row, in_turns, parser

from wit_llm import GuestTrapped, Host
from wit_llm.cli.packaged import CHAT_GUEST

BAR = Bar(Of.DIFFERENCE, at_most=50)
PROMPT_BYTES = 1_000_000
STEP_MS = 5
WINDOW_TOKENS = 100_000
# Tokens that were there before anything is looked at, so that neither the guest's start nor its first token is.
EARLIER_TOKENS = 20
PATIENCE_S = 60
NEIGHBOURS_GRAPH = f"echo-worker,settings.delay_ms={STEP_MS},settings.window={WINDOW_TOKENS}"
OVERFLOW = re.compile(rb"error: .*\b(\d{6,})\b.*\b(\d+)\b")


class Neighbour:
    """A guest that reads a long reply, and when each piece of it was heard."""

    def __init__(self, host: Host) -> None:
        self._heard_s: list[float] = []
        self._ready = Event()
        text = "0123456789" * (WINDOW_TOKENS // 30)
        self._guest = host.start(CHAT_GUEST, ["echo-worker", text], stdin=b"", stdout=self._hear, stderr=lambda _: None)
        if not self._ready.wait(PATIENCE_S):
            raise RuntimeError("the neighbour does not read")

    def _hear(self, _piece: bytes) -> None:
        self._heard_s.append(time.perf_counter())
        if len(self._heard_s) >= EARLIER_TOKENS:
            self._ready.set()

    def longest_gap_ms(self, began_s: float, ended_s: float) -> float:
        """The longest time without a piece that has some of the time asked for in it."""
        while self._guest.alive and self._heard_s[-1] < ended_s:
            time.sleep(STEP_MS / 1e3)
        if not self._guest.alive:
            raise RuntimeError("the neighbour's reply was too short")
        gaps = pairwise(self._heard_s)
        return max(later - earlier for earlier, later in gaps if later > began_s and earlier < ended_s) * 1e3

    def end(self) -> None:
        """Stop it in mid-reply."""
        self._guest.end()
        try:
            self._guest.wait(PATIENCE_S)
        except GuestTrapped:
            return


class Rounds:
    """
    Times with and without a prompt, equally long.

    Args:
        host: Of both guests.
        graph: What is prompted.
        prompt: Makes a line of input of a round's number.
    """

    def __init__(self, host: Host, graph: str, prompt: Callable[[int], bytes]) -> None:
        self._host = host
        self._graph = graph
        self._prompt = prompt
        self._lasted_s = 1.0

    def with_prompt(self, number: int) -> float:
        """The neighbour's longest gap in milliseconds while another guest sends its prompt."""
        prompt = self._prompt(number)
        neighbour = Neighbour(self._host)
        began_s = time.perf_counter()
        outcome = self._host.run(CHAT_GUEST, [self._graph], stdin=prompt)
        ended_s = time.perf_counter()
        self._lasted_s = ended_s - began_s
        gap_ms = neighbour.longest_gap_ms(began_s, ended_s)
        neighbour.end()
        if outcome.stdout or not OVERFLOW.match(outcome.stderr):
            raise RuntimeError(f"no overflow with numbers, but {outcome.stderr.decode()!r}")
        return gap_ms

    def without(self, _number: int) -> float:
        """The neighbour's longest gap in milliseconds when it is alone."""
        neighbour = Neighbour(self._host)
        began_s = time.perf_counter()
        time.sleep(self._lasted_s)
        gap_ms = neighbour.longest_gap_ms(began_s, began_s + self._lasted_s)
        neighbour.end()
        return gap_ms


def _words(number: int) -> bytes:
    """Made-up words of two to eight letters; rounds of the warm-up have negative numbers."""
    rng = np.random.default_rng(number + 1)
    letters = rng.integers(ord("a"), ord("z") + 1, PROMPT_BYTES, np.uint8)
    spaces = np.cumsum(rng.integers(3, 10, PROMPT_BYTES // 3))
    letters[spaces[spaces < PROMPT_BYTES]] = ord(" ")
    return letters.tobytes() + b"\n"


def _control_tokens(_number: int) -> bytes:
    """Nothing but the text of one of the model's control tokens."""
    token = b"<|end|> "
    return token * (PROMPT_BYTES // len(token)) + b"\n"


def main() -> int:
    """Measure each prompt."""
    sizes = {"prompt_bytes": PROMPT_BYTES, "step_ms": STEP_MS}
    report = Report(__doc__, parser(__doc__).parse_args(), sizes)
    with Host(["tiny", NEIGHBOURS_GRAPH], cache_dir=CACHE / "wit-llm") as host:
        for name, graph, prompt in (
            ("words to tiny", "tiny", _words),
            ("words to its own graph", "echo-worker", _words),
            ("control tokens to tiny", "tiny", _control_tokens),
        ):
            rounds = Rounds(host, graph, prompt)
            gaps = list(in_turns(rounds.with_prompt, rounds.without, report.pairs))
            report.add(Row(f"longest gap, {name}", "ms", "alone", gaps, BAR))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
