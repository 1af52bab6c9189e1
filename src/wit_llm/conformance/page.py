"""A report as JSON, and as a page in Markdown that can be cited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wit_llm.conformance.suite import Report, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LETTERS = {
    "A": "Linking",
    "B": "Tensors",
    "C": "Errors",
    "D": "Graphs",
    "E": "Compute",
    "F": "Isolation",
    "G": "Limits",
    "H": "Concurrency",
    "I": "Numbers",
    "J": "Prompts (wit-llm:nn)",
}
_MARKS = {Result.PASSED: "pass", Result.FAILED: "**FAIL**", Result.NOT_RUN: "not run"}
_SEEN = 160  # characters of what was seen that stand in a row


def as_json(report: Report) -> dict[str, Any]:
    """Everything that is known."""
    return {
        "host": report.host,
        "date": report.date,
        "versions": dict(report.versions),
        "guests": dict(report.guests),
        "asked": list(report.asked),
        "command": report.command,
        "backends": {name: {r.value: report.count(name, r) for r in Result} for name in report.findings},
        "cases": [
            {
                "case": case.name,
                "claim": case.claim,
                "results": {
                    backend: {"result": findings[case.name].result.value, "seen": findings[case.name].seen}
                    for backend, findings in report.findings.items()
                    if case.name in findings
                },
            }
            for case in report.cases
        ],
    }


def as_page(report: Report) -> str:
    """A page: what was looked at, when, with which versions, the table, and what was seen."""
    backends = list(report.findings)
    lines = [
        "# Conformance to wasi:nn 0.2.0-rc-2024-10-28",
        "",
        f"Host: **{report.host}**  ",
        f"Date: {report.date}  ",
        f"With: {', '.join(f'{name} {version}' for name, version in report.versions.items())}  ",
        f"Cases: {', '.join(report.asked) or 'all'}  ",
        f"Made by: `{report.command}`",
        "",
        "Each case is a claim about a host, decided by WebAssembly components that run in it, the guests below. A",
        "backend is the format of the models that the host was given. *Not run*: the host lacks what the case needs,",
        "or has a choice and made the other one; the reason is under what was seen.",
        "",
        *_table(["backend", *(result.value for result in Result)], _counts(report)),
    ]
    for letter, title in LETTERS.items():
        cases = [case for case in report.cases if case.name.startswith(letter)]
        if not cases:
            continue
        rows = [
            [
                f"`{case.name}`",
                case.claim,
                *(_MARKS[found[case.name].result] if case.name in found else "" for found in report.findings.values()),
            ]
            for case in cases
        ]
        lines += ["", f"## {letter}. {title}", "", *_table(["case", "claim", *backends], rows)]
    for backend, findings in report.findings.items():
        found = [findings[case.name] for case in report.cases if case.name in findings]
        rows = [[f"`{each.case}`", _MARKS[each.result], _cut(each.seen)] for each in found]
        lines += ["", f"## Seen with {backend}", "", *_table(["case", "result", "seen"], rows)]
    digests = [[f"`{name}`", f"`{digest}`"] for name, digest in report.guests.items()]
    lines += ["", "## Guests", "", *_table(["component", "SHA-256"], digests)]
    return "\n".join([*lines, ""])


def _counts(report: Report) -> list[list[str]]:
    return [[backend, *(str(report.count(backend, result)) for result in Result)] for backend in report.findings]


def _cut(text: str) -> str:
    return text if len(text) <= _SEEN else f"{text[: _SEEN - 1]}…"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(cells)} |"
        for cells in (
            headers,
            ["---"] * len(headers),
            *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows),
        )
    ]
