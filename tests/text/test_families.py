"""Replies of models that think and call tools: what of them is text, what is reasoning, and what is a call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text.fakes import Table
from tests.text.families import MODELS, REPLIES, Said, tokenizer, weather
from wit_llm.backends.base import End
from wit_llm.errors import OperatorError
from wit_llm.options import Options, Tool
from wit_llm.text.formats.reasoning import Thinking
from wit_llm.text.formats.reply import ReplyReader
from wit_llm.text.formats.table import FAMILIES, REASONING, Formats
from wit_llm.text.message import Call, FinishReason, Reasoning, Role, Say, Text, merged
from wit_llm.text.tools import CallIds, Tools, read_tools

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wit_llm.text.formats.base import Piece
    from wit_llm.text.generation import Generation
    from wit_llm.text.message import Event

_CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "Its name"}}, "required": ["city"]}
_POINTS = {
    "type": "object",
    "properties": {"points": {"type": "array"}, "title": {"type": "string"}, "grid": {"type": "boolean"}},
}
TOOLS = (
    Tool("get_weather", "The weather of a city.", json.dumps(_CITY)),
    Tool("plot", "Draws.", json.dumps(_POINTS)),
    Tool("say", "", '{"type": "object"}'),
    Tool("now", "The time.", "{}"),
)


def table(model: str) -> Table:
    """A session with a model whose replies a test says."""
    it = MODELS[model]
    return Table(it.template, tokenizer=tokenizer(model), special_tokens=it.special_tokens, constraints=True)


def _options(model: str, stop: tuple[str, ...] = ()) -> Options:
    return Options(tools=TOOLS if MODELS[model].tools else (), stop=stop)


def _reply(said: Said, arrivals: list[tuple[int, ...]], stop: tuple[str, ...] = ()) -> tuple[Generation, list[Event]]:
    """A reply that came so, and its events."""
    it = table(said.model)
    generation = it.session.start(Say("What is the weather?"), _options(said.model, stop))
    for token_ids in arrivals:
        it.asked.give(token_ids)
    it.asked.end(end=End.STOP if said.whole else End.LENGTH)
    batch = generation.next()
    assert batch.finished
    return generation, list(batch.events)


@pytest.mark.parametrize("said", REPLIES.values(), ids=REPLIES)
def test_a_reply_is_cut_into_its_parts(said: Said) -> None:
    """Reasoning, text and calls are apart, in order; the summary says why it ended and how much was reasoning."""
    generation, _ = _reply(said, said.arrivals)
    message = generation.message()
    assert (message.role, message.parts) == (Role.ASSISTANT, said.parts)
    assert generation.text == "".join(part.text for part in said.parts if isinstance(part, Text))
    called = any(isinstance(part, Call) for part in said.parts)
    summary = generation.summary()
    assert summary.reason is (
        FinishReason.CONTEXT_FULL if not said.whole else FinishReason.TOOL_CALLS if called else FinishReason.STOP
    )
    assert summary.usage.reasoning_tokens == said.reasoning_tokens
    assert summary.usage.generated_tokens == sum(map(len, said.arrivals)) + said.whole


@pytest.mark.parametrize("said", REPLIES.values(), ids=REPLIES)
def test_it_is_all_the_same_in_which_pieces_a_reply_comes(said: Said) -> None:
    """Token by token, a byte each where it is no token of the model's own, and all at once: the same parts."""
    token_ids = [token_id for arrival in said.arrivals for token_id in arrival]
    assert _reply(said, [(token_id,) for token_id in token_ids])[0].message().parts == said.parts
    assert _reply(said, [tuple(token_ids)])[0].message().parts == said.parts


@pytest.mark.parametrize("said", REPLIES.values(), ids=REPLIES)
def test_events_add_up_to_the_message(said: Said) -> None:
    """Every call is one event, complete; texts in a row are the text."""
    _, events = _reply(said, [(token_id,) for arrival in said.arrivals for token_id in arrival])
    assert [event for event in events if isinstance(event, Call)] == [p for p in said.parts if isinstance(p, Call)]
    texts = "".join(event.text for event in events if isinstance(event, Text))
    assert texts == "".join(part.text for part in said.parts if isinstance(part, Text))
    thoughts = "".join(event.text for event in events if isinstance(event, Reasoning))
    assert thoughts == "".join(part.text for part in said.parts if isinstance(part, Reasoning))
    assert all(event.text for event in events if isinstance(event, Text | Reasoning))


_WORDS = {
    "hermes": ["<tool_call>", "</tool_call>", '{"name": "z", "arguments": "{', "<tool", "_call>"],
    "qwen-coder": ["<tool_call>", "</tool_call>", "<function=z>", "</function>", "<parameter=z>", "</parameter>"],
    "mistral": ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "[", "]", '[{"name": "z"}]', "{}", "[TOOL_"],
    "llama": ["<|python_tag|>", ";", '{"name": "now", "parameters": {}}', "<|python", "{}"],
    "json": ["```json", "```", "[", "]", ",", '{"name": "now"}', '{"function": "now"}'],
}
_ANY = ["z", " ", "\n", '"', "\\", '{"name": "z"}', "{", "}", "1e999", "NaN", "[" * 2000]


@given(st.data())
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("name", FAMILIES)
def test_no_reply_breaks_a_reader(name: str, data: st.DataObject) -> None:
    """Whatever a model writes is read, the same in whatever pieces, and each letter of it is in a part."""
    fragments = data.draw(st.lists(st.sampled_from(_WORDS[name] + _ANY), max_size=10))
    text = "".join(fragments)
    tools = read_tools(TOOLS)
    assert tools is not None

    def parts(pieces: Iterable[str]) -> tuple[Piece, ...]:
        reader = ReplyReader(None, FAMILIES[name].reader(tools), CallIds().for_reply(()))
        read = [part for piece in pieces for part in reader.push(piece)]
        return merged([*read, *reader.flush()])

    whole = parts([text])
    assert parts(fragments) == parts(text) == whole
    found = "".join(
        part.name + part.arguments_json + part.id if isinstance(part, Call) else part.text for part in whole
    )
    assert found.count("z") == text.count("z")
    for part in whole:
        if isinstance(part, Call):
            assert isinstance(json.loads(part.arguments_json), dict)


_FRAGMENTS = st.sampled_from(
    [
        "<tool_call>",
        "</tool_call>",
        "<think>",
        "</think>",
        "<tool",
        "_call>",
        "</",
        "\n",
        " ",
        "z",
        '{"name": "z"}',
        '"',
    ]
)


@given(st.lists(_FRAGMENTS, max_size=9))
@settings(max_examples=1000, deadline=None)
def test_nothing_is_lost_and_pieces_do_not_matter(fragments: list[str]) -> None:
    """Whatever a model writes, each letter of it is in a part, and the parts are the same however it was cut up."""
    text = "".join(fragments)
    parts = _parts(fragments)
    assert _parts(text) == _parts([text]) == parts
    strings = "".join(string for part in parts for string in (part.name if isinstance(part, Call) else part.text))
    assert strings.count("z") == text.count("z")


def _parts(pieces: Iterable[str]) -> tuple[Piece, ...]:
    """What a reader makes of a reply that thinks and calls."""
    calls = FAMILIES["hermes"].reader(Tools(()))
    reader = ReplyReader(Thinking(REASONING["think"], begun=False), calls, CallIds().for_reply(()))
    read = [part for piece in pieces for part in reader.push(piece)]
    return merged([*read, *reader.flush()])


# ---------------------------------------------------------------- as it comes


def _started(model: str, stop: tuple[str, ...] = ()) -> tuple[Table, Generation]:
    it = table(model)
    return it, it.session.start(Say("hi"), _options(model, stop))


def test_text_before_a_call_streams_and_a_call_comes_once_it_is_whole() -> None:
    """No letter of a mark or of a call is shown, and none of the text waits for longer than its spaces."""
    it, generation = _started("qwen2.5")
    seen = []
    for piece in ["I", " look", ".", "\n", "<tool", "_call>", '{"name": "now"', "}", "\n", "</tool", "_call>", "\n"]:
        it.asked.give(tuple(piece.encode()))
        seen.append(generation.poll().events)
    assert seen == [
        *[(Text(text),) for text in ("I", " look", ".")],
        *[()] * 7,
        (Call("call00001", "now", "{}"),),
        (),
    ]


def test_reasoning_streams() -> None:
    """It is shown as it comes, less the spaces that may turn out to be its end."""
    it, generation = _started("qwen3.5")
    seen = []
    for piece in ["Let me", " see", "\n", "more", "\n", "</think>", "\n\n", "Yes"]:
        it.asked.give(MODELS["qwen3.5"].token_ids(piece))
        seen.append(generation.poll().events)
    assert seen == [
        (Reasoning("Let me"),),
        (Reasoning(" see"),),
        (),
        (Reasoning("\nmore"),),
        (),
        (),
        (),
        (Text("Yes"),),
    ]


def test_next_text_reads_over_reasoning_and_calls() -> None:
    """A guest that reads only text gets the text; the rest is in the message."""
    said = REPLIES["qwen3-reasoning"]
    it, generation = _started("qwen3")
    for arrival in said.arrivals:
        it.asked.give(arrival)
    it.asked.end()
    fragment = generation.next_text()
    assert (fragment.text, fragment.finished, generation.message().parts) == ("Hello!", True, said.parts)


@pytest.mark.parametrize(
    ("model", "reply", "parts", "matched"),
    [
        pytest.param("qwen3", "<think>Paris</think>In Paris", "In ", "Paris", id="not-in-reasoning"),
        pytest.param("qwen2.5", '<tool_call>{"name": "now"}</tool_call>a, now', "a, ", "now", id="not-in-a-call"),
        pytest.param("qwen2.5", 'n<tool_call>{"name": "now"}</tool_call>ow', "now", None, id="not-across-a-call"),
        pytest.param("qwen2.5", "Oh <tool_call>now</tool_call>", "Oh <tool_call>", "now", id="in-what-is-no-call"),
    ],
)
def test_stop_strings_are_looked_for_in_text(model: str, reply: str, parts: str, matched: str | None) -> None:
    """What a model thinks, and what it hands a tool, does not stop it."""
    it, generation = _started(model, stop=("Paris", "now"))
    it.asked.give(MODELS[model].token_ids(reply))
    it.asked.end()
    generation.next()
    summary = generation.summary()
    assert (generation.text, summary.matched_stop) == (parts, matched)
    assert (summary.reason is FinishReason.STOP_STRING) == (matched is not None)


def test_without_tools_calls_are_text_and_reasoning_is_apart_all_the_same() -> None:
    """Only what a turn lends can be called; the marks of a model's reasoning are its own."""
    it = table("qwen3")
    generation = it.session.start(Say("hi"))
    it.asked.give(MODELS["qwen3"].token_ids("<think>", "Hm", "</think>", '<tool_call>{"name": "now"}'))
    it.asked.end()
    assert generation.next().events == (Reasoning("Hm"), Text('<tool_call>{"name": "now"}'))
    assert generation.summary().reason is FinishReason.STOP


def test_control_tokens_that_are_no_marks_are_not_shown() -> None:
    """Beside the marks, control tokens stay what they were: nothing."""
    it, generation = _started("mistral-small3.2")
    pieces = ("a", "[INST]", "b", "[TOOL_CALLS]", "now", "[ARGS]", "{}", "[TOOL_CONTENT]")
    for piece in pieces:
        it.asked.give(MODELS["mistral-small3.2"].token_ids(piece))
    it.asked.end()
    generation.next()
    assert generation.message().parts == (Text("ab"), Call("call00001", "now", "{}"))


# ---------------------------------------------------------------- which format


@pytest.mark.parametrize("name", MODELS)
def test_the_template_shows_the_format(name: str) -> None:
    """Of every model here."""
    it = MODELS[name]
    family, marks = Formats().family(it.template), Formats().marks(it.template)
    assert (family and family.name, marks and marks.name) == (it.tools, it.reasoning)


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).with_name("templates").glob("*.jinja")), ids=lambda path: path.stem
)
def test_other_templates_show_none(path: Path) -> None:
    """Nothing is guessed."""
    source = path.read_text(encoding="utf-8")
    assert (Formats().family(source), Formats().marks(source)) == (None, None)


def test_a_manifest_has_the_last_word() -> None:
    """A name stands for that format, and ``none`` for text."""
    source = "{{ tools }} <tool_call>\n{'name': <think>"
    assert [Formats(tools=name).family(source) for name in FAMILIES] == list(FAMILIES.values())
    assert [Formats(reasoning=name).marks(source) for name in REASONING] == list(REASONING.values())
    assert (Formats(tools="none").family(source), Formats(reasoning="none").marks(source)) == (None, None)
    assert Formats(tools="json").family("no place for them") is None


def test_other_names_are_refused() -> None:
    """The message says which there are."""
    with pytest.raises(
        OperatorError, match="^tools is none of hermes, qwen-coder, mistral, llama, json, none: 'gorilla'$"
    ):
        Formats(tools="gorilla")
    with pytest.raises(OperatorError, match="^reasoning is none of think, mistral, none: 'yes'$"):
        Formats(reasoning="yes")


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        pytest.param('{"name": "get_weather", "arguments": {"city": "Paris"}}', (weather(),), id="bare"),
        pytest.param(
            '```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```', (weather(),), id="fenced"
        ),
        pytest.param(
            '[{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}, '
            '{"name": "get_weather", "parameters": {"city": "Berlin"}, "id": "b"}]',
            (weather(), weather("b", "Berlin")),
            id="a-list",
        ),
        pytest.param("[]", (Text("[]"),), id="an-empty-list"),
        pytest.param("[1, 2]", (Text("[1, 2]"),), id="a-list-of-numbers"),
        pytest.param("```python\nx\n```", (Text("```python\nx\n```"),), id="code"),
        pytest.param('{"name": "now"} and more', (Text('{"name": "now"} and more'),), id="text-behind"),
        pytest.param("", (), id="nothing"),
        pytest.param("  ", (Text("  "),), id="spaces"),
    ],
)
def test_models_without_marks_answer_in_json(reply: str, parts: tuple[object, ...]) -> None:
    """A whole reply of calls is that; everything else is text."""
    template = "{% if tools %}{{ tools }}{% endif %}{{ messages[-1].content }}"
    it = Table(template, formats=Formats(tools="json"))
    generation = it.session.start(Say("hi"), Options(tools=TOOLS))
    for byte in reply.encode():
        it.asked.give((byte,))
    it.asked.end()
    generation.next()
    assert generation.message().parts == parts


@pytest.mark.parametrize("size", [200_000])
def test_a_long_call_takes_no_longer_than_its_length(size: int) -> None:
    """Arguments that come a byte at a time are looked at once."""
    it, generation = _started("qwen2.5")
    text = "x" * size
    it.asked.give(tuple(f'<tool_call>{{"name": "say", "arguments": {{"text": "{text}"}}}}'.encode()))
    it.asked.give(tuple(b"</tool_call>"), End.LENGTH)
    assert generation.next().events == (Call("call00001", "say", json.dumps({"text": text})),)


@pytest.mark.parametrize(
    ("begins", "shown"),
    [
        pytest.param('{"a key that no call', True, id="another-key"),
        pytest.param('{"name', False, id="a-call's-key"),
        pytest.param('[ {\n "argument', False, id="a-call's-key-in-a-list"),
        pytest.param("{ 5", True, id="no-key"),
        pytest.param("[[", True, id="a-list-in-a-list"),
        pytest.param("{   \n", False, id="spaces"),
    ],
)
def test_what_cannot_become_a_call_is_not_held_back(begins: str, shown: bool) -> None:
    """A reply that is no call is shown as it comes, and is not looked at from its start with each token."""
    template = "{% if tools %}{{ tools }}{% endif %}{{ messages[-1].content }}"
    it = Table(template, formats=Formats(tools="json"))
    generation = it.session.start(Say("hi"), Options(tools=TOOLS))
    for byte in begins.encode():
        it.asked.give((byte,))
    said = "".join(event.text for event in generation.poll().events if isinstance(event, Text))
    assert said == (begins if shown else "")
