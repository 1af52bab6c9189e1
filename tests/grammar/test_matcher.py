"""The tokens that a matcher lets through are those after which there is still a way to an end."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from tests.grammar.saying import allows, begins, tiny
from wit_llm.errors import TooLarge
from wit_llm.grammar.constraint import automaton
from wit_llm.grammar.matcher import MAX_READINGS, Machine, Matchers, Vocabulary
from wit_llm.options import Choice, Constraint, Grammar, JsonSchema, Regex

CONSTRAINTS = [
    pytest.param(Regex("[^a]{0,3}[ü-\U0001f600]+z"), id="regex"),
    pytest.param(Choice(("naïve", "日本", "日本語", "")), id="choice"),
    pytest.param(Grammar('root ::= a a\na ::= "x"? b\nb ::= "(" a ")" | "" | [a-z]+ "."'), id="grammar"),
    pytest.param(JsonSchema('{"additionalProperties": {"$ref": "#"}}'), id="json-schema"),
    pytest.param(Regex("[a-zé]{9,14}(, x){0,6}"), id="counts"),
    pytest.param(JsonSchema('{"items": {"type": "string", "maxLength": 7}, "maxItems": 6}'), id="nested"),
]


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_the_mask_is_what_could_be_accepted(constraint: Constraint) -> None:
    """Token by token, at every place of some replies."""
    vocabulary, draw = tiny(), np.random.default_rng(0)
    matchers = Matchers(vocabulary)
    for _ in range(3):
        said: list[int] = []
        while len(said) < 20:
            here = matchers.matcher(automaton(constraint))
            assert all(map(here.accept, said))
            expected = []
            for token_id in range(vocabulary.size):
                there = matchers.matcher(automaton(constraint))
                assert all(map(there.accept, said))
                expected.append(there.accept(token_id))
            assert here.mask().tolist() == expected
            if not any(expected):
                assert here.may_end
                break
            said.append(int(draw.choice(np.flatnonzero(expected))))


COUNTED = {
    "[ab]{5}": "[ab][ab][ab][ab][ab]",
    "[ab]{0,6}": "[ab]?[ab]?[ab]?[ab]?[ab]?[ab]?",
    "[ab]{5,}c?": "[ab][ab][ab][ab][ab]+c?",
    "([ab]c?){5,6}": "[ab]c?[ab]c?[ab]c?[ab]c?[ab]c?([ab]c?)?",
    "(a+c){0,5}b": "(a+c)?(a+c)?(a+c)?(a+c)?(a+c)?b",
    # Where characters do not tell what comes again and what is over.
    "a{2,6}[ab]{5}": "aaa?a?a?a?[ab][ab][ab][ab][ab]",
    "(a|ab){5}": "(a|ab)(a|ab)(a|ab)(a|ab)(a|ab)",
    "(a*b?){5}c": "(a*b?)(a*b?)(a*b?)(a*b?)(a*b?)c",
    "a?[ab]{5,6}": "a?[ab][ab][ab][ab][ab][ab]?",
    "([ab]{5}c){5}|[ab]{6}": "|".join(("[ab][ab][ab][ab][ab]c" * 5, "[ab][ab][ab][ab][ab][ab]")),
}


@pytest.mark.parametrize("pattern", COUNTED)
def test_counting_says_the_same_as_one_copy_for_each_time(pattern: str) -> None:
    """Of all short texts, and of random ones as long as the pattern needs, both let the same through."""
    draw = random.Random(0)
    texts = ["".join(one) for size in range(6) for one in product("abc", repeat=size)]
    texts += ["".join(draw.choices("abc", (4, 4, 1), k=draw.randrange(8, 40))) for _ in range(200)]
    texts += [("ababac" * 6)[:size] for size in range(36)] + [("ababa" + "c") * 5]
    counted, copied = Regex(pattern), Regex(COUNTED[pattern])
    for text in texts:
        assert (allows(counted, text), begins(counted, text)) == (allows(copied, text), begins(copied, text)), text


def test_places_that_differ_in_what_is_left_share_a_mask() -> None:
    """A string of any length makes no more masks than its last characters, and every mask is right."""
    tokens = [b"a", b"aa", b"aaaaa", b'"', b'a"', b'a"}', b"x"]
    vocabulary = Vocabulary(tokens, len(tokens))
    machine = Machine(automaton(JsonSchema('{"type": "string", "maxLength": 1000}')), vocabulary)
    masks = [machine.mask(machine.after(machine.start, b'"' + b"a" * size)).tolist() for size in range(1001)]
    far, near = masks[0], masks[-7:]
    assert all(mask == far for mask in masks[:-7])
    assert [[bool(one) for one in mask[:5]] for mask in near] == [
        [left >= 1, left >= 2, left >= 5, True, left >= 1] for left in range(6, -1, -1)
    ]
    assert len(machine._masks) < 12


def test_what_is_not_said_and_what_utf_8_never_has_is_not_let_through() -> None:
    """Control tokens, holes of a vocabulary, ids beyond it and impossible bytes."""
    vocabulary = Vocabulary([b"a", b"", b"\xc0", b"\xff", b"\xc3", b"\xe0\x80", b"\xed\xa0"], 9)
    matcher = Matchers(vocabulary).matcher(automaton(Regex(".*")))
    assert matcher.mask().tolist() == [True, False, False, False, True, False, False, False, False]
    assert not matcher.accept(8)
    assert not matcher.mask().any()


def test_replies_under_one_constraint_do_not_know_of_each_other() -> None:
    """What is kept for a constraint holds nothing of a reply."""
    matchers = Matchers(Vocabulary([b"a", b"b"], 2))
    first, second = (matchers.matcher(automaton(Regex("ab"))) for _ in range(2))
    assert first.accept(0)
    assert second.mask().tolist() == [True, False]
    assert first.mask().tolist() == [False, True]


def test_too_many_readings_are_an_error_of_that_reply() -> None:
    """A grammar that can be read in ever more ways ends with its own reply, before it slows the others down."""
    ambiguous = automaton(
        Grammar('root ::= "a" root "b" | "a" same "c" | "a"\nsame ::= "a" root "b" | "a" same "c" | "a"')
    )
    machine = Machine(ambiguous, Vocabulary([b"a"], 1))
    with pytest.raises(TooLarge, match=f"^the grammar is too ambiguous: more than {MAX_READINGS} ways to read"):
        machine.after(machine.start, b"a" * 100)
    assert machine.after(machine.start, b"aaa")


def test_nesting_without_end_is_an_error_of_that_reply() -> None:
    """What a machine keeps is bounded, however deep a reply goes."""
    machine = Machine(automaton(Grammar('root ::= "(" root ")" | "x"')), Vocabulary([b"("], 1))
    with pytest.raises(TooLarge, match="^what was said is nested too deeply for the constraint$"):
        machine.after(machine.start, b"(" * 80_000)
