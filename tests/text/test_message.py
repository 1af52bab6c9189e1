"""What conversations are made of."""

from __future__ import annotations

from tests.work import Copied
from wit_llm.text.message import Call, Part, Reasoning, Text, merged


def test_parts_of_one_kind_become_one() -> None:
    """No text follows a text and no reasoning a reasoning, what is empty between them is nothing, and calls stay."""
    call = Call("a", "b", "{}")
    parts: list[Part] = [
        Text(""),
        Text("a"),
        Reasoning(""),
        Text("b"),
        Reasoning("c"),
        Reasoning("d"),
        call,
        call,
        Text("e"),
    ]
    assert merged(parts) == (Text("ab"), Reasoning("cd"), call, call, Text("e"))


def test_a_reply_of_many_tokens_is_put_together_once() -> None:
    """Each character of a long reply is copied once, and not again for each token behind it."""
    tokens = [Text(Copied("word ")) for _ in range(1000)]
    assert Copied.characters(lambda: merged(tokens)) <= 5 * 1000
