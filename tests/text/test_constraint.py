"""Constraints on their way from options to the engine."""

from __future__ import annotations

import pytest

from tests.text.fakes import Table
from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.grammar.constraint import automaton
from wit_llm.options import Choice, Constraint, Grammar, JsonSchema, Options, Regex
from wit_llm.text.message import Say, Setup
from wit_llm.text.model import Capability

CONSTRAINTS: dict[Capability, Constraint] = {
    Capability.JSON_SCHEMA: JsonSchema("{}"),
    Capability.REGEX: Regex("a*"),
    Capability.CHOICE: Choice(("a", "b")),
    Capability.GRAMMAR: Grammar('root ::= "a"'),
}


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_the_engine_is_told_an_automaton(kind: Capability) -> None:
    """Whatever kind a constraint is of, an engine gets it in one form; and the model says that it can."""
    table = Table(constraints=True)
    assert kind in table.model.describe().can
    table.session.start(Say("x"), Options(constraint=CONSTRAINTS[kind]))
    assert table.asked.decoding.constraint == automaton(CONSTRAINTS[kind])


@pytest.mark.parametrize("kind", CONSTRAINTS)
@pytest.mark.parametrize(
    ("table", "why"),
    [
        pytest.param(Table(), "its backend has none", id="backend"),
        pytest.param(Table(constraints=True, stop_token_ids=()), "it has no end token", id="end-token"),
    ],
)
def test_a_graph_without_constraints_says_so(kind: Capability, table: Table, why: str) -> None:
    """No constraint is left out in silence, in a turn, a measure or a session's defaults."""
    options = Options(constraint=CONSTRAINTS[kind])
    assert kind not in table.model.describe().can
    told = f"^options.constraint is not supported by graph 'graph': {why}$"
    for call in (table.session.start, table.session.measure):
        with pytest.raises(Unsupported, match=told):
            call(Say("x"), options)
    stops = table.model.stop_token_ids
    with pytest.raises(Unsupported, match=told):
        Table(setup=Setup(defaults=options), constraints=not stops, stop_token_ids=stops)


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        pytest.param(JsonSchema("{"), "the JSON schema is not JSON", id="json-schema"),
        pytest.param(Regex("("), r"regex: '\(' without '\)', at character 1", id="regex"),
        pytest.param(Choice(()), "choice: there is nothing to choose from", id="choice"),
        pytest.param(Grammar("root ::= x"), "rule 'root' refers to 'x', which is not there", id="grammar"),
        pytest.param(Regex("ab" * 2500), "the constraint is too large: it takes more than 4096 states", id="large"),
    ],
)
def test_a_bad_constraint_is_invalid_before_anything_begins(constraint: Constraint, told: str) -> None:
    """It is looked at when it is given: to a turn, or to a session as its default."""
    table = Table(constraints=True)
    options = Options(constraint=constraint)
    for call in (table.session.start, table.session.measure):
        with pytest.raises(InvalidArgument, match=f"^{told}"):
            call(Say("x"), options)
    with pytest.raises(InvalidArgument, match=f"^{told}"):
        Table(setup=Setup(defaults=options), constraints=True)
    assert table.engine.asked == []


def test_what_ends_is_not_gone_on_with() -> None:
    """``ignore-eos`` and a constraint contradict each other: behind an end nothing satisfies it."""
    with pytest.raises(InvalidArgument, match="^ignore-eos goes on past the end, and a constraint has an end"):
        Table(constraints=True).session.start(Say("x"), Options(constraint=Regex("a"), ignore_eos=True))


def test_stop_strings_end_a_constrained_reply_early() -> None:
    """A stop string is looked for in what a constraint let through, as in any text."""
    table = Table(constraints=True, speak=lambda asked: asked.say('{"a": 1, "b"'))
    reply = table.session.ask(Say("x"), Options(constraint=JsonSchema("{}"), stop=(", ",)))
    assert (reply.text, reply.summary.matched_stop) == ('{"a": 1', ", ")
