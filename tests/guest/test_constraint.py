"""Constraints from inside a guest."""

from __future__ import annotations

import json
import re

from tests.conftest import Driver


def test_a_guest_gets_what_it_asked_for(driver: Driver) -> None:
    """Each kind of constraint holds for the reply, and the next turn is free again."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        can = prompt.describe(loaded).can
        wanted = prompt.Capability.JSON_SCHEMA | prompt.Capability.REGEX
        say((wanted | prompt.Capability.CHOICE | prompt.Capability.GRAMMAR) in can)
        fields = '"ok": {"type": "boolean"}, "answer": {"type": "integer"}'
        schema = '{"properties": {' + fields + '}, "required": ["ok", "answer"]}'
        for constraint in (
            types.Constraint_JsonSchema(schema),
            types.Constraint_Regex("[A-Z][a-z]{2,5}[.!]"),
            types.Constraint_Choice(["yes", "no"]),
            types.Constraint_Grammar('root ::= "(" root ")" | [0-9]'),
            None,
        ):
            reply = session(loaded).ask(types.Turn_Say("Tell me a joke."), greedy(constraint=constraint))
            say(kebab(reply.summary.reason), reply.text)
        """,
        graphs=["tiny"],
    )
    can, by_schema, by_regex, by_choice, by_grammar, free = outcome.stdout.decode().splitlines()
    assert can == "True"
    said = json.loads(by_schema.removeprefix("stop "))
    assert (type(said["ok"]), type(said["answer"]), len(said)) == (bool, int, 2)
    assert re.fullmatch(r"stop [A-Z][a-z]{2,5}[.!]", by_regex)
    assert by_choice in ("stop yes", "stop no")
    assert re.fullmatch(r"stop \(*[0-9]\)*", by_grammar)
    assert by_grammar.count("(") == by_grammar.count(")")
    assert free == "stop Why did the tensor cross the road? To get to the other rank."


def test_a_bad_constraint_is_a_value_and_changes_nothing(driver: Driver) -> None:
    """What is wrong is said with its place; what cannot be enforced, by its name; and the session is as it was."""
    outcome = driver.run(
        """
        talk = session(graph.load_by_name("tiny"))
        for constraint in (
            types.Constraint_JsonSchema('{"type": "array", "uniqueItems": true}'),
            types.Constraint_JsonSchema('{"type": "string", "maxLength": 1000000000}'),
            types.Constraint_JsonSchema('{"items":' * 5000 + "{}" + "}" * 5000),
            types.Constraint_Regex("(?<=x)*"),
            types.Constraint_Regex("((("),
            types.Constraint_Choice([]),
            types.Constraint_Grammar('root ::= root "a" | "b"'),
        ):
            say(failure(talk.ask, types.Turn_Say("x"), options(constraint=constraint)))
        say(talk.mark(), talk.ask(types.Turn_Say("Who are you?"), greedy()).text)
        """,
        graphs=["tiny"],
    )
    lines = outcome.stdout.decode().splitlines()
    assert [line[:60] for line in lines[:-1]] == [
        "unsupported: JSON schema: 'uniqueItems' cannot be enforced, ",
        "invalid: JSON schema: 'maxLength' is at most 100000 here, at",
        "invalid: the JSON schema is nested too deeply",
        "unsupported: regex: look-behind cannot be enforced, at chara",
        "invalid: regex: '(' without ')', at character 3",
        "invalid: choice: there is nothing to choose from",
        "invalid: rule 'root' calls itself before its first character",
    ]
    assert lines[-1] == "0 I am a tiny test model that lives inside this package."


def test_a_neighbour_answers_while_hostile_constraints_are_refused(driver: Driver) -> None:
    """Another session's reply is the same, whatever is asked beside it."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        alone = session(loaded).ask(types.Turn_Say("Tell me a joke."), greedy()).text
        beside = session(loaded)
        neighbour = beside.start(types.Turn_Say("Tell me a joke."), greedy())
        for constraint in (
            types.Constraint_Regex("[ab]*a[ab]{40}"),
            types.Constraint_Regex("((a{1,100}){1,100}){1,100}"),
            types.Constraint_Choice([str(number * 7919) for number in range(5000)]),
        ):
            say(failure(session(loaded).ask, types.Turn_Say("x"), options(constraint=constraint))[:36])
        say(read(neighbour)[0] == alone)
        """,
        graphs=["tiny"],
    )
    assert outcome.stdout.decode().splitlines() == [*["invalid: the constraint is too large"] * 3, "True"]
