"""Conversations with tools, calls, outcomes and reasoning are rendered and encoded as ``transformers`` does it."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer as Library
from transformers import PreTrainedTokenizerFast

from tests.text.families import MODELS, tokenizer, weather
from tests.text.outcome import outcome
from tests.text.test_families import TOOLS
from wit_llm.errors import InvalidArgument
from wit_llm.text.chat import Chat
from wit_llm.text.formats.table import Formats
from wit_llm.text.message import Call, Message, Outcome, Reasoning, Role, Text
from wit_llm.text.tools import read_tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.text.message import Part

DEFINITIONS = [
    {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": json.loads(tool.parameters_json_schema),
        },
    }
    for tool in TOOLS
]


def _user(text: str) -> Message:
    return Message(Role.USER, (Text(text),))


def _assistant(*parts: Part) -> Message:
    return Message(Role.ASSISTANT, parts)


def _tool(*outcomes: Outcome) -> Message:
    return Message(Role.TOOL, outcomes)


_ASKED = (Message(Role.SYSTEM, (Text("Be brief."),)), _user("What is the weather?"))
_RAIN = Outcome("call00001", "Rain, 12 °C", is_error=False)
CONVERSATIONS: dict[str, tuple[Message, ...]] = {
    "a-question": _ASKED,
    "no-system": (_user("naïve 東京 🎉?"),),
    "a-call": (*_ASKED, _assistant(weather())),
    "text-and-a-call": (*_ASKED, _assistant(Text("I look."), weather())),
    "an-outcome": (*_ASKED, _assistant(weather()), _tool(_RAIN)),
    "a-failure": (*_ASKED, _assistant(weather()), _tool(Outcome("call00001", "no such city", is_error=True))),
    "answered": (*_ASKED, _assistant(weather()), _tool(_RAIN), _assistant(Text("It rains.")), _user("And now?")),
    "two-calls": (
        *_ASKED,
        _assistant(weather(), weather("call00002", "Berlin")),
        _tool(_RAIN, Outcome("call00002", '{"sun": true}', is_error=False)),
    ),
    "odd-arguments": (
        *_ASKED,
        _assistant(Call("call00001", "plot", '{"points": [[1, 2.5], []], "title": "a \\"b\\"\\n é", "grid": null}')),
        _tool(Outcome("call00001", "", is_error=False)),
    ),
    "reasoning": (*_ASKED, _assistant(Reasoning("Hm.\nWell."), Text("Rain.")), _user("And now?")),
    "reasoning-last": (*_ASKED, _assistant(Reasoning("Hm."), Text("Rain."))),
    "reasoning-and-a-call": (*_ASKED, _assistant(Reasoning("Hm."), Text("I look."), weather()), _tool(_RAIN)),
    "nearly-control-tokens": (
        _user("<tool_cal [TOOL_CALL <|python_ta"),
        _assistant(Call("call00001", "say", '{"text": "<think [ARGS <|im_end"}')),
        _tool(Outcome("call00001", "</tool_respons ]", is_error=False)),
    ),
}


@cache
def _theirs(model: str) -> Any:
    it = MODELS[model]
    their = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Library.from_str(it.definition), **it.special_tokens
    )
    their.chat_template = it.template
    return their


@cache
def ours(model: str) -> Chat:
    """Our chat of a model."""
    it = MODELS[model]
    return Chat(tokenizer(model), it.template, it.special_tokens, Formats().marks(it.template))


def dicts(model: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as who uses transformers writes them for this model."""
    return [written for message in messages for written in _written(model, message)]


def _written(model: str, message: Message) -> list[dict[str, Any]]:
    outcomes = [part for part in message.parts if isinstance(part, Outcome)]
    if outcomes:
        return [
            {
                "role": "tool",
                "content": ("Error: " if outcome.is_error else "") + outcome.content,
                "tool_call_id": outcome.id,
                "name": "get_weather",
            }
            for outcome in outcomes
        ]
    written: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.reasoning and model in ("qwen3", "qwen3.5"):
        written["reasoning_content"] = message.reasoning
    elif message.reasoning and model == "ministral3-reasoning":
        thought = {"type": "thinking", "thinking": message.reasoning}
        written["content"] = [thought, {"type": "text", "text": message.text}]
    elif message.reasoning and MODELS[model].reasoning:
        written["content"] = f"<think>\n{message.reasoning}\n</think>\n\n{message.text}"
    calls = [part for part in message.parts if isinstance(part, Call)]
    if calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments_json)},
            }
            for call in calls
        ]
    return [written]


@pytest.mark.parametrize("tools", [True, False], ids=["tools", "no-tools"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("model", MODELS)
def test_text_and_token_ids_are_those_of_transformers(model: str, conversation: str, tools: bool) -> None:
    """The same text, the same token ids, or the same refusal."""
    messages = CONVERSATIONS[conversation]
    opened = messages[-1].role is not Role.ASSISTANT

    def expected() -> tuple[str, list[int]]:
        text = _theirs(model).apply_chat_template(
            dicts(model, messages),
            tools=DEFINITIONS if tools else None,
            tokenize=False,
            add_generation_prompt=opened,
        )
        return text, _theirs(model).encode(text, add_special_tokens=False)

    def found() -> tuple[str, list[int]]:
        rendered = ours(model).render(messages, read_tools(TOOLS) if tools else None, opened=opened)
        return rendered.text, ours(model).encode(rendered)

    assert outcome(found) == outcome(expected)


def test_both_outcomes_are_compared() -> None:
    """Refusals occur as well: Llama's templates have no place for two calls at once."""
    kinds = [
        outcome(partial(ours(model).render, messages, read_tools(TOOLS), opened=True))[0]
        for model in MODELS
        for messages in CONVERSATIONS.values()
    ]
    assert (kinds.count("rendered"), kinds.count("refused")) == (154, 2)


@pytest.mark.parametrize(
    ("model", "parts", "end"),
    [
        pytest.param("qwen3", (Reasoning("Hm"), Text("It ra")), "<think>\nHm\n</think>\n\nIt ra", id="qwen3-text"),
        pytest.param("qwen3", (Reasoning("Hm, so"),), "<think>\nHm, so", id="qwen3-reasoning"),
        pytest.param("qwq", (Reasoning("Hm, so"),), "<|im_start|>assistant\n<think>\nHm, so", id="qwq-reasoning"),
        pytest.param("ministral3-reasoning", (Reasoning("Hm"),), "[/INST][THINK]Hm", id="ministral-reasoning"),
        pytest.param("ministral3-reasoning", (Reasoning("Hm"), Text("It")), "[THINK]Hm[/THINK]It", id="ministral-text"),
        pytest.param("qwen2.5", (Text("It ra"),), "<|im_start|>assistant\nIt ra", id="qwen2.5-text"),
    ],
)
def test_a_message_is_continued_where_its_last_part_ends(model: str, parts: tuple[Part, ...], end: str) -> None:
    """Inside its reasoning, if that is what was cut short."""
    rendered = ours(model).render((*_ASKED, _assistant(*parts)), read_tools(TOOLS), resumed=True)
    assert rendered.text.endswith(end)
    assert rendered.reasons is isinstance(parts[-1], Reasoning)


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        pytest.param("deepseek-r1-distill", (Reasoning("Hm"),), id="the-template-drops-it"),
        pytest.param("qwen2.5", (Text("a"), Reasoning("Hm")), id="a-model-without-reasoning"),
    ],
)
def test_reasoning_that_a_template_leaves_out_cannot_be_continued(model: str, parts: tuple[Part, ...]) -> None:
    """There is no place to go on from."""
    with pytest.raises(InvalidArgument, match="^the chat template leaves out the message that is to be continued$"):
        ours(model).render((*_ASKED, _assistant(*parts)), resumed=True)


@pytest.mark.parametrize("model", ["qwq", "qwen3.5", "deepseek-r1-distill"])
def test_whether_the_template_opened_the_reasoning(model: str) -> None:
    """It is told from what a guest wrote last."""
    question = (_user("What?"),)
    assert ours(model).render(question, opened=True).reasons
    assert not ours(model).render(question).reasons
    assert ours(model).render((_user("Say <think>"),), opened=True).reasons


def test_a_guest_does_not_open_the_reasoning() -> None:
    """Words that stand last in the prompt are not the template's, whatever they are."""
    chat = Chat(tokenizer("qwq"), "</think>{{ messages[-1].content }}", {}, Formats().marks("</think>"))
    assert chat.render((_user("Say <think>"),), opened=True).text == "</think>Say <think>"
    assert not chat.render((_user("Say <think>"),), opened=True).reasons
