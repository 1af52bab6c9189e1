"""Every function, option and event of ``wit-llm:nn`` on every backend, tried by a guest; see the table at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.architecture import ROOT
from tests.contract.text.cases import BACKENDS, ECHOES, PRELUDE, Case
from tests.contract.text.conftest import CELL
from tests.contract.text.functions import FUNCTIONS
from tests.contract.text.options import OPTIONS
from tests.contract.text.replies import REPLIES
from tests.contract.text.turns import TURNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.conftest import Driver

CASES = (*FUNCTIONS, *TURNS, *OPTIONS, *REPLIES)
INTERFACES = {"prompt", "session", "generation", "tokenizer", "embed"}
TYPES = set(
    "turn part tool-choice constraint preset sampler sampling options finish-reason usage event setup "
    "overflow-policy".split()
)
# Nothing to try: no limit of a guest ends a reply that has begun.
UNTRIED = {"finish-reason.quota"}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_backend_does_what_the_wit_says(
    driver: Driver,
    grants: Mapping[str, str],
    talker: str,
    case: Case,
    record_property: Callable[[str, object], None],
) -> None:
    """It says what it has to, or just that it cannot, where that is known; a hole that was closed is no hole."""
    lacks = talker in case.hole.backends
    record_property(CELL, (case.name, talker, "unsupported" if lacks else "n.a." if talker in case.untold else "yes"))
    embedder = talker if talker in ECHOES else f"vectors-{talker}"
    source = PRELUDE + driver.source(case.source)
    outcome = driver.run(source, graphs=list(grants.values()), args=[talker, embedder], status=int(lacks))
    if lacks:
        assert outcome.stderr.decode() == f"Err: unsupported: {case.hole.told.format(name=talker)}\n"
    else:
        assert outcome.stdout.decode().splitlines() == case.lines(talker)


def _promised() -> Iterator[str]:
    """What there is in the WIT, as ``owner.member``; of fields of a type that is tried itself, the type."""
    text = re.sub(r"///.*", "", (ROOT / "wit-llm" / "nn.wit").read_text())
    owner = {}
    for found in re.finditer(
        r"^( *)(?:(?:interface|resource) ([\w-]+) \{|([\w-]+): (?:static )?func\()", text, re.MULTILINE
    ):
        indent, opened, function = found.groups()
        if opened:
            owner[len(indent) + 4] = opened
        elif owner[len(indent)] in INTERFACES:
            yield f"{owner[len(indent)]}.{function}"
    for name, body in re.findall(r"(?:record|variant|enum) ([\w-]+) \{([^}]*)\}", text):
        plain = re.sub(r"<.*>", lambda found: found[0].replace(",", ""), re.sub(r"\([^)]*\)", "", body))
        members = (member.strip() for member in plain.split(",") if member.strip())
        for member, _, ty in (one.partition(": ") for one in members):
            if name in TYPES and not set(re.findall(r"[\w-]+", ty)) & (TYPES - {"options", "tool"}):
                yield f"{name}.{member}"


def test_every_name_of_the_wit_is_tried() -> None:
    """What is added to the interfaces has a case here, and what goes has none."""
    assert {case.name.partition(" ")[0] for case in CASES} | UNTRIED == set(_promised())


def test_every_hole_has_its_reason() -> None:
    """No backend lacks what the WIT has without a word why, and names are not tried twice."""
    assert all(case.hole.why for case in CASES if case.hole.backends)
    assert {backend for case in CASES for backend in (*case.hole.backends, *case.untold)} <= set(BACKENDS)
    assert len({case.name for case in CASES}) == len(CASES)
