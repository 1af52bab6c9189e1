"""The cases that need several guests can fail: what is said of guests that do what they must not."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from wit_llm.conformance.driven import DRIVEN, Stage, Verdict, times_out
from wit_llm.conformance.hosts import Ended
from wit_llm.conformance.suite import IN_C, Guests, Result


def _line(result: str, seen: str = "") -> str:
    return json.dumps({"result": result, "case": "", "seen": seen}) + "\n"


def _ended(*notes: str, fail: str = "", how: str = "") -> Ended:
    """A guest that came to its own end after some notes; with ``how`` it did not."""
    lines = [_line("note", note) for note in notes] + [_line("fail", fail)] * bool(fail) + [_line("end")] * (not how)
    return Ended("".join(lines), how)


FINE = _ended()
TRAPPED = "the guest trapped"


class Scripted:
    """
    A sandbox whose guests do as they are told.

    Args:
        guests: How each ends, by the name of its act, or of its file where it has none; all others end well.
        late_s: How long a guest with a deadline takes.
    """

    def __init__(self, guests: Mapping[str, Ended | None], late_s: float = 0) -> None:
        self._guests = guests
        self._late_s = late_s

    def run(self, component: Path, args: Sequence[str]) -> Ended:
        """End as told."""
        return self._guests.get(args[2] if args else component.stem) or FINE

    def run_until(self, component: Path, args: Sequence[str], deadline_s: float) -> Ended | None:
        """End as told, and late."""
        assert (component.stem, deadline_s > 0) == ("nn", True)
        time.sleep(self._late_s)
        return self._guests[args[2]]


CONSUMED = _ended("computed", fail="256 bytes of a tensor that compute had taken")
PLANTED = _ended("planted")
SLOW = _ended("slow 100 200", "slow 200 600")

WRONG: dict[str, list[tuple[dict[str, Ended | None], Result, str]]] = {
    "A.tensor": [
        ({"tensor": Ended("", "unknown import wasi:nn/tensor")}, Result.FAILED, "unknown import wasi:nn/tensor")
    ],
    "A.errors": [({"errors": Ended("", "status 1")}, Result.FAILED, "status 1")],
    "A.graph": [({"graph": Ended("", "status 1")}, Result.FAILED, "status 1")],
    "A.inference": [({"inference": Ended("", TRAPPED)}, Result.FAILED, TRAPPED)],
    "C.timeout": [
        ({"slow": None}, Result.NOT_RUN, "this host takes no deadline"),
        ({"slow": _ended("slow 1 2")}, Result.FAILED, 'it printed \'{"result": "note"'),
        ({"slow": _ended("timeout"), "quick": _ended(how="dead")}, Result.FAILED, "timeout; the next guest: dead"),
    ],
    "E.consumed": [
        ({"use-consumed": CONSUMED}, Result.FAILED, "256 bytes of a tensor that compute had taken"),
        ({"use-consumed": _ended(how=TRAPPED)}, Result.FAILED, TRAPPED),
        (
            {"use-consumed": _ended("computed", how=TRAPPED), "quick": _ended(fail="not-found")},
            Result.FAILED,
            "the guest trapped; the next guest: not-found",
        ),
    ],
    "E.consumed-on-failure": [
        ({"use-consumed": CONSUMED}, Result.FAILED, "256 bytes of a tensor that compute had taken")
    ],
    "F.earlier-request": [
        ({"look": _ended(fail="y: byte 3 is 66, wanted 64")}, Result.FAILED, "look: y: byte 3 is 66, wanted 64"),
        ({"plant": _ended(how=TRAPPED)}, Result.FAILED, "plant: the guest trapped"),
    ],
    "F.handles": [
        (
            {"forge": _ended("forging", fail="handle 0 has 256 bytes")},
            Result.FAILED,
            "handle 0: handle 0 has 256 bytes",
        ),
        ({"forge": _ended(how="no such file")}, Result.FAILED, "handle 0: no such file"),
        (
            {"forge": _ended("forging", how=TRAPPED), "hold": _ended(how=TRAPPED)},
            Result.FAILED,
            "the neighbour: the guest trapped",
        ),
    ],
    "F.traps": [
        ({"trap": _ended("trapping")}, Result.FAILED, "a trap: it printed "),
        (
            {"trap": _ended("trapping", how=TRAPPED), "hold": _ended(fail="too-large")},
            Result.FAILED,
            "after 6 traps with 300 tensors each: too-large",
        ),
    ],
    "G.held-bytes": [
        ({"hoard-bytes": _ended(fail="numbers is gone")}, Result.FAILED, "numbers is gone"),
        (
            {"hoard-bytes": _ended(how=TRAPPED), "quick": _ended(how="the host died")},
            Result.FAILED,
            "the guest trapped; the next guest: the host died",
        ),
    ],
    "G.long-list": [({"long-list": _ended(fail="5 bytes of 4194304")}, Result.FAILED, "5 bytes of 4194304")],
    "G.compute-bytes": [
        ({"explode": _ended(fail="32768 rows of 32768")}, Result.FAILED, "32768 rows of 32768"),
        (
            {"explode": _ended(how=TRAPPED), "quick": _ended(how="the host died")},
            Result.FAILED,
            "the guest trapped; the next guest: the host died",
        ),
    ],
    "H.guests": [({"many": _ended(fail="y: byte 0")}, Result.FAILED, "8 of 8 guests: y: byte 0")],
    "H.long-compute": [
        (
            {"slow": SLOW, "quick": _ended("quick 250 600")},
            Result.FAILED,
            " of at most 350 ms beside one of 400 ms",
        ),
        ({"slow": SLOW, "quick": _ended("quick 700 701")}, Result.NOT_RUN, "no compute of another guest fell into"),
        ({"slow": _ended(fail="y: byte 0"), "quick": FINE}, Result.FAILED, "y: byte 0"),
    ],
}


@pytest.mark.parametrize(
    ("name", "guests", "result", "seen"),
    [pytest.param(name, *way, id=f"{name}-{at}") for name, ways in WRONG.items() for at, way in enumerate(ways)],
)
def test_what_guests_must_not_do_is_told(name: str, guests: dict[str, Ended | None], result: Result, seen: str) -> None:
    """A case that does not hold fails, in the words of the guest or of the host."""
    [case] = [case for case in DRIVEN if case.name == name]
    finding = case.finding(Stage(Scripted(guests), IN_C))
    assert (finding.case, finding.result) == (name, result)
    assert seen in finding.seen


def test_every_driven_case_can_fail() -> None:
    """No case passes whatever its guests do."""
    can_fail = {name for name, ways in WRONG.items() if any(result is Result.FAILED for _, result, _ in ways)}
    assert can_fail == {case.name for case in DRIVEN}


def test_a_deadline_that_is_not_kept_is_told() -> None:
    """A compute that ends long after its deadline fails, however it ends."""
    verdict: Verdict = times_out(0.01, 0.01)(Stage(Scripted({"slow": _ended("timeout")}, late_s=0.1), IN_C))
    assert verdict == (Result.FAILED, "it ended after 0.1 s; its deadline was 0.01 s")


def test_what_holds_is_told_too() -> None:
    """Guests that do as they should make their cases pass."""
    guests: dict[str, Ended | None] = {
        "slow": _ended("timeout"),
        "use-consumed": _ended("computed", how=TRAPPED),
        "forge": _ended("forging", how=TRAPPED),
        "trap": _ended("trapping", how=TRAPPED),
        "hoard-bytes": _ended(how=TRAPPED),
        "long-list": _ended("4194304 bytes"),
        "explode": _ended("an error, and the graph works on"),
        "many": _ended("100 answers"),
    }
    found = {case.name: case.finding(Stage(Scripted(guests), IN_C)) for case in DRIVEN if case.name != "H.long-compute"}
    assert {name: finding.result for name, finding in found.items()} == dict.fromkeys(found, Result.PASSED)
    assert found["G.long-list"].seen == "4194304 bytes"


def test_guests_that_do_not_link_alone_are_not_run(tmp_path: Path) -> None:
    """A toolchain need not have a component for each interface; what it lacks is no failure of the host's."""
    [case] = [case for case in DRIVEN if case.name == "A.graph"]
    finding = case.finding(Stage(Scripted({}), Guests(tmp_path)))
    assert (finding.result, finding.seen) == (Result.NOT_RUN, "these guests have no such component")
