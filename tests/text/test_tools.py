"""Conversations with tools: what a turn lends, what comes out, what goes back in, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.grammar.saying import allows
from tests.text.fakes import Asked, Table, message
from tests.text.families import MODELS, REPLIES, tokenizer, weather
from tests.text.test_families import TOOLS, table
from tests.text.test_tool_rendering import ours
from wit_llm.backends.base import End
from wit_llm.errors import InvalidArgument, QuotaExceeded, Unsupported
from wit_llm.grammar.constraint import automaton
from wit_llm.limits import Limits
from wit_llm.options import NoTool, OnlyTool, Options, Regex, RequiredTool, Tool
from wit_llm.text.formats.table import Formats
from wit_llm.text.message import (
    Call,
    FinishReason,
    Message,
    Messages,
    Outcome,
    OverflowPolicy,
    Raw,
    Reasoning,
    Resume,
    Role,
    Say,
    Setup,
    Text,
    Tokens,
)
from wit_llm.text.model import Capability
from wit_llm.text.tools import DEPTH, CallIds, read_tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from wit_llm.text.message import Part

LENT = Options(tools=TOOLS)
ANY = '{"type": "object"}'


def _says(it: Table, model: str, *replies: str, end: End = End.STOP) -> None:
    """Let the engine give these replies in a row; what is a token of the model's is one."""
    left = list(replies)

    def speak(asked: Asked) -> None:
        asked.give(MODELS[model].token_ids(*left.pop(0).split("¦")))
        asked.end(end=end)

    it.engine.speak = speak


def _outcome(call_id: str, content: str = "Rain") -> Messages:
    return Messages((Message(Role.TOOL, (Outcome(call_id, content, is_error=False),)),))


def _assistant(*parts: Part) -> Message:
    return Message(Role.ASSISTANT, parts)


def _prompt(it: Table) -> str:
    return it.model.tokenizer.decode(it.asked.token_ids)


@pytest.mark.parametrize(
    ("model", "called"),
    [
        ("qwen2.5", REPLIES["qwen2.5-call"].pieces),
        ("qwen3", REPLIES["qwen3-reasoning-then-call"].pieces),
        ("qwen3.5", REPLIES["qwen3.5-reasoning-then-call"].pieces),
        ("llama3.2", REPLIES["llama3.2-call"].pieces),
        ("mistral-nemo", "[TOOL_CALLS]¦" + '[{"name": "get_weather", "arguments": {"city": "Paris"}}]'),
    ],
)
def test_a_call_its_outcome_and_the_answer(model: str, called: str) -> None:
    """The loop that a guest runs: each prompt is the conversation so far, as the model's own template has it."""
    it = table(model)
    _says(it, model, called, "Rain.")
    reply = it.session.ask(Say("What is the weather?"), LENT)
    assert (reply.summary.reason, reply.message.parts[-1]) == (FinishReason.TOOL_CALLS, weather())
    assert it.session.measure(_outcome("call00001"), LENT) == len(
        ours(model).encode(
            ours(model).render([*it.session.history(), *_outcome("call00001").messages], read_tools(TOOLS), opened=True)
        )
    )
    again = it.session.ask(_outcome("call00001"), LENT)
    history = it.session.history()
    assert [m.role for m in history] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
    assert history[1] == reply.message
    assert history[2].parts == (Outcome("call00001", "Rain", is_error=False),)
    assert history[3] == again.message
    rendered = ours(model).render(history[:3], read_tools(TOOLS), opened=True)
    assert it.asked.token_ids == ours(model).encode(rendered)
    assert again.summary.usage.prompt_tokens == len(it.asked.token_ids)


def test_what_was_generated_is_a_prefix_of_the_next_prompt() -> None:
    """So that the engine finds it in its cache: the rendering of a call is what the model wrote."""
    it = table("qwen2.5")
    _says(it, "qwen2.5", REPLIES["qwen2.5-text-then-call"].pieces, "ok")
    it.session.ask(Say("hi"), LENT)
    generated = [
        *it.asked.token_ids,
        *MODELS["qwen2.5"].token_ids(*REPLIES["qwen2.5-text-then-call"].pieces.split("¦")),
    ]
    it.session.ask(_outcome("call00001"), LENT)
    assert it.asked.token_ids[: len(generated)] == generated


# ---------------------------------------------------------------- choices


def test_with_choice_none_the_model_knows_of_no_tool() -> None:
    """Nothing of them is in the prompt, and what looks like a call is text."""
    it = table("qwen2.5")
    called = REPLIES["qwen2.5-call"]
    _says(it, "qwen2.5", called.pieces)
    reply = it.session.ask(Say("x"), Options(tools=TOOLS, tool_choice=NoTool()))
    assert "get_weather" not in _prompt(it)
    assert (reply.message.parts, reply.summary.reason) == (
        (Text(called.pieces.replace("¦", "")),),
        FinishReason.STOP,
    )


@pytest.mark.parametrize("choice", [RequiredTool(), OnlyTool("now")])
def test_a_choice_that_nothing_enforces_is_refused(choice: RequiredTool | OnlyTool) -> None:
    """It is not left to the model."""
    options = Options(tools=TOOLS, tool_choice=choice)
    it = MODELS["qwen2.5"]
    bare = Table(it.template, tokenizer=tokenizer("qwen2.5"), special_tokens=it.special_tokens)
    with pytest.raises(
        Unsupported, match="^tool-choice required and only are constraints, of which graph 'graph' has none$"
    ):
        bare.session.start(Say("x"), options)
    with pytest.raises(
        Unsupported, match="^tool-choice required and only cannot be enforced in the format of graph 'graph'$"
    ):
        table("qwen3-coder").session.start(Say("x"), options)


FORCED = Tool(
    "get_weather", "", '{"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}'
)
CALLED = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


@pytest.mark.parametrize(
    ("model", "ends", "rest", "cut"),
    [
        pytest.param("qwen2.5", "assistant\n<tool_call>\n", CALLED, '<tool_call>\n{"na', id="hermes"),
        pytest.param("qwen3", "assistant\n<tool_call>\n", CALLED, '<tool_call>\n{"na', id="may-think"),
        pytest.param("qwq", "<think>\n\n</think>\n\n<tool_call>\n", CALLED, '<tool_call>\n{"na', id="closed"),
        pytest.param("llama3.1", "\n\n", CALLED.replace("arguments", "parameters"), '{"na', id="llama"),
        pytest.param("mistral-nemo", "[TOOL_CALLS]", f"[{CALLED}]", '[TOOL_CALLS][{"na', id="mistral"),
        pytest.param(
            "mistral-small3.2",
            "[TOOL_CALLS]get_weather[ARGS]",
            '{"city": "Paris"}',
            '[TOOL_CALLS]get_weather[ARGS]{"ci',
            id="mistral-args",
        ),
    ],
)
@pytest.mark.parametrize("choice", [RequiredTool(), OnlyTool("get_weather")], ids=["required", "only"])
def test_a_call_that_is_required_is_begun_by_the_host(
    choice: RequiredTool | OnlyTool, model: str, ends: str, rest: str, cut: str
) -> None:
    """The prompt ends with the call's mark, and what follows is held to the tool's schema."""
    it = table(model)
    options = Options(tools=(FORCED,), tool_choice=choice)
    _says(it, model, rest)
    measured = it.session.measure(Say("x"), options)
    reply = it.session.ask(Say("x"), options)
    assert _prompt(it).endswith(ends)
    family = it.model.family
    assert family is not None
    assert family.demand is not None
    tools = read_tools((FORCED,))
    assert tools is not None
    constraint = family.demand(tools, MODELS[model].template).constraint
    assert it.asked.decoding.constraint is automaton(constraint)
    assert (reply.message.parts, reply.summary.reason) == ((weather(),), FinishReason.TOOL_CALLS)
    assert reply.summary.usage.prompt_tokens == measured == len(it.asked.token_ids)
    _says(it, model, cut.removeprefix(family.demand(tools, MODELS[model].template).opening), end=End.LENGTH)
    it.session.rewind(0)
    reply = it.session.ask(Say("x"), options)
    assert (reply.message.parts, reply.text, reply.summary.reason) == ((Text(cut),), cut, FinishReason.CONTEXT_FULL)
    # The mark of the call was the host's; the next turn shows the model all that it began with.
    _says(it, model, "")
    it.session.start(Say("y"))
    assert cut in _prompt(it)


REFERRING = {
    "$defs": {
        "place": {"type": "object", "properties": {"in": {"$ref": "#/$defs/place"}, "name": {"enum": ["Paris"]}}}
    },
    "properties": {"at": {"$ref": "#/$defs/place"}, "again": {"$ref": "#/properties/at"}},
    "required": ["at"],
}


@pytest.mark.parametrize("model", ["qwen2.5", "llama3.1", "mistral-nemo", "mistral-small3.2"])
@pytest.mark.parametrize("choice", [RequiredTool(), OnlyTool("go")], ids=["required", "only"])
def test_references_go_within_a_tools_own_schema(model: str, choice: RequiredTool | OnlyTool) -> None:
    """A schema with definitions means the same in a call that is required as it does alone."""
    other = {**REFERRING, "$defs": {"place": {"type": "integer"}}}
    tools = tuple(Tool(name, "", json.dumps(one)) for name, one in (("go", REFERRING), ("stay", other)))
    demand = table(model).model.wish(Options(tools=tools, tool_choice=choice)).demand
    assert demand is not None
    key = "parameters" if model == "llama3.1" else "arguments"
    place = '{"at": {"in": {"in": {"name": "Paris"}}, "name": "Paris"}, "again": {}}'
    called = f'{{"name": "go", "{key}": {place}}}'
    called = f"[{called}]" if model == "mistral-nemo" else called
    whole = place if "[ARGS]" in demand.opening else called
    if model == "mistral-small3.2" and isinstance(choice, RequiredTool):
        whole = f"[{called}]"
    assert allows(demand.constraint, whole)
    assert not allows(demand.constraint, whole.replace("Paris", "Rome"))
    assert not allows(demand.constraint, whole.replace('{"in": {"in"', '{"in": {"at"'))


def test_a_call_of_which_nothing_was_said_leaves_nothing() -> None:
    """A reply that is stopped before its first token has no text, as its mark was the host's."""
    it = table("qwen2.5")
    it.session.start(Say("x"), Options(tools=(FORCED,), tool_choice=RequiredTool())).stop()
    assert it.session.history()[1:] == (Message(Role.ASSISTANT, ()),)


def test_only_one_of_several_tools() -> None:
    """All are lent; the reply is held to the one."""
    it = table("llama3.1")
    both = (FORCED, Tool("now", "", ANY))
    schemas = []
    for choice in (RequiredTool(), OnlyTool("now")):
        demand = it.model.wish(Options(tools=both, tool_choice=choice)).demand
        assert demand is not None
        schemas.append([one["properties"]["name"]["const"] for one in demand.schema["anyOf"]])
    assert schemas == [["get_weather", "now"], ["now"]]
    it.session.start(Say("x"), Options(tools=both, tool_choice=OnlyTool("now")))
    assert "get_weather" in _prompt(it)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(
            Options(tools=TOOLS, constraint=Regex("a")),
            "a constraint holds for the whole reply and leaves no",
            id="both",
        ),
        pytest.param(
            Options(tools=TOOLS, tool_choice=RequiredTool(), ignore_eos=True),
            "ignore-eos goes on past the end",
            id="eos",
        ),
    ],
)
def test_what_cannot_be_together(options: Options, told: str) -> None:
    """A reply is held to one thing at a time."""
    with pytest.raises(InvalidArgument, match=f"^{told}"):
        table("qwen2.5").session.measure(Say("x"), options)


def test_a_message_that_is_continued_cannot_be_made_to_call() -> None:
    """The call would stand in the middle of it."""
    it = table("qwen2.5")
    it.session.append([message("user", "x"), message("assistant", "y")])
    with pytest.raises(InvalidArgument, match="^a message that is continued cannot be made to call; tool-choice auto"):
        it.session.start(Resume(()), Options(tools=TOOLS, tool_choice=RequiredTool()))


def test_what_is_held_to_a_constraint_does_not_reason_first() -> None:
    """A template that opens reasoning is closed again, and all of the reply is text."""
    it = table("qwq")
    _says(it, "qwq", "<think>yes")
    reply = it.session.ask(Say("x"), Options(constraint=Regex("<think>yes")))
    assert _prompt(it).endswith("assistant\n<think>\n\n</think>\n\n")
    assert (reply.text, reply.summary.usage.reasoning_tokens) == ("<think>yes", 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(Options(tool_choice=RequiredTool()), "tool-choice is required, and there is no tool", id="none"),
        pytest.param(
            Options(tools=(Tool("f", "", ANY),), tool_choice=OnlyTool("g")),
            "tool-choice is 'g'; the tools are f",
            id="only-another",
        ),
        pytest.param(
            Options(tools=(Tool("", "", ANY),)), "a tool's name is 1 to 64 of A-Z a-z 0-9 _ . -, got ''", id="no-name"
        ),
        pytest.param(Options(tools=(Tool("a b", "", ANY),)), "a tool's name is 1 to 64 of .*, got 'a b'", id="a-space"),
        pytest.param(Options(tools=(Tool("é", "", ANY),)), "a tool's name is 1 to 64 of .*, got 'é'", id="a-letter"),
        pytest.param(Options(tools=(Tool("x" * 65, "", ANY),)), "a tool's name is 1 to 64", id="a-long-name"),
        pytest.param(Options(tools=(Tool("f", "", ANY),) * 2), "tool 'f' is there twice", id="twice"),
        pytest.param(
            Options(tools=(Tool("f", "", ""),)), "parameters-json-schema of tool 'f' is not JSON: Expecting", id="empty"
        ),
        pytest.param(
            Options(tools=(Tool("f", "", "[]"),)),
            r"parameters-json-schema of tool 'f' must be a JSON object, got '\[\]'",
            id="a-list",
        ),
        pytest.param(
            Options(tools=(Tool("f", "", '{"type": "string"}'),)),
            "parameters-json-schema of tool 'f' must be of type object, got 'string'",
            id="a-string",
        ),
        pytest.param(
            Options(tools=(Tool("f", "", '{"minimum": NaN}'),)),
            "parameters-json-schema of tool 'f' is not JSON: NaN is no JSON",
            id="nan",
        ),
        pytest.param(
            Options(tools=(Tool("f", "", '{"a":' * (DEPTH + 2) + "1" + "}" * (DEPTH + 2)),)),
            "parameters-json-schema of tool 'f' is nested deeper than 64",
            id="deep",
        ),
        pytest.param(
            Options(tools=(Tool("f", "", "[" * 100_000),)), "parameters-json-schema of tool 'f' is not JSON", id="abyss"
        ),
    ],
)
def test_tools_are_checked(options: Options, told: str) -> None:
    """Wherever they come in; the message names the tool and the way out."""
    it = table("qwen2.5")
    with pytest.raises(InvalidArgument, match=f"^{told}"):
        it.session.start(Say("x"), options)
    with pytest.raises(InvalidArgument, match=f"^{told}"):
        it.session.measure(Say("x"), options)
    with pytest.raises(InvalidArgument, match=f"^{told}"):
        Table(MODELS["qwen2.5"].template, setup=Setup(defaults=options))
    assert it.session.history() == ()


def test_tools_have_no_place_where_there_is_no_template() -> None:
    """In turns of raw text and of tokens."""
    it = table("qwen2.5")
    for turn in (Raw("x"), Tokens((1,))):
        with pytest.raises(InvalidArgument, match="^tools go into the chat template, and a turn of raw text or of tok"):
            it.session.start(turn, LENT)


def test_models_that_take_no_tools_say_so() -> None:
    """Whether the template has no place for them, or shows no format that is known."""
    with pytest.raises(Unsupported, match="^graph 'graph' takes no tools: its chat template has no place for them$"):
        Table().session.start(Say("x"), LENT)
    told = (
        r"^graph 'graph' writes calls in no format that is known here; if it is one of hermes, qwen-coder, mistral, "
        r'llama, json, its manifest can say so: tools = "…"$'
    )
    with pytest.raises(Unsupported, match=told):
        Table("{{ tools }}").session.start(Say("x"), LENT)
    with pytest.raises(Unsupported, match=told):
        Table("{{ tools }}").model.render([message("user", "x")], TOOLS)


def test_a_model_says_what_it_can() -> None:
    """By its template."""
    can = {name: set(table(name).model.describe().can) & {Capability.TOOLS, Capability.REASONING} for name in MODELS}
    assert can == {
        name: {Capability.TOOLS} & ({Capability.TOOLS} if model.tools else set())
        | ({Capability.REASONING} if model.reasoning else set())
        for name, model in MODELS.items()
    }
    assert Capability.TOOLS not in Table().model.describe().can


def test_tools_count_as_prompt_bytes() -> None:
    """A guest cannot hand the host more in a schema than in a message."""
    it = Table(MODELS["qwen2.5"].template, limits=Limits(prompt_bytes=1000))
    it.session.measure(Say("x"), Options(tools=(Tool("f", "x" * 800, ANY),)))
    with pytest.raises(QuotaExceeded):
        it.session.measure(Say("x"), Options(tools=(Tool("f", "x" * 950, ANY),)))
    with pytest.raises(QuotaExceeded):
        it.session.append([_assistant(Call("1", "f", json.dumps({"a": "x" * 1000})))])


# ---------------------------------------------------------------- ids


def test_ids_are_unique_in_the_session() -> None:
    """The model's own are kept where they are; whatever is given or made is never given again."""
    it = table("mistral-nemo")
    one = '[{"name": "now", "arguments": {}, "id": "abcDEF123"}]'
    _says(it, "mistral-nemo", *[f"[TOOL_CALLS]¦{one}"] * 4)
    it.session.append(
        [message("user", "x"), _assistant(Call("call00001", "now", "{}")), *_outcome("call00001").messages]
    )
    ids = []
    for turn in (Messages(()), _outcome("abcDEF123"), _outcome("call00002")):
        reply = it.session.ask(turn, LENT)
        ids += [part.id for part in reply.message.parts if isinstance(part, Call)]
    assert ids == ["abcDEF123", "call00002", "call00003"]
    fork = it.session.fork()
    it.session.rewind(it.session.mark() - 1)
    fork.rewind(fork.mark() - 1)
    reply = fork.ask(Messages(()), LENT)
    assert reply.message.parts == (Call("call00004", "now", "{}"),)


def test_ids_of_a_reply_do_not_collide_with_each_other() -> None:
    """A model that gives two calls one id is corrected."""
    name = CallIds().for_reply(("a",))
    assert [name("a"), name("b"), name("b"), name(""), name("call00001")] == [
        "call00001",
        "b",
        "call00002",
        "call00003",
        "call00004",
    ]


# ---------------------------------------------------------------- history


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        pytest.param(
            (Message(Role.TOOL, (Outcome("x", "", is_error=False),)),),
            "outcome 'x' is that of no call before it",
            id="no-call",
        ),
        pytest.param(
            (_assistant(Call("a", "f", "{}"), Call("a", "g", "{}")),), "there are two calls of id 'a'", id="twice"
        ),
        pytest.param(
            (_assistant(Call("a", "f", '{"x": "\\ud83d"}')),),
            "arguments-json of call 'a' has half a surrogate pair",
            id="half-a-pair",
        ),
        pytest.param((_assistant(Call("a", "f g", "{}")),), "a call's name is 1 to 64 of .*, got 'f g'", id="bad-name"),
        pytest.param((_assistant(Call("a", "f", "{")),), "arguments-json of call 'a' is not JSON", id="bad-arguments"),
        pytest.param(
            (_assistant(Call("a", "f", "[]")),), "arguments-json of call 'a' must be a JSON object", id="a-list"
        ),
        pytest.param(
            (Message(Role.SYSTEM, (Reasoning("x"),)),), "a message of role system has no reasoning part", id="system"
        ),
        pytest.param(
            (Message(Role.TOOL, (Call("a", "f", "{}"),)),),
            "a message of role tool has no call part",
            id="a-calling-tool",
        ),
        pytest.param(
            (
                _assistant(Call("a", "f", "{}")),
                Message(Role.TOOL, (Text("x"), Outcome("a", "", is_error=False))),
            ),
            "a message of role tool has either text or outcomes",
            id="mixed",
        ),
    ],
)
def test_messages_are_checked(messages: tuple[Message, ...], told: str) -> None:
    """Wherever they come in, and nothing changes."""
    it = table("qwen2.5")
    calls: tuple[Callable[[], object], ...] = (
        lambda: it.session.append(messages),
        lambda: it.session.start(Messages((message("user", "x"), *messages))),
        lambda: it.session.measure(Messages((message("user", "x"), *messages))),
        lambda: it.model.render((message("user", "x"), *messages)),
        lambda: Table(MODELS["qwen2.5"].template, setup=Setup(messages)),
    )
    for call in calls:
        with pytest.raises(InvalidArgument, match=f"^{told}"):
            call()
    assert it.session.history() == ()


def test_a_template_without_calls_takes_none() -> None:
    """They are not left out in silence."""
    told = "^the chat template of graph 'graph' has no place for calls and their outcomes$"
    with pytest.raises(Unsupported, match=told):
        Table().session.append([_assistant(weather())])


def test_a_message_that_calls_cannot_be_continued() -> None:
    """Its outcomes come next."""
    it = table("qwen2.5")
    _says(it, "qwen2.5", REPLIES["qwen2.5-call"].pieces)
    it.session.ask(Say("x"), LENT)
    with pytest.raises(InvalidArgument, match="^a message that calls tools cannot be continued; answer its calls with"):
        it.session.start(Resume(()), LENT)


def test_reasoning_that_was_cut_short_is_continued() -> None:
    """The reply goes on inside it, and the two are one message."""
    it = table("qwen3")
    _says(it, "qwen3", "<think>¦\nLet me", " see\n¦</think>¦\n\nIt ra", "ins.", end=End.LENGTH)
    assert it.session.ask(Say("x")).message.parts == (Reasoning("Let me"),)
    second = it.session.ask(Resume(()))
    assert _prompt(it).endswith("<|im_start|>assistant\n<think>\nLet me")
    assert second.message.parts == (Reasoning(" see"), Text("It ra"))
    assert second.summary.usage.reasoning_tokens == len(" see\n") + 1
    third = it.session.ask(Resume(()))
    assert _prompt(it).endswith("<|im_start|>assistant\n<think>\nLet me see\n</think>\n\nIt ra")
    assert third.message.parts == (Text("ins."),)
    assert it.session.history()[1] == _assistant(Reasoning("Let me see"), Text("It rains."))


def test_dropping_turns_takes_calls_and_outcomes_together() -> None:
    """A turn goes whole: no outcome is left without its call."""
    it = Table(
        MODELS["qwen2.5"].template,
        tokenizer=tokenizer("qwen2.5"),
        special_tokens=MODELS["qwen2.5"].special_tokens,
        setup=Setup(on_overflow=OverflowPolicy.DROP_OLDEST_TURNS),
        window=700,
    )
    tools = Options(tools=(Tool("now", "", ANY),), max_output_tokens=50)
    for number in range(1, 8):
        _says(it, "qwen2.5", '<tool_call>{"name": "now"}¦</tool_call>', "12:34")
        reply = it.session.ask(Say(f"What time is it? {number}"), tools)
        (call,) = reply.message.parts
        assert isinstance(call, Call)
        assert call.id == f"call{number:05x}"
        it.session.ask(_outcome(call.id), tools)
    history = it.session.history()
    assert it.session.context().dropped_turns > 0
    assert history[0].role is Role.USER
    calls = {part.id for m in history for part in m.parts if isinstance(part, Call)}
    assert {part.id for m in history for part in m.parts if isinstance(part, Outcome)} == calls


def test_fork_and_rewind_with_calls() -> None:
    """A fork goes its own way from a call; a rewind takes the call back."""
    it = table("qwen2.5")
    _says(it, "qwen2.5", REPLIES["qwen2.5-call"].pieces, "Rain.", "Sun.")
    it.session.ask(Say("x"), LENT)
    fork = it.session.fork()
    assert it.session.ask(_outcome("call00001"), LENT).text == "Rain."
    assert fork.ask(_outcome("call00001", "Sun"), LENT).text == "Sun."
    assert (len(it.session.history()), len(fork.history())) == (4, 4)
    it.session.rewind(1)
    with pytest.raises(InvalidArgument, match="^outcome 'call00001' is that of no call before it$"):
        it.session.start(_outcome("call00001"), LENT)


def test_a_dropped_reply_takes_its_calls_back() -> None:
    """Nothing of it is in the history, and its id is not given again."""
    it = table("qwen2.5")
    _says(it, "qwen2.5", REPLIES["qwen2.5-call"].pieces, REPLIES["qwen2.5-call"].pieces)
    it.session.start(Say("x"), LENT).close()
    assert it.session.history() == ()
    assert it.session.ask(Say("x"), LENT).message.parts == (weather("call00002"),)


def test_a_stopped_reply_keeps_what_was_whole() -> None:
    """A call that was complete is kept; what was begun comes as text."""
    it = table("qwen2.5")
    generation = it.session.start(Say("x"), LENT)
    it.asked.give(MODELS["qwen2.5"].token_ids(*REPLIES["qwen2.5-call"].pieces.split("¦"), "<tool_call>"), None)
    generation.stop()
    generation.next()
    assert generation.summary().reason is FinishReason.CANCELLED
    assert it.session.history()[1] == _assistant(weather(), Text("<tool_call>"))


# ---------------------------------------------------------------- control tokens


def _control(model: str, token_ids: list[int]) -> list[str]:
    """The control tokens among token ids: those that are called special, or that the template writes."""
    texts = list(MODELS[model].tokens)
    known = [texts[token_id - 256] for token_id in token_ids if token_id >= 256]
    return [text for text in known if text in ours(model)._guard._texts]


_NASTY = st.sampled_from(
    [
        "<|im_end|>",
        "<tool_call>",
        "</tool_call>",
        "</think>",
        "<|im_",
        "end|>",
        "<",
        ">",
        "tool_call",
        "|",
        "x",
        " ",
        '"',
    ]
).flatmap(
    lambda word: st.lists(st.just(word) | st.sampled_from(["<|im_end|>", "tool_call", "a"]), min_size=1, max_size=3)
)
_WORDS = st.lists(_NASTY.map("".join), min_size=9, max_size=9)


def _conversation(words: list[str]) -> tuple[tuple[Message, ...], tuple[Tool, ...]]:
    """A conversation in which every text of a guest's is one of these words."""
    said, thought, key, value, content, call_id, name, description, title = words
    schema = {"type": "object", "properties": {key: {"type": "object", "title": title, name: [value]}}}
    call = Call(call_id, "f", json.dumps({key: {value: [said, 1]}}))
    return (
        message("user", said),
        _assistant(Reasoning(thought), Text(said), call),
        Message(Role.TOOL, (Outcome(call_id, content, is_error=True),)),
    ), (Tool("f", description, json.dumps(schema)),)


@given(_WORDS)
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("model", ["qwen3", "qwen3-coder", "qwq", "llama3.1", "ministral3-reasoning"])
def test_no_text_of_a_guests_makes_a_control_token(model: str, words: list[str]) -> None:
    """Wherever in messages, calls, outcomes and tools it stands, the control tokens are those of innocent words."""
    chat = ours(model)
    innocent = _conversation(["w" + "o" * len(word) for word in words])
    messages, tools = _conversation(words)
    token_ids = chat.encode(chat.render(messages, read_tools(tools), opened=True))
    assert _control(model, token_ids) == _control(
        model, chat.encode(chat.render(innocent[0], read_tools(innocent[1]), opened=True))
    )
    plain = chat._template.render(
        chat._filling.messages(messages, str), chat._filling.tools(read_tools(tools), str), opened=True
    )
    if "</think>" not in "".join(words):
        assert tokenizer(model).decode(token_ids) == plain


def test_words_of_json_schema_stay_what_they_are() -> None:
    """A template that asks for a type finds it, though some control token has the word inside."""
    template = (
        "{% for t in tools %}{% if t.function.parameters.type == 'object' %}yes{% endif %}"
        "{{ t.function.parameters.properties.id.type }}{% endfor %}<tool_call>{'name': <|object_ref_start|>"
    )
    chat = Table(template, tokenizer=tokenizer("qwen3"), formats=Formats()).model.chat
    tools = read_tools([Tool("f", "<|im_end|>", '{"type": "object", "properties": {"id": {"type": "object"}}}')])
    assert chat.render([message("user", "x")], tools).text.startswith("yesobject<tool_call>")
