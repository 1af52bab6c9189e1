"""The cases that one guest cannot decide: linking, tensors taken away, neighbours, traps, deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from wit_llm.conformance.hosts import Ended, Sandbox
from wit_llm.conformance.suite import Case, Finding, Guests, Result

DEADLINE_S = 1.0
LATE_S = 5.0  # a machine may be busy; a compute that is not given up takes far longer
GUESTS = 8
HELD = 50
HOARDED = 300
TRAPS = 6
LONG_BYTES = 4 << 20
EXPLODING = 1 << 15  # rows, and columns, of FP32

Verdict = tuple[Result, str]


@dataclass(frozen=True, slots=True)
class Stage:
    """
    Where guests act.

    Args:
        sandbox: Runs them.
        guests: Which ones.
    """

    sandbox: Sandbox
    guests: Guests

    def act(self, name: str, number: int = 0) -> Ended:
        """Have a guest do something."""
        return self.sandbox.run(self.guests.nn, _act(name, number))

    def act_until(self, name: str, number: int, deadline_s: float) -> Ended | None:
        """The same under a deadline; none where the host has no such thing."""
        return self.sandbox.run_until(self.guests.nn, _act(name, number), deadline_s)


@dataclass(frozen=True, slots=True)
class Driven(Case):
    """A case with what decides it."""

    check: Callable[[Stage], Verdict]

    def finding(self, stage: Stage) -> Finding:
        """Decide it."""
        return Finding(self.name, *self.check(stage))


def _act(name: str, number: int) -> list[str]:
    return ["--json", "act", name, str(number)]


def _notes(ended: Ended) -> list[str]:
    return [line.seen for line in ended.lines if line.result == "note"]


def _said(ended: Ended) -> str:
    """Why an act did not go as it should: its own words, or the host's."""
    failed = [line.seen for line in ended.lines if line.result == "fail"]
    return failed[0] if failed else ended.how or f"it printed {ended.stdout[-200:]!r}"


def _went_well(ended: Ended) -> bool:
    return ended.finished and not any(line.result == "fail" for line in ended.lines)


def _after(stage: Stage, seen: str) -> Verdict:
    """Pass, if a new guest computes as ever."""
    ended = stage.act("quick", 1)
    return (Result.PASSED, seen) if _went_well(ended) else (Result.FAILED, f"{seen}; the next guest: {_said(ended)}")


# ---------------------------------------------------------------- A


def _links(interface: str) -> Callable[[Stage], Verdict]:
    def check(stage: Stage) -> Verdict:
        component = stage.guests.linking(interface)
        if not component.is_file():
            return Result.NOT_RUN, "these guests have no such component"
        ended = stage.sandbox.run(component, [])
        return (Result.FAILED, ended.how) if ended.how else (Result.PASSED, "linked, and ran")

    return check


# ---------------------------------------------------------------- C


def times_out(deadline_s: float, late_s: float) -> Callable[[Stage], Verdict]:
    """A compute of minutes, which has to be over soon after the deadline, one way or another."""

    def check(stage: Stage) -> Verdict:
        began = time.monotonic()
        ended = stage.act_until("slow", 600_000, deadline_s)
        took_s = time.monotonic() - began
        if ended is None:
            return Result.NOT_RUN, "this host takes no deadline"
        if took_s > deadline_s + late_s:
            return Result.FAILED, f"it ended after {took_s:.1f} s; its deadline was {deadline_s:g} s"
        if ended.finished and "timeout" not in _notes(ended):
            return Result.FAILED, _said(ended)
        return _after(stage, "timeout" if ended.finished else ended.how)

    return check


# ---------------------------------------------------------------- E


def _consumed(*, failing: bool) -> Callable[[Stage], Verdict]:
    def check(stage: Stage) -> Verdict:
        ended = stage.act("use-consumed", int(failing))
        if ended.finished or "computed" not in _notes(ended):
            return Result.FAILED, _said(ended)
        return _after(stage, ended.how)

    return check


# ---------------------------------------------------------------- F


def _earlier_request(stage: Stage) -> Verdict:
    for act in ("plant", "look", "plant", "look"):
        ended = stage.act(act)
        if not _went_well(ended):
            return Result.FAILED, f"{act}: {_said(ended)}"
    return Result.PASSED, "only what was sent, and errors"


def _handles(stage: Stage) -> Verdict:
    with ThreadPoolExecutor(1) as pool:
        neighbour = pool.submit(stage.act, "hold", HELD)
        forged = {number: stage.act("forge", number) for number in (0, 1, 2, 7, HELD, 2**31 - 1)}
        held = neighbour.result()
    if not _went_well(held):
        return Result.FAILED, f"the neighbour: {_said(held)}"
    for number, ended in forged.items():
        if ended.finished or "forging" not in _notes(ended):
            return Result.FAILED, f"handle {number}: {_said(ended)}"
    return Result.PASSED, f"{len(forged)} forged handles: {forged[1].how}"


def _traps(stage: Stage) -> Verdict:
    for _ in range(TRAPS):
        ended = stage.act("trap", HOARDED)
        if ended.finished or "trapping" not in _notes(ended):
            return Result.FAILED, f"a trap: {_said(ended)}"
    after = stage.act("hold", HOARDED)
    if not _went_well(after):
        return Result.FAILED, f"after {TRAPS} traps with {HOARDED} tensors each: {_said(after)}"
    return Result.PASSED, f"{HOARDED} tensors after {TRAPS} traps with {HOARDED} each"


# ---------------------------------------------------------------- G


def _ends_alone(act: str, number: int) -> Callable[[Stage], Verdict]:
    """Where no error can be told, as a constructor cannot fail: it works, or that guest alone is ended."""

    def check(stage: Stage) -> Verdict:
        ended = stage.act(act, number)
        if ended.finished and not _went_well(ended):
            return Result.FAILED, _said(ended)
        return _after(stage, _notes(ended)[-1] if ended.finished else ended.how)

    return check


# ---------------------------------------------------------------- H


def _guests(stage: Stage) -> Verdict:
    with ThreadPoolExecutor(GUESTS) as pool:
        ended = list(pool.map(lambda seed: stage.act("many", seed), range(1, GUESTS + 1)))
    wrong = [one for one in ended if not _went_well(one)]
    if wrong:
        return Result.FAILED, f"{len(wrong)} of {GUESTS} guests: {_said(wrong[0])}"
    return Result.PASSED, f"{GUESTS} guests at once, {_notes(ended[0])[-1]} each"


def _spans(ended: Sequence[Ended], kind: str) -> list[tuple[int, int]]:
    """Begin and end of each compute, in milliseconds of the clock that all guests share."""
    words = [note.split() for one in ended for note in _notes(one)]
    return [(int(word[1]), int(word[2])) for word in words if word[0] == kind]


def _long_compute(stage: Stage) -> Verdict:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(stage.act, "slow")
        quick = [stage.act("quick", 20)]
        while not slow.done():
            quick.append(stage.act("quick", 20))
    for one in (slow.result(), *quick):
        if not _went_well(one):
            return Result.FAILED, _said(one)
    began, ended = max(_spans([slow.result()], "slow"), key=lambda span: span[1] - span[0])
    beside = [end - begin for begin, end in _spans(quick, "quick") if begin < ended and end > began]
    if not beside:
        return Result.NOT_RUN, "no compute of another guest fell into the long one"
    seen = f"{len(beside)} computes of at most {max(beside)} ms beside one of {ended - began} ms"
    return (Result.PASSED if 2 * max(beside) < ended - began else Result.FAILED), seen


DRIVEN: tuple[Driven, ...] = (
    *(
        Driven(f"A.{name}", f"a component that imports wasi:nn/{name} alone, by its exact version, runs", _links(name))
        for name in ("tensor", "errors", "graph", "inference")
    ),
    Driven(
        "C.timeout",
        "a compute past its deadline is timeout, or its guest is ended; the next guest computes",
        times_out(DEADLINE_S, LATE_S),
    ),
    Driven("E.consumed", "using a tensor that a compute took traps", _consumed(failing=False)),
    Driven("E.consumed-on-failure", "using a tensor that a refused compute took traps", _consumed(failing=True)),
    Driven("F.earlier-request", "nothing of an earlier guest's tensors shows in outputs or errors", _earlier_request),
    Driven("F.handles", "a guest cannot use a handle that another one holds", _handles),
    Driven("F.traps", "guests that trap leave no handles behind", _traps),
    Driven(
        "G.held-bytes",
        "tensors of 19 MB in all can be held, or that guest alone is ended",
        _ends_alone("hoard-bytes", HOARDED),
    ),
    Driven(
        "G.long-list",
        "a list<u8> of 4 MiB comes through, or that guest alone is ended",
        _ends_alone("long-list", LONG_BYTES),
    ),
    Driven(
        "G.compute-bytes",
        "4 GiB out for 128 KiB in are an error and the graph works on, or that guest alone is ended",
        _ends_alone("explode", EXPLODING),
    ),
    Driven("H.guests", "eight guests at once on one graph get their own answers", _guests),
    Driven("H.long-compute", "a long compute does not hold up another graph", _long_compute),
)
