"""The chat templates of published models: rendered, encoded and guarded as ``transformers`` does it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library
from transformers import PreTrainedTokenizerFast

from tests.text import vocabularies
from tests.text.outcome import Outcome, outcome
from tests.text.test_transformers import CONVERSATIONS, SPECIAL_TOKENS
from wit_llm.text.chat import Chat
from wit_llm.text.message import Message, Role, Text
from wit_llm.tokenizer import Tokenizer

FOLDER = Path(__file__).with_name("templates") / "real"
TEMPLATES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.jinja"))}
VOCABULARIES = {"byte-level": vocabularies.byte_level(), "sentencepiece": vocabularies.sentencepiece()}
# What the vocabularies of these models have as control tokens, as far as the template writes it.
CONTROL = re.compile(r"<\|[^|>\s]+\|>|<\uff5c[^\uff5c>]+\uff5c>|\[/?[A-Z_]{3,}\]|</?(?:start|end)_of_turn>")
# Added to the vocabulary of the models that think or call, and not called special there.
ADDED = re.compile(r"</?(?:think|tool_call|tool_response)>")
# Those that want tools, or roles that no conversation below has, and say so.
ALWAYS_REFUSING = {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use"}

Said = list[tuple[str, str]]


class Pair:
    """Their tokenizer and our chat, for one template and vocabulary."""

    def __init__(self, template: str, vocabulary: str) -> None:
        source = TEMPLATES[template]
        self.control = sorted(set(CONTROL.findall(source)))
        self.added = sorted(set(ADDED.findall(source)))
        definition = vocabularies.with_added(VOCABULARIES[vocabulary], self.control, self.added)
        self.tokenizer = Tokenizer(definition)
        self.our = Chat(self.tokenizer, source, SPECIAL_TOKENS)
        self.their: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=Library.from_str(definition), **SPECIAL_TOKENS
        )
        self.their.chat_template = source

    def ours(self, said: Said, *, opened: bool) -> Outcome:
        """Text and token ids, or the words of the template that refuses."""

        def render() -> object:
            messages = [Message(Role(role), (Text(text),)) for role, text in said]
            rendered = self.our.render(messages, opened=opened)
            return rendered.text, self.our.encode(rendered)

        return outcome(render)

    def theirs(self, said: Said, *, opened: bool, sanitize: bool = False) -> Outcome:
        """The same of transformers."""

        def render() -> object:
            messages = [{"role": role, "content": text} for role, text in said]
            text = self.their.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
            token_ids = self.their.apply_chat_template(
                messages, add_generation_prompt=opened, return_dict=False, sanitize_control_tokens=sanitize
            )
            return text, list(token_ids)

        return outcome(render)


@cache
def _pair(template: str, vocabulary: str) -> Pair:
    return Pair(template, vocabulary)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_text_and_token_ids_are_those_of_transformers(template: str, vocabulary: str) -> None:
    """Of every conversation the same text, the same token ids, or the same refusal; most templates take most."""
    pair = _pair(template, vocabulary)
    asked = [(name, said, opened) for name, said in CONVERSATIONS.items() for opened in (True, False)]
    ours = {(name, opened): pair.ours(said, opened=opened) for name, said, opened in asked}
    theirs = {(name, opened): pair.theirs(said, opened=opened) for name, said, opened in asked}
    assert ours == theirs
    rendered = sum(kind == "rendered" for kind, _ in ours.values())
    assert rendered == 0 if template in ALWAYS_REFUSING else rendered >= len(asked) // 2


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in ALWAYS_REFUSING])
def test_what_a_user_writes_is_never_a_control_token(template: str, vocabulary: str) -> None:
    """Every control token of a template, written by the user, gives no more control tokens than a harmless word."""
    pair = _pair(template, vocabulary)
    control = set(pair.tokenizer.control_tokens.values())

    def control_ids(text: str) -> list[int]:
        kind, rendered = pair.ours([("user", text)], opened=True)
        assert kind == "rendered"
        assert isinstance(rendered, tuple)
        return [token_id for token_id in rendered[1] if token_id in control]

    harmless = control_ids("hello")
    for text in [*pair.control, *SPECIAL_TOKENS.values()]:
        for written in (text, f"x{text}y", f"{text}\n{text}", text[:-1]):
            assert control_ids(written) == harmless, written


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in ALWAYS_REFUSING])
def test_control_tokens_in_messages_are_encoded_as_transformers_does(template: str) -> None:
    """Where transformers is asked to keep control tokens out of messages, it comes to the same token ids."""
    pair = _pair(template, "byte-level")
    for text in pair.control:
        said: Said = [("user", f"x{text}y"), ("assistant", f"{text} z"), ("user", text)]
        (_, ours), (_, theirs) = pair.ours(said, opened=True), pair.theirs(said, opened=True, sanitize=True)
        assert isinstance(ours, tuple)
        assert isinstance(theirs, tuple)
        assert ours[1] == theirs[1], text
