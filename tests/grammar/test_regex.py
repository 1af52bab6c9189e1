"""Regular expressions: what matches, and what is refused where."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.grammar.saying import allows, begins, said
from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.options import Regex

PATTERNS = [
    r"a|b*c",
    r"",
    r"(a*)*b?",
    r"^(?:ab|a)(?P<rest>b|)$",
    r"[ab]{2,3}",
    r"a{0,2}?b+?",
    r"[^ab]|[a-c\-]{2}",
    r"\w\d?|\W",
    r"a\.b|\x61\u0062",
    r"[]-]?".replace("[]-]", r"[\]-]"),
    r"x{|b}c]",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_matches_what_re_matches_as_a_whole(pattern: str) -> None:
    """Of all short texts over some characters, the same match."""
    texts = ["".join(text) for length in range(4) for text in product("abc1.-]", repeat=length)]
    texts += ["x{", "b}c]"]
    expected = [text for text in texts if re.fullmatch(pattern, text)]
    assert [text for text in texts if allows(Regex(pattern), text)] == expected


@pytest.mark.parametrize("pattern", [r"\D\W\S.", r"[^\d][^\w][^\s]", r"[\D][\W\d][\S]", r"[あ-ん]{1,3}🎉?[^ -~]"])
def test_what_is_said_matches_by_the_rules_of_both_dialects(pattern: str) -> None:
    """Shorthands mean what they mean with Unicode classes and without."""
    for seed in range(20):
        text = said(Regex(pattern), seed)
        assert text is not None
        assert re.fullmatch(pattern, text)
        assert re.fullmatch(pattern, text, re.ASCII)


def test_a_beginning_is_told_from_what_leads_nowhere() -> None:
    """A text that nothing can complete is no beginning."""
    pattern = Regex("ab+c|añb")
    assert [begins(pattern, text) for text in ("", "a", "abb", "abc", "abcc", "b", "añ")] == [True] * 4 + [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        pytest.param("(?=a)", "regex: look-ahead cannot be enforced, at character 1", id="look-ahead"),
        pytest.param("a(?!b)", "regex: look-ahead cannot be enforced, at character 2", id="negative-look-ahead"),
        pytest.param("(?<=a)b", "regex: look-behind cannot be enforced, at character 1", id="look-behind"),
        pytest.param("(?<!a)b", "regex: look-behind cannot be enforced, at character 1", id="negative-look-behind"),
        pytest.param(r"(a)\1", "regex: a back-reference cannot be enforced, at character 4", id="back-reference"),
        pytest.param(r"(?<x>a)\k<x>", "regex: a back-reference cannot be enforced, at character 8", id="by-name"),
        pytest.param(r"\bfoo", r"regex: '\\b' cannot be enforced, at character 1", id="word-border"),
        pytest.param("a^b", r"regex: '\^' inside cannot be enforced, at character 2", id="begin-inside"),
        pytest.param("a$b", r"regex: '\$' before the end cannot be enforced, at character 2", id="end-inside"),
        pytest.param("(?i)a", "regex: a flag cannot be enforced, at character 1", id="flag"),
        pytest.param("(?>a)", "regex: an atomic group cannot be enforced, at character 1", id="atomic"),
        pytest.param("a*+", "regex: a possessive quantifier cannot be enforced, at character 2", id="possessive"),
        pytest.param(r"\p{L}", "regex: a class of Unicode cannot be enforced, at character 1", id="unicode-class"),
        pytest.param("[[:alpha:]]", "regex: a class of POSIX cannot be enforced, at character 2", id="posix-class"),
    ],
)
def test_more_than_characters_in_a_row_is_unsupported(pattern: str, told: str) -> None:
    """What a regular language does not have is named, with its place."""
    with pytest.raises(Unsupported, match=f"^{told}$"):
        allows(Regex(pattern), "")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        pytest.param("a(b", r"'\(' without '\)', at character 2", id="open-group"),
        pytest.param("ab)", r"'\)' without '\(', at character 3", id="closed-group"),
        pytest.param("[ab", r"'\[' without '\]', or an empty class, at character 1", id="open-class"),
        pytest.param("[]", r"'\[' without '\]', or an empty class, at character 1", id="empty-class"),
        pytest.param("[b-a]", "a range ends before it begins, at character 2", id="range-backwards"),
        pytest.param(r"[a-\d]", "a range goes from character to character, at character 2", id="range-of-class"),
        pytest.param("*a", r"there is nothing for '\*' to repeat, at character 1", id="star-first"),
        pytest.param("a**", "a quantifier behind a quantifier, at character 3", id="two-stars"),
        pytest.param("a{3,2}", "a count ends at 2, before it begins, at 3, at character 2", id="count-backwards"),
        pytest.param("a{,2}", "a count begins with a number, at character 2", id="count-from-nothing"),
        pytest.param("a{1000000}", "a count is at most 100000, at character 2", id="large-count"),
        pytest.param(r"\x4", r"\\x wants 2 hexadecimal digits, at character 3", id="short-escape"),
        pytest.param(r"\ud800", r"\\ud800 is no character, at character 3", id="surrogate"),
        pytest.param(r"\q", r"'\\q' means nothing, at character 1", id="unknown-escape"),
        pytest.param("a\\", "more is wanted at the end, at character 3", id="backslash-last"),
        pytest.param("x\n(", r"'\(' without '\)', at line 2, character 1", id="second-line"),
    ],
)
def test_what_is_no_expression_is_invalid(pattern: str, told: str) -> None:
    """A bad expression says where it is bad."""
    with pytest.raises(InvalidArgument, match=f"^regex: {told}$"):
        allows(Regex(pattern), "")
