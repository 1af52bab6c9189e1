"""Stop strings in text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wit_llm.text.stops import StopStrings


def _run(strings: list[str], pieces: list[str]) -> tuple[list[str], str | None]:
    """What each piece let through, and what ended it; what waited comes last."""
    stops = StopStrings(strings)
    shown = []
    for piece in pieces:
        text, matched, _ = stops.push(piece)
        shown.append(text)
        if matched is not None:
            return shown, matched
    return [*shown, stops.flush()], None


@pytest.mark.parametrize(
    ("strings", "pieces", "shown", "matched"),
    [
        pytest.param([], ["a", "b"], ["a", "b", ""], None, id="none"),
        pytest.param(["STOP"], ["abSTOPcd"], ["ab"], "STOP", id="in-one-piece"),
        pytest.param(["STOP"], ["abS", "T", "OP", "cd"], ["ab", "", ""], "STOP", id="across-pieces"),
        pytest.param(["STOP"], ["abST", "Ocd"], ["ab", "STOcd", ""], None, id="only-begun"),
        pytest.param(["STOP"], ["abST"], ["ab", "ST"], None, id="begun-at-the-end"),
        pytest.param(["STOP"], ["S", "S", "STOP"], ["", "S", "S"], "STOP", id="begun-again"),
        pytest.param(["aab"], ["a", "a", "a", "b"], ["", "", "a", ""], "aab", id="overlaps-itself"),
        pytest.param(["xyz", "y"], ["x", "yz"], ["", "x"], "y", id="complete-first-wins"),
        pytest.param(["bc", "xabcd"], ["xabcd"], ["xa"], "bc", id="complete-first-wins-in-one-piece"),
        pytest.param(["c", "abc", "bc"], ["abc"], [""], "abc", id="longest-of-those-complete"),
        pytest.param(["ab", "abc"], ["abc"], [""], "ab", id="shorter-is-complete-first"),
        pytest.param(["\n\n"], ["a\n", "\nb"], ["a", ""], "\n\n", id="line-breaks"),
        pytest.param(["🎉"], ["a🎉b"], ["a"], "🎉", id="one-character"),
        pytest.param(["x", "x"], ["ax"], ["a"], "x", id="the-same-twice"),
        pytest.param(["END"], ["", "E", "", "N", ""], ["", "", "", "", "", "EN"], None, id="empty-pieces"),
    ],
)
def test_lets_through_what_is_certain(
    strings: list[str], pieces: list[str], shown: list[str], matched: str | None
) -> None:
    """Text comes as soon as it cannot be part of a stop string, and nothing of one that is complete ever comes."""
    assert _run(strings, pieces) == (shown, matched)


_LETTERS = st.text("ab", min_size=1, max_size=4)


@given(st.lists(_LETTERS, max_size=4), st.lists(st.text("abc", max_size=3), max_size=8))
@settings(max_examples=500, deadline=None)
def test_pieces_do_not_matter(strings: list[str], pieces: list[str]) -> None:
    """However the text is cut, the same is shown, and the same string ends it."""
    text = "".join(pieces)
    for size in range(len(text) + 1):
        complete = [string for string in strings if text[:size].endswith(string)]
        if complete:
            longest = max(complete, key=len)
            expected: tuple[str, str | None] = (text[: size - len(longest)], longest)
            break
    else:
        expected = (text, None)
    shown, matched = _run(strings, pieces)
    assert ("".join(shown), matched) == expected


@given(st.lists(_LETTERS, min_size=1, max_size=3), st.lists(st.text("abc", max_size=3), max_size=8))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_around_the_string(strings: list[str], pieces: list[str]) -> None:
    """What was shown, the string, and what is behind it are the text so far."""
    stops = StopStrings(strings)
    shown = ""
    for size, piece in enumerate(pieces, 1):
        text, matched, behind = stops.push(piece)
        shown += text
        if matched is not None:
            assert shown + matched + behind == "".join(pieces[:size])
            return
    assert shown + stops.flush() == "".join(pieces)
