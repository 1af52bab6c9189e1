"""``wit-llm conformance``: the suite of wasi:nn, on this host or on another one."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wit_llm.events import GraphFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wit_llm.conformance.hosts import HostUnderTest
    from wit_llm.conformance.suite import Finding, Report
    from wit_llm.events import Event

BACKENDS = ("openvino", "onnx", "pytorch", "torchscript")
PROBE = "numbers"  # the graph without which a backend is not there
WASI_NN = tuple("ABCDEFGHI")  # what does without wit-llm:nn


@click.command()
@click.argument("cases", nargs=-1)
@click.option(
    "--backend",
    "names",
    type=click.Choice(BACKENDS),
    multiple=True,
    help="The format of the models that the host is given; may be given several times; default all.",
)
@click.option("--host", metavar="COMMAND", help="Another host: the command line of a guest.")
@click.option(
    "--host-graph",
    metavar="WORDS",
    default="--graph {name}={folder}",
    show_default=True,
    help="What {graphs} of --host has for each graph; {encoding} goes as well.",
)
@click.option("--host-name", metavar="TEXT", default="", help="What a report calls --host; default the command line.")
@click.option(
    "--guests",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Guests of another toolchain: nn.wasm, prompt.wasm, linking/; default the ones in C that come along.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page in Markdown."
)
def conformance(  # noqa: PLR0913 -- a parameter for each option
    *,
    cases: tuple[str, ...],
    names: tuple[str, ...],
    host: str | None,
    host_graph: str,
    host_name: str,
    guests: Path | None,
    as_json: bool,
    report: Path | None,
) -> None:
    """
    Check a host of wasi:nn from inside.

    Components load models and compute, on this host or on the one that --host starts, and say for each case whether it
    holds. CASES are their names or letters, default all; J, which is about prompts, only where --host is not given.
    Another host is a command line such as "wasmtime run -S nn {graphs} {component} {args}", with "-S
    nn-graph={encoding}::{folder}" for --host-graph. Exits with 1 where a case fails, or nothing could be run.

    \b
    Examples:
      wit-llm conformance --backend openvino A I
      wit-llm conformance --backend onnx --json E.add I
      wit-llm conformance --backend openvino --report conformance.md A I
    """
    from wit_llm.conformance.driver import check
    from wit_llm.conformance.hosts import Command, Ours
    from wit_llm.conformance.page import as_json as to_json
    from wit_llm.conformance.page import as_page
    from wit_llm.conformance.suite import BACKENDS as ALL
    from wit_llm.conformance.suite import IN_C, Guests

    events: list[Event] = []
    under_test: HostUnderTest = (
        Ours(lambda event: _keep(event, events)) if host is None else Command(host, host_graph, host_name)
    )
    asked = cases or (() if host is None else WASI_NN)
    backends = [ALL[name] for name in dict.fromkeys(names or BACKENDS)]
    looking = IN_C if guests is None else Guests(guests)
    found = check(under_test, backends, asked, looking, _progress if sys.stderr.isatty() else _silent)
    found = replace(found, command=shlex.join(["wit-llm", *sys.argv[1:]]))
    warn(found, events)
    if report is not None:
        report.write_text(as_page(found))
    if as_json:
        click.echo(json.dumps(to_json(found), indent=2))
    else:
        _print(found)
    sys.exit(0 if _good(found, names) else 1)


def _keep(event: Event, events: list[Event]) -> None:
    """Remember what ``warn`` may have to tell; the many others of a run are forgotten."""
    if isinstance(event, GraphFailed):
        events.append(event)


def warn(report: Report, events: Sequence[Event]) -> None:
    """Why a backend ran nothing; all else that went wrong was the suite's own doing."""
    from wit_llm.conformance.suite import Result

    missing = [name for name in report.findings if not report.count(name, Result.PASSED)]
    for event in events:
        if missing and isinstance(event, GraphFailed) and event.graph == PROBE:
            click.echo(f"warning: graph '{event.graph}' cannot be loaded: {event.detail}", err=True)


def _progress(backend: str, finding: Finding) -> None:
    click.echo(f"\r\x1b[K{backend} {finding.case} {finding.result.value}", nl=False, err=True)


def _silent(_backend: str, _finding: Finding) -> None:
    """Progress is for terminals."""


def _good(report: Report, named: Sequence[str]) -> bool:
    """Whether nothing failed, and each backend that was asked for by name, or one of all, ran something."""
    from wit_llm.conformance.suite import Result

    ran = {name for name in report.findings if report.count(name, Result.PASSED)}
    return not report.failed and bool(ran) and ran >= set(named)


def _print(report: Report) -> None:
    from wit_llm.cli.table import print_table

    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if len(report.findings) == 1:
        (findings,) = report.findings.values()
        print_table(
            ("case", "result", "seen"),
            [
                (each.case, each.result.value, _cut(each.seen))
                for each in (findings[case.name] for case in report.cases)
            ],
        )
    else:
        rows = [
            (
                case.name,
                *(found[case.name].result.value if case.name in found else "" for found in report.findings.values()),
            )
            for case in report.cases
        ]
        print_table(("case", *report.findings), rows)
        for line in _explained(report):
            click.echo(line)
    click.echo(f"{report.host}, {report.date}")
    for line in _counted(report):
        click.echo(line)


def _explained(report: Report) -> Iterator[str]:
    """A line for each case that failed; a line for each reason why cases were not run."""
    from wit_llm.conformance.suite import Result

    for backend, finding in report.failed:
        yield f"{backend} {finding.case}: {_cut(finding.seen)}"
    for backend, findings in report.findings.items():
        reasons: dict[str, list[str]] = {}
        for finding in findings.values():
            if finding.result is Result.NOT_RUN:
                reasons.setdefault(finding.seen, []).append(finding.case)
        for reason, cases in reasons.items():
            yield f"{backend}, {len(cases)} not run: {_cut(reason)}"


def _counted(report: Report) -> Iterator[str]:
    from wit_llm.conformance.suite import Result

    for backend in report.findings:
        counts = ", ".join(f"{report.count(backend, result)} {result.value}" for result in Result)
        yield f"{backend}: {counts}"


def _cut(text: str) -> str:
    """What fits beside a name; all of it is in --json."""
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"  # noqa: PLR2004 -- a line
