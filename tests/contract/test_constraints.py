"""What every backend does with a constraint: what it says satisfies it, or is the beginning of something that would."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.contract.conftest import TINY, Tinies
from tests.grammar.saying import allows, begins
from tests.grammar.saying import tiny as vocabulary
from tests.grammar.test_json_schema import SCHEMAS
from tests.worker.asking import ask, generate
from wit_llm.backends.base import End
from wit_llm.errors import Busy, TooLarge
from wit_llm.grammar.constraint import automaton
from wit_llm.options import Choice, Constraint, Decoding, Grammar, JsonSchema, Regex, Sampler
from wit_llm.tokenizer import Tokenizer
from wit_llm.worker.client import Engine, GraphSource

EOS = 2
SAMPLERS = [
    pytest.param(Sampler(temperature=0.0), id="greedy"),
    pytest.param(Sampler(temperature=2.0), id="warm"),
    pytest.param(
        Sampler(temperature=1.0, top_p=0.5, top_k=3, min_p=0.2, repetition_penalty=1.5, presence_penalty=1.0), id="all"
    ),
]
GREEDY = Sampler(temperature=0.0)
_PROMPT = Tokenizer.load(TINY).encode("<|user|>Tell me a joke.<|end|><|assistant|>", special=True)


def _decoding(constraint: Constraint | None, sampler: Sampler, seed: int = 0, most: int = 300) -> Decoding:
    return Decoding(most, (EOS,), sampler, seed, constraint=None if constraint is None else automaton(constraint))


def _said(
    engine: Engine, constraint: Constraint, sampler: Sampler, seed: int = 0, most: int = 300
) -> tuple[str, End | None]:
    """What a reply says, and how it ends; bytes of a character that was cut are left out."""
    token_ids, end = generate(engine, _PROMPT, _decoding(constraint, sampler, seed, most))
    if end is End.STOP:
        assert token_ids.pop() == EOS
    data = b"".join(vocabulary().tokens[token_id] for token_id in token_ids)
    return data.decode(errors="ignore" if end is End.LENGTH else "strict"), end


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SCHEMAS)
def test_json_validates(tiny: Engine, name: str, sampler: Sampler) -> None:
    """However a model is sampled, what it ends itself validates, and what is cut short is a beginning."""
    schema: Any = SCHEMAS[name]
    constraint = JsonSchema(json.dumps(schema))
    text, end = _said(tiny, constraint, sampler, most=100)
    if end is End.STOP:
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.validate(json.loads(text), schema, jsonschema.Draft202012Validator, format_checker=checker)
    else:
        assert begins(constraint, text)


PATTERNS = [
    r"a|b*c",
    r"[あ-ん]{3,5}|é",
    r"(\w+ ){2}\d{2,4}[^x-z]?",
    r"[ab]*a[ab]{6}",
    r"[^a]{4}[ü-😀]",
    r"(a*)*b",
    "",
]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_regex_matches_the_whole(tiny: Engine, pattern: str, sampler: Sampler) -> None:
    """The pattern holds from the first character to the last."""
    text, end = _said(tiny, Regex(pattern), sampler)
    assert re.fullmatch(pattern, text) if end is End.STOP else begins(Regex(pattern), text)


@pytest.mark.parametrize("choices", [("yes", "no", "yesterday"), ("naïve", "日本", "日本語"), ("",), ("x" * 99,)])
def test_a_choice_is_one_of_them(tiny: Engine, choices: tuple[str, ...]) -> None:
    """Warm or not, no other text comes."""
    said = {_said(tiny, Choice(choices), Sampler(temperature=2.0), seed) for seed in range(5)}
    assert {text for text, _ in said} <= set(choices)
    assert {end for _, end in said} == {End.STOP}


GRAMMARS = [
    pytest.param('root ::= "a" root "b" | "c"', id="balanced"),
    pytest.param('root ::= e\ne ::= t ("+" t)*\nt ::= [0-9]{1,3} | "(" e ")"', id="sums"),
    pytest.param('root ::= x y\nx ::= "a" x | ""\ny ::= "b" y "c" | x', id="nullable"),
    pytest.param('root ::= "a" root | "a" root "b" | "a"', id="ambiguous"),
    pytest.param('root ::= line{3}\nline ::= [A-Z] [a-z]{0,9} "\\n"', id="lines"),
]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("grammar", GRAMMARS)
def test_a_grammar_derives_it(tiny: Engine, grammar: str, sampler: Sampler) -> None:
    """Rules that call themselves are kept track of to any depth."""
    text, end = _said(tiny, Grammar(grammar), sampler)
    assert allows(Grammar(grammar), text) if end is End.STOP else begins(Grammar(grammar), text)


@pytest.mark.parametrize("most", range(1, 24, 3))
def test_what_is_cut_short_is_a_beginning(tiny: Engine, most: int) -> None:
    """Wherever ``max_new_tokens`` cuts, the rest could still come."""
    constraint = JsonSchema(
        '{"properties": {"答え": {"type": "string"}, "n": {"type": "integer"}}, "required": ["答え", "n"]}'
    )
    text, end = _said(tiny, constraint, Sampler(temperature=1.0), most=most)
    assert end is End.LENGTH
    assert begins(constraint, text)


def test_the_most_likely_json_is_what_the_model_knows(tiny: Engine) -> None:
    """A constraint that the model's own words satisfy changes nothing."""
    question = Tokenizer.load(TINY).encode("<|user|>Give me a JSON object.<|end|><|assistant|>", special=True)
    free, _ = generate(tiny, question, _decoding(None, Sampler(temperature=0.0)))
    text = b"".join(vocabulary().tokens[token_id] for token_id in free).decode()
    held, _ = generate(tiny, question, _decoding(Choice((text, "no")), Sampler(temperature=0.0)))
    assert held == free


def test_neighbours_are_not_held(tiny: Engine) -> None:
    """Of replies that are made at the same time, each has its own constraint, or none."""
    constraints: list[Constraint | None] = [
        None,
        Choice(("yes", "no")),
        None,
        Regex("[a-f]{40}"),
        JsonSchema("{}"),
        None,
    ]
    greedy = Sampler(temperature=0.0)
    alone = [generate(tiny, _PROMPT, _decoding(constraint, greedy)) for constraint in constraints]
    asked = [ask(tiny, _PROMPT, _decoding(constraint, greedy))[0] for constraint in constraints]
    together = [(heard.wait().token_ids, heard.end) for heard in asked]
    assert together == alone


def _slow(number: int) -> Regex:
    """Thousands of places that nearly every character leads through: a second's work for OpenVINO's engine."""
    return Regex(f"(?:{'[^a][^b]' * 1000}{number})?")


def test_a_neighbour_goes_on_while_a_new_constraint_is_prepared(tinies: Tinies) -> None:
    """However long OpenVINO takes to prepare one, replies that are being made do not stand still."""
    tiny = tinies["openvino"]
    beside, other = ask(tiny, _PROMPT, Decoding(3000, (), Sampler(temperature=0.0)))
    assert beside.first.wait(30)
    heard, request = ask(tiny, _PROMPT, _decoding(_slow(1), GREEDY))
    before = len(beside.token_ids)
    assert heard.first.wait(60)
    assert len(beside.token_ids) - before > 10 or beside.end is not None
    for one in (other, request):
        one.cancel()
    for reply in (beside, heard):
        reply.wait()


def test_what_waits_for_its_constraint_can_be_cancelled(tinies: Tinies) -> None:
    """Where OpenVINO prepares one, a request that has not entered yet ends at once; those behind it come as usual."""
    tiny = tinies["openvino"]
    constraints = (_slow(2), _slow(2), Choice(("yes", "no")))
    waiting = [ask(tiny, _PROMPT, _decoding(constraint, GREEDY)) for constraint in constraints]
    waiting[1][1].cancel()
    assert (waiting[1][0].wait().token_ids, waiting[1][0].end) == ([], End.CANCELLED)
    waiting[0][1].cancel()
    waiting[0][0].wait()
    assert waiting[2][0].wait().end is End.STOP


def test_a_grammar_with_too_many_readings_ends_alone(tiny: Engine) -> None:
    """A reply that cannot be followed any more fails, and its neighbour does not."""
    rules = '"a" root "b" | "a" same "c" | "a"'
    ambiguous = Grammar(f"root ::= {rules}\nsame ::= {rules}")
    warm = Sampler(temperature=2.0, repetition_penalty=0.1)
    greedy = _decoding(None, Sampler(temperature=0.0))
    alone = generate(tiny, _PROMPT, greedy)
    heard = [ask(tiny, _PROMPT, decoding)[0].wait() for decoding in (_decoding(ambiguous, warm), greedy)]
    assert heard[0].end is not None or isinstance(heard[0].error, TooLarge)
    assert (heard[1].token_ids, heard[1].end) == alone


@pytest.mark.slow
def test_backends_agree_under_a_constraint(tinies: Tinies) -> None:
    """The same model says the same on both backends, greedily."""
    constraints: list[Constraint] = [
        JsonSchema(json.dumps(SCHEMAS["person"])),
        Regex(PATTERNS[2]),
        Choice(("yes", "no")),
    ]
    said = [
        [_said(tinies[backend], constraint, Sampler(temperature=0.0)) for constraint in constraints]
        for backend in ("openvino", "pytorch")
    ]
    assert said[0] == said[1]


def test_what_openvino_keeps_of_constraints_is_bounded() -> None:
    """Ever new ones are taken while nothing is live; beside a reply, once they are too many, only those seen before."""
    engine = Engine(GraphSource("tiny", "openvino", TINY, settings={"constraints_mb": "1"}))
    greedy = Sampler(temperature=0.0)
    try:
        refused: Busy | None = None
        for attempt in range(5):  # where the machine stands still, the reply beside may be over too early
            for length in range(250, 260):
                assert _said(engine, Choice(("x" * length, "no")), greedy)[1] is End.STOP
            seen, new = Choice(("x" * 259, "no")), Choice(("x" * (290 + attempt), "no"))
            beside, request = ask(engine, _PROMPT, Decoding(900, (), greedy))
            assert beside.first.wait(30)
            assert _said(engine, seen, greedy)[1] is End.STOP
            try:
                _said(engine, new, greedy)
            except Busy as error:
                refused = error
            over = beside.end is not None
            request.cancel()
            beside.wait()
            if refused or not over:
                break
        assert str(refused).startswith("the graph keeps as many constraints as it may")
        assert _said(engine, new, greedy)[1] is End.STOP
    finally:
        engine.close()
