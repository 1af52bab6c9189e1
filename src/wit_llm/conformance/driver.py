"""What runs the suite on a host, backend by backend."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from wit_llm import __version__
from wit_llm.conformance.driven import DRIVEN, Stage
from wit_llm.conformance.hosts import HostUnderTest, Sandbox
from wit_llm.conformance.suite import (
    IN_C,
    MODELS,
    Backend,
    Case,
    Finding,
    Guests,
    Report,
    Result,
    wanted,
)
from wit_llm.errors import OperatorError

# the one case that wants a host which loads nothing from bytes
CLOSED = "C.security"

Progress = Callable[[str, Finding], None]


def check(
    host: HostUnderTest,
    backends: Sequence[Backend],
    asked: Sequence[str] = (),
    guests: Guests = IN_C,
    progress: Progress = lambda _backend, _finding: None,
) -> Report:
    """
    Run cases on a host.

    Args:
        host: What is looked at.
        backends: With whose models.
        asked: Names or letters of cases; none for all.
        guests: What looks at it.
        progress: Told of each finding, with its backend.

    Raises:
        OperatorError: The host does not run the suite's guests, or there is no such case.
    """
    cases: dict[str, Case] = {}
    findings: dict[str, dict[str, Finding]] = {}
    for backend in backends:
        found = findings[backend.name] = {}
        for case, finding in _backend(host, backend, asked, guests):
            cases[case.name] = case
            found[case.name] = finding
            progress(backend.name, finding)
    for word in asked:
        if not any(wanted(name, [word]) for name in cases):
            of = ", ".join(backend.name for backend in backends)
            raise OperatorError(f"there is no case {word!r} of {of}; `wit-llm conformance --json` has their names")
    date = datetime.now(UTC).isoformat(timespec="seconds")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    versions = {"suite": __version__, **host.versions, "machine": machine}
    listed = sorted(cases.values(), key=lambda case: case.name[0])
    return Report(host.name, date, versions, guests.digests, asked, listed, findings)


def _backend(
    host: HostUnderTest, backend: Backend, asked: Sequence[str], guests: Guests
) -> Iterator[tuple[Case, Finding]]:
    with host.open(backend, backend.graphs, load=True) as sandbox:
        stage = Stage(sandbox, guests)
        listed = [case for case in list_cases(sandbox, guests.nn) if wanted(case.name, asked)]
        driven = [case for case in DRIVEN if wanted(case.name, asked)]
        if (listed or driven) and (missing := _missing(stage)):
            for case in (*driven, *listed):
                yield case, Finding(case.name, Result.NOT_RUN, missing)
            return
        for case in driven:
            if case.name.startswith("A."):
                yield case, case.finding(stage)
        yield from run_cases(sandbox, guests.nn, backend, [case for case in listed if case.name != CLOSED])
        for case in driven:
            if not case.name.startswith("A."):
                yield case, case.finding(stage)
    if wanted(CLOSED, asked):
        with host.open(backend, {}, load=False) as sandbox:
            yield from run_cases(sandbox, guests.nn, backend, [case for case in listed if case.name == CLOSED])
    if backend.prompts and any(word.startswith("J") for word in asked or ["J"]):
        with host.open(backend, backend.prompt_graphs, load=False) as sandbox:
            listed = [case for case in list_cases(sandbox, guests.prompt) if wanted(case.name, asked)]
            yield from run_cases(sandbox, guests.prompt, backend, listed)


def list_cases(sandbox: Sandbox, guest: Path) -> list[Case]:
    """
    The cases that a guest has.

    Raises:
        OperatorError: The host does not run it.
    """
    ended = sandbox.run(guest, ["--json", "--list"])
    if not ended.finished:
        raise OperatorError(f"the host does not run {guest.name}: {ended.how or repr(ended.stdout[-200:])}")
    return [Case(line.case, line.seen) for line in ended.lines if line.result == "case"]


def _missing(stage: Stage) -> str:
    """Why there are no graphs of this backend; empty where there are."""
    ended = stage.act("load")
    return next((line.seen for line in ended.lines if line.result in {"fail", "not-run"}), "")


def run_cases(sandbox: Sandbox, guest: Path, backend: Backend, cases: Sequence[Case]) -> Iterator[tuple[Case, Finding]]:
    """Run a guest's cases; one that ends its guest has failed, and the next ones get a new guest."""
    left = list(cases)
    while left:
        options = ["--json", "--backend", backend.name, "--hidden", str(MODELS)]
        ended = sandbox.run(guest, [*options, *(case.name for case in left)])
        found = {line.case: line for line in ended.lines}
        while left and left[0].name in found:
            case = left.pop(0)
            yield case, Finding(case.name, Result(found[case.name].result), found[case.name].seen)
        if left:
            case = left.pop(0)
            yield (
                case,
                Finding(case.name, Result.FAILED, f"the guest was ended: {ended.how or repr(ended.stdout[-200:])}"),
            )
