"""Grammars: what they derive, and what is refused where."""

from __future__ import annotations

import pytest

from tests.grammar.saying import allows, begins
from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.options import Choice, Grammar

# The shape of the JSON grammar that comes with llama.cpp.
JSON = r"""
# a comment
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


@pytest.mark.parametrize(
    ("text", "derived"),
    [
        ("{}", True),
        ('{"a": [1, -2.5e3, {"b": null}], "c\\u00e9": "é\\n"}\n', True),
        ('{"a": [1, 2}', False),
        ('{"a": 01}', False),
        ('{"a": "\x01"}', False),
        ("[]", False),
    ],
)
def test_a_grammar_of_json_derives_json(text: str, derived: bool) -> None:
    """Recursion, groups over lines, counts, classes and escapes are what llama.cpp means by them."""
    assert allows(Grammar(JSON), text) is derived


@pytest.mark.parametrize(
    ("grammar", "yes", "no"),
    [
        pytest.param('root ::= "a" root "b" | "c"', ["c", "aacbb"], ["", "acbb"], id="balanced"),
        pytest.param('root ::= "a" root | "a" root "b" | "a"', ["a", "aab", "aaabb"], ["ab", "aabb"], id="ambiguous"),
        pytest.param('root ::= x x\nx ::= y?\ny ::= "(" x ")"', ["", "()()", "(())"], [")(", "()()()"], id="nullable"),
        pytest.param("root ::= [a-c]{2} .\n", ["abé", "cc🎉"], ["ab", "adx", "abxy"], id="any"),
        pytest.param('root ::= "x"{,2} "\\u3042\\U0001F389\\x41"', ["あ🎉A", "xxあ🎉A"], ["xxxあ🎉A"], id="escapes"),
        pytest.param("root ::= [\\]\\-^]+ # end", ["]-^"], ["a"], id="class"),
        pytest.param('root ::= list\nlist ::= "x" "," list | "x"', ["x,x,x"], ["x,"], id="right-recursion"),
    ],
)
def test_derives(grammar: str, yes: list[str], no: list[str]) -> None:
    """A grammar derives its texts, and no others."""
    assert [allows(Grammar(grammar), text) for text in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize(
    ("grammar", "told"),
    [
        pytest.param("", r"grammar: there is no rule 'root'; there are \[\], at character 1", id="empty"),
        pytest.param(
            "x ::= [a]", r"grammar: there is no rule 'root'; there are \['x'\], at character 10", id="no-root"
        ),
        pytest.param("root ::= x", "rule 'root' refers to 'x', which is not there", id="unknown-rule"),
        pytest.param(
            'root ::= "a"\nroot ::= "b"', "grammar: rule 'root' is there twice, at line 2, character 1", id="twice"
        ),
        pytest.param('root = "a"', "grammar: '::=' is wanted behind the name of a rule, at character 6", id="equals"),
        pytest.param('root ::= "a', "grammar: '\"' without another, at character 10", id="open-text"),
        pytest.param('root ::= ("a"', r"grammar: '\(' without '\)', at character 10", id="open-group"),
        pytest.param("root ::= [a", r"grammar: '\[' without '\]', at character 10", id="open-class"),
        pytest.param('root ::= "a" )', "grammar: the end of a rule is wanted, at character 14", id="closed-group"),
        pytest.param('root ::= "\\q"', r"grammar: '\\q' means nothing, at character 11", id="unknown-escape"),
        pytest.param('root ::= "a"{x}', r"grammar: a count is \{n\}, .*, at character 13", id="bad-count"),
        pytest.param('root ::= root "a" | "b"', r"rule 'root' calls itself .* \(left recursion\)", id="left-recursion"),
        pytest.param(
            'root ::= n root "a" | "b"\nn ::= ""', r"rule 'root' calls itself .* \(left recursion\)", id="hidden"
        ),
        pytest.param('root ::= "a" root', "nothing satisfies the constraint", id="without-end"),
    ],
)
def test_what_is_no_grammar_is_invalid(grammar: str, told: str) -> None:
    """A bad grammar says where it is bad, or which rule."""
    with pytest.raises(InvalidArgument, match=f"^{told}$"):
        allows(Grammar(grammar), "")


def test_tokens_in_a_grammar_are_unsupported() -> None:
    """Characters are what a grammar is about here."""
    with pytest.raises(Unsupported, match=r"^grammar: a token cannot be enforced, at character 10$"):
        allows(Grammar("root ::= <[5]>"), "")


def test_a_choice_is_exactly_one_of_its_texts() -> None:
    """One may be the beginning of another, empty, or not ASCII."""
    choice = Choice(("yes", "yesterday", "", "日本"))
    assert all(allows(choice, text) for text in ("yes", "yesterday", "", "日本"))
    assert not any(allows(choice, text) for text in ("ye", "yes ", "日"))
    assert [begins(choice, text) for text in ("ye", "yest", "日", "no")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        pytest.param((), "choice: there is nothing to choose from", id="none"),
        pytest.param(("a", "\ud800"), "choice: string 1 has half a surrogate pair", id="surrogate"),
        pytest.param(("a\0b",), "choice: string 0 has a NUL, which is never said", id="nul"),
        pytest.param(("x" * 70_000,), "choice: all strings together have at most 65536 bytes, got 70000", id="long"),
    ],
)
def test_no_choice_is_invalid(choices: tuple[str, ...], told: str) -> None:
    """What cannot be chosen is not left out in silence."""
    with pytest.raises(InvalidArgument, match=f"^{told}$"):
        allows(Choice(choices), "")
