"""The messages of a session, in turns."""

from __future__ import annotations

import pytest

from tests.text.fakes import message, row
from wit_llm.errors import InvalidArgument
from wit_llm.text.history import History
from wit_llm.text.message import Message, Text


def _messages(text: str) -> list[Message]:
    """``u1 a2``: what the user, then the assistant said."""
    roles = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    return [message(roles[word[0]], word[1:]) for word in text.split()]


def _turns(history: History) -> list[str]:
    return [row(turn) for turn in history.turns]


def _said(text: str) -> tuple[Text, ...]:
    """A reply."""
    return (Text(text),) if text else ()


def _history(turns: int) -> History:
    history = History()
    for number in range(turns):
        history = history.with_turn(_messages(f"u{number}")).with_reply(_said(f"r{number}"), joined=False)
    return history


@pytest.mark.parametrize(
    ("appended", "turns"),
    [
        pytest.param(["u1"], ["u1;"], id="a-question"),
        pytest.param(["u1 a2 u3 a4"], ["u1;a2;", "u3;a4;"], id="a-conversation"),
        pytest.param(["u1", "a2", "u3", "a4"], ["u1;a2;", "u3;a4;"], id="message-by-message"),
        pytest.param(["s0 u1 a2 u3"], ["s0;u1;a2;", "u3;"], id="system-and-user-begin-together"),
        pytest.param(["u1 u2 a3"], ["u1;u2;a3;"], id="two-users-in-a-row"),
        pytest.param(["u1", "u2 a3"], ["u1;", "u2;a3;"], id="two-users-apart"),
        pytest.param(["u1 a2 t3 a4 u5"], ["u1;a2;t3;a4;", "u5;"], id="tools-belong-to-their-call"),
        pytest.param(["a1 u2"], ["a1;", "u2;"], id="an-assistant-first"),
        pytest.param([""], [], id="nothing"),
    ],
)
def test_appended_messages_are_turns(appended: list[str], turns: list[str]) -> None:
    """A turn begins where the user or the system speaks after somebody else."""
    history = History()
    for text in appended:
        history = history.with_appended(_messages(text))
    assert (_turns(history), row(history.messages)) == (turns, "".join(turns))


@pytest.mark.parametrize(
    ("before", "sent", "turns"),
    [
        pytest.param("", "u1", ["u1;ar;"], id="the-first"),
        pytest.param("u1 a2", "u3", ["u1;a2;", "u3;ar;"], id="a-second"),
        pytest.param("u1 a2", "s3 u4 a5 u6", ["u1;a2;", "s3;u4;a5;u6;ar;"], id="all-of-one-start"),
        pytest.param("u1 a2", "t3", ["u1;a2;t3;ar;"], id="a-tools-outcome"),
        pytest.param("u1 a2 u3", "", ["u1;a2;", "u3;ar;"], id="what-was-appended-is-answered"),
        pytest.param("", "", ["ar;"], id="a-preamble-is-answered"),
    ],
)
def test_a_turn_is_what_one_start_sends_with_its_reply(before: str, sent: str, turns: list[str]) -> None:
    """However many messages there are; what begins with the assistant or a tool goes on with the turn before."""
    history = History().with_appended(_messages(before)).with_turn(_messages(sent)).with_reply(_said("r"), joined=False)
    assert _turns(history) == turns


def test_a_continued_reply_is_one_message() -> None:
    """What is added joins the message; nothing added to nothing has no part."""
    history = History().with_turn(_messages("u1 a2"))
    assert history.with_reply(_said("3"), joined=True).messages == tuple(_messages("u1 a23"))
    nothing = History().with_turn([message("user", "1"), message("assistant", "")])
    assert nothing.with_reply(_said(""), joined=True).messages == (message("user", "1"), message("assistant", ""))


def test_dropped_turns_are_counted() -> None:
    """Marks go on counting messages that are gone."""
    history = _history(4).without_oldest(1).without_oldest(2)
    assert (_turns(history), history.mark, history.dropped_turns) == (["u3;ar3;"], 8, 3)
    assert _history(4).without_oldest(0) == _history(4)


@pytest.mark.parametrize(
    ("mark", "turns"),
    [
        pytest.param(6, ["u0;ar0;", "u1;ar1;", "u2;ar2;"], id="as-it-is"),
        pytest.param(4, ["u0;ar0;", "u1;ar1;"], id="a-turn-back"),
        pytest.param(3, ["u0;ar0;", "u1;"], id="into-a-turn"),
        pytest.param(0, [], id="to-the-beginning"),
    ],
)
def test_rewinds(mark: int, turns: list[str]) -> None:
    """That many messages are left, and new ones are counted on from there."""
    history = _history(3).rewound(mark)
    assert (_turns(history), history.mark) == (turns, mark)


def test_rewinding_needs_messages_that_are_there() -> None:
    """More than were added is an error."""
    with pytest.raises(InvalidArgument, match=r"^rewind to 5: 4 messages were added so far$"):
        _history(2).rewound(5)


def test_rewinding_past_a_drop_is_refused() -> None:
    """A mark from before turns were dropped names a conversation that is no more; a later one is good."""
    dropped = _history(3).without_oldest(1).with_turn(_messages("u3")).with_reply(_said("r3"), joined=False)
    for mark in (0, 2, 5, 6):
        with pytest.raises(
            InvalidArgument, match=rf"^rewind to {mark}: turns were dropped when there were 6 messages$"
        ):
            dropped.rewound(mark)
    assert _turns(dropped.rewound(7)) == ["u1;ar1;", "u2;ar2;", "u3;"]
    assert dropped.rewound(8) is dropped
