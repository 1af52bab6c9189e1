"""Constraints that want to take all there is: each is refused or ready within a bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.architecture import ROOT
from wit_llm.errors import InvalidArgument
from wit_llm.grammar.constraint import automaton
from wit_llm.grammar.network import MAX_STATES
from wit_llm.options import Choice, Constraint, Grammar, JsonSchema, Regex

# Some tenths of a second on a quiet machine.
MOST_S = 5
MOST_BYTES = 200 << 20


def _schema(value: object) -> JsonSchema:
    return JsonSchema(json.dumps(value))


def _doubling(keyword: str) -> JsonSchema:
    """Definitions of which each holds the next one twice."""
    rest = {f"a{n}": {keyword: [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(20)}
    return _schema({"$defs": {**rest, "a20": {"type": "null"}}, "$ref": "#/$defs/a0"})


REFUSED: dict[str, Constraint] = {
    "schema-5,000-deep": JsonSchema('{"items":' * 5000 + "{}" + "}" * 5000),
    "schema-of-brackets": JsonSchema("[" * 60_000),
    "schema-of-doubling-references": _doubling("anyOf"),
    "schema-of-doubling-items": _doubling("prefixItems"),
    "maxLength-1e9": _schema({"type": "string", "maxLength": 10**9}),
    "counts-of-60-kinds": Regex("".join(f"[^{chr(0xE0 + n)}]{{9,300}}x" for n in range(60))),
    "enum-of-7,000": _schema({"enum": [f"{n * 7919 % 100_003:05d}" for n in range(7000)]}),
    "2,000-properties": _schema({"properties": {f"p{n}": {"type": "string"} for n in range(2000)}}),
    "long-name": _schema({"properties": {"x" * 30_000: True}, "additionalProperties": {"type": "null"}}),
    "70,000-bytes": _schema({"title": "x" * 70_000}),
    "digits": JsonSchema('{"maximum":' + "9" * 5000 + "}"),
    "choice-of-9,000": Choice(tuple(str(n * 7919 % 1_000_003) for n in range(9000))),
    "regex-of-groups": Regex("(" * 60_000),
    "regex-of-exponential-size": Regex("[ab]*a[ab]{40}"),
    "regex-of-counted-counts": Regex("((a{1,100}){1,100}){1,100}"),
    "regex-of-options": Regex("a?" * 3000),
    "regex-of-alternatives": Regex("|".join(f"a{n}b" for n in range(8000))),
    "grammar-of-doubling-rules": Grammar(
        "root ::= a0\n" + "\n".join(f"a{n} ::= a{n + 1} a{n + 1}" for n in range(40)) + '\na40 ::= "x"'
    ),
    "grammar-of-a-long-chain": Grammar(
        "root ::= a0\n" + "\n".join(f'a{n} ::= "y" a{n + 1}' for n in range(900)) + '\na900 ::= "x"'
    ),
    "grammar-of-2,000-rules": Grammar('root ::= "a"\n' + "\n".join(f'a{n} ::= "x"' for n in range(2000))),
    "grammar-of-stars": Grammar('root ::= "a"' + "*" * 20_000),
    "grammar-of-groups": Grammar("root ::= " + "(" * 30_000),
}
READY: dict[str, Constraint] = {
    "maxLength-100,000": _schema({"type": "string", "maxLength": 100_000}),
    "lists-of-lists-of-lists": _schema(
        {"items": {"items": {"maxItems": 8, "items": {"maxLength": 4000}}, "maxItems": 8}}
    ),
    "40-strings-of-other-lengths": _schema({"properties": {f"p{n}": {"maxLength": 100 * n} for n in range(40)}}),
    "regex-of-a-large-class": Regex("[" + "".join(chr(0x100 + 2 * n) for n in range(8000)) + "]{50}"),
    "schema-60-deep": JsonSchema('{"items":' * 60 + "{}" + "}" * 60),
    "maxLength-1000": _schema({"type": "string", "maxLength": 1000}),
    "regex-of-empty-loops": Regex("(a*)*" * 50 + "b"),
    "regex-of-many-dots": Regex(".*a.*b.*c.*d.*e.*f.*g.*h.*i.*j.*k"),
    "grammar-of-a-ring": Grammar(
        "root ::= a0\n" + "\n".join(f'a{n} ::= "z" a{(n + 1) % 900} | "y"' for n in range(900))
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_large_is_invalid_in_time(name: str) -> None:
    """The size of what a constraint takes is known before it is taken."""
    began = time.monotonic()
    with pytest.raises(InvalidArgument):
        automaton(REFUSED[name])
    assert time.monotonic() - began < MOST_S


@pytest.mark.parametrize("name", READY)
def test_what_only_looks_large_is_ready_in_time(name: str) -> None:
    """Depth and repetition that come to little are no reason to refuse."""
    began = time.monotonic()
    assert len(automaton(READY[name]).states) <= MAX_STATES
    assert time.monotonic() - began < MOST_S


_ALL = """
from pathlib import Path

from tests.grammar.test_limits import REFUSED
from wit_llm.errors import InvalidArgument
from wit_llm.grammar.constraint import automaton

for constraint in REFUSED.values():
    try:
        automaton(constraint)
    except InvalidArgument:
        pass
# Not getrusage, which begins with what the parent had when it forked.
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak.split()[1]) << 10)
"""


@pytest.mark.slow
def test_memory_is_bounded(environment: dict[str, str]) -> None:
    """A process that reads them all, one after the other, stays small."""
    done = subprocess.run([sys.executable, "-c", _ALL], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert int(done.stdout) < MOST_BYTES
