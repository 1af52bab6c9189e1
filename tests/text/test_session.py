"""Conversations: what is sent, what is kept, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.text.fakes import Asked, Table, message, row
from wit_llm.backends.base import End
from wit_llm.bell import Bell
from wit_llm.errors import BackendFailure, InvalidArgument, Overflow, QuotaExceeded, QuotaKind, Unsupported
from wit_llm.limits import Limits
from wit_llm.options import (
    PRESETS,
    AutoTool,
    ByPreset,
    Decoding,
    Exact,
    HostDefault,
    NoTool,
    Options,
    Preset,
    Sampler,
)
from wit_llm.text.message import (
    Call,
    Context,
    FinishReason,
    Media,
    Message,
    Messages,
    Outcome,
    OverflowPolicy,
    Part,
    Raw,
    Reasoning,
    Resume,
    Role,
    Say,
    Setup,
    Text,
    Tokens,
    Turn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = "^a reply of this session is being produced: finish, stop or drop it first$"
DROP = OverflowPolicy.DROP_OLDEST_TURNS


def _answering(*replies: str, end: End = End.STOP) -> Callable[[Asked], None]:
    """An engine that gives these replies in a row, at once."""
    left = list(replies)
    return lambda asked: asked.end(left.pop(0), end)


def _say(table: Table, text: str, options: Options | None = None) -> str:
    return table.session.ask(Say(text), options).text


# ---------------------------------------------------------------- what is sent


def test_a_conversation() -> None:
    """Each turn sends the preamble, all that was said, and the answer's opening."""
    preamble = (message("system", "Be brief"), message("user", "eg"), message("assistant", "ok"))
    table = Table(setup=Setup(preamble), speak=_answering("A", "B"))
    assert (_say(table, "one"), table.asked.text) == ("A", "sBe brief;ueg;aok;uone;>")
    assert (_say(table, "two"), table.asked.text) == ("B", "sBe brief;ueg;aok;uone;aA;utwo;>")
    history = (message("user", "one"), message("assistant", "A"), message("user", "two"), message("assistant", "B"))
    assert (table.session.history(), table.session.mark()) == (history, 4)
    assert table.session.context() == Context(
        used=len("sBe brief;ueg;aok;" + row(history)), window=4096, dropped_turns=0
    )


@pytest.mark.parametrize(
    ("turn", "sent", "kept"),
    [
        pytest.param(Say("x"), "uq;ar;ux;>", "uq;ar;ux;aR;", id="say"),
        pytest.param(Say(""), "uq;ar;u;>", "uq;ar;u;aR;", id="say-nothing"),
        pytest.param(
            Messages((message("system", "s"), message("user", "x"))), "uq;ar;ss;ux;>", "uq;ar;ss;ux;aR;", id="messages"
        ),
        pytest.param(Messages((message("tool", "12"),)), "uq;ar;t12;>", "uq;ar;t12;aR;", id="a-tool"),
        pytest.param(Messages((message("assistant", "x"),)), "uq;ar;ax;>", "uq;ar;ax;aR;", id="the-assistant-last"),
        pytest.param(Messages(()), "uq;ar;>", "uq;ar;aR;", id="no-messages"),
        pytest.param(
            Resume((message("user", "x"), message("assistant", "b"))), "uq;ar;ux;ab", "uq;ar;ux;abR;", id="resume"
        ),
        pytest.param(Resume(()), "uq;ar", "uq;arR;", id="resume-the-last-reply"),
        pytest.param(Raw("x<|end|>y"), "x<|end|>y", "uq;ar;", id="raw"),
        pytest.param(Tokens((120, 256, 121)), "x<|end|>y", "uq;ar;", id="tokens"),
    ],
)
def test_kinds_of_turns(turn: Turn, sent: str, kept: str) -> None:
    """What each kind sends after a turn, what the history is with its reply, and that ``measure`` knew its size."""
    table = Table(speak=_answering("r", "R"))
    _say(table, "q")
    measured = table.session.measure(turn)
    reply = table.session.ask(turn)
    assert (table.asked.text, row(table.session.history())) == (sent, kept)
    assert measured == reply.summary.usage.prompt_tokens == len(table.asked.token_ids)
    assert (reply.text, reply.message) == ("R", message("assistant", "R"))
    assert table.session.mark() == kept.count(";")


def test_raw_text_and_tokens_reach_the_engine_as_they_are() -> None:
    """Control tokens in them are control tokens: 256 is one, its text is seven bytes elsewhere."""
    table = Table(speak=_answering("", "", ""))
    table.session.ask(Raw("a<|end|>"))
    assert table.asked.token_ids == [97, 256]
    table.session.ask(Tokens((5, 261, 5)))
    assert table.asked.token_ids == [5, 261, 5]
    _say(table, "a<|end|>")
    assert table.asked.token_ids == list(b"ua<|end|>;>")


def test_a_reply_that_has_control_tokens_as_text_stays_text() -> None:
    """What the model said is guarded in the next turn like what the guest said."""
    table = Table(speak=_answering("<|end|>", ""))
    _say(table, "x")
    _say(table, "y")
    assert table.asked.token_ids == list(b"ux;a<|end|>;uy;>")


@pytest.mark.parametrize(
    ("turn", "error"),
    [
        pytest.param(Tokens(()), "^the prompt has no token", id="no-tokens"),
        pytest.param(Raw(""), "^the prompt has no token", id="empty-raw"),
        pytest.param(Tokens((1, 320)), "has token 320; the model has 0 to 319$", id="token-of-no-model"),
        pytest.param(Messages(()), "^there is no message to answer$", id="no-message-at-all"),
        pytest.param(Resume(()), "^only the assistant's message can be continued", id="no-reply-to-resume"),
        pytest.param(Resume((message("user", "x"),)), "^only the assistant's message can", id="resume-the-user"),
    ],
)
def test_turns_that_mean_nothing(turn: Turn, error: str) -> None:
    """They are refused, and nothing changes."""
    table = Table()
    for call in (table.session.start, table.session.measure):
        with pytest.raises(InvalidArgument, match=error):
            call(turn)
    assert (table.engine.asked, table.session.history()) == ([], ())
    table.session.start(Say("x"))


def test_only_a_reply_is_resumed_not_an_example() -> None:
    """The preamble's last message is no reply, though it is the assistant's; what was appended can be one."""
    table = Table(setup=Setup((message("assistant", "example"),)), speak=_answering("!"))
    with pytest.raises(InvalidArgument, match="^only the assistant's message can be continued"):
        table.session.start(Resume(()))
    table.session.append([message("user", "x"), message("assistant", "y")])
    table.session.ask(Resume(()))
    assert row(table.session.history()) == "ux;ay!;"


def test_a_preamble_alone_can_be_answered() -> None:
    """No messages ask for an answer to what is there."""
    table = Table(setup=Setup((message("user", "Hello"),)), speak=_answering("Hi"))
    table.session.ask(Messages(()))
    assert (table.asked.text, row(table.session.history())) == ("uHello;>", "aHi;")


# ---------------------------------------------------------------- models without a template, parts that are not text


def test_a_model_without_a_template_takes_raw_text_and_tokens() -> None:
    """Everything that needs a template says so, and names what does not."""
    table = Table(template=None, speak=_answering("a", "b"))
    for refused in (Say("x"), Messages((message("user", "x"),)), Messages(()), Resume(())):
        for call in (table.session.start, table.session.measure):
            with pytest.raises(
                Unsupported, match="^graph 'graph' has no chat template; it takes turns of raw text and of"
            ):
                call(refused)
    with pytest.raises(Unsupported, match="^graph 'graph' has no chat template"):
        table.session.append([message("user", "x")])
    with pytest.raises(Unsupported, match="^graph 'graph' has no chat template"):
        Table(template=None, setup=Setup((message("system", "x"),)))
    assert table.session.ask(Raw("x")).text == "a"
    assert table.session.ask(Tokens((1,))).text == "b"
    assert table.session.context() == Context(0, 4096, 0)


HAS_NONE = "^a message of role user has no {} part$"
PARTS = [
    pytest.param(Media("image/png", b"\x89"), Unsupported, "^a media part of a message is not supported", id="media"),
    pytest.param(Reasoning("hm"), InvalidArgument, HAS_NONE.format("reasoning"), id="reasoning"),
    pytest.param(Call("1", "f", "{}"), InvalidArgument, HAS_NONE.format("call"), id="call"),
    pytest.param(Outcome("1", "x", is_error=False), InvalidArgument, HAS_NONE.format("outcome"), id="outcome"),
]


@pytest.mark.parametrize(("part", "error", "told"), PARTS)
def test_parts_that_a_user_does_not_have_are_refused_by_name(part: Part, error: type[Exception], told: str) -> None:
    """Wherever messages come in, nothing of them is left out in silence."""
    mixed = (Message(Role.USER, (Text("see"), part)),)
    table = Table()
    with pytest.raises(error, match=told):
        Table(setup=Setup(mixed))
    for call in (
        lambda: table.session.start(Messages(mixed)),
        lambda: table.session.ask(Resume(mixed)),
        lambda: table.session.measure(Messages(mixed)),
        lambda: table.session.append(mixed),
        lambda: table.model.render(mixed),
    ):
        with pytest.raises(error, match=told):
            call()
    assert table.session.history() == ()


def test_a_refusing_template_refuses_the_turn_alone() -> None:
    """What the template has against a turn is an error of that turn; counting what there is never fails."""
    template = (
        "{% if messages[0].role != 'user' %}{{ raise_exception('No system') }}{% endif %}{{ messages[-1].content }}"
    )
    table = Table(template, speak=_answering("r"))
    assert table.session.append([message("system", "12345")]) == Context(5, 4096, 0)
    with pytest.raises(InvalidArgument, match="^the chat template refuses these messages: No system$"):
        _say(table, "x")
    assert row(table.session.history()) == "s12345;"
    table.session.rewind(0)
    assert _say(table, "x") == "r"


# ---------------------------------------------------------------- options


def test_the_engine_is_told_everything() -> None:
    """Every default is resolved before the engine hears of it."""
    bell = Bell()
    table = Table(sampler=Sampler(temperature=0.5, top_k=3), bell=bell)
    table.session.start(Say("x"), Options(max_output_tokens=7, seed=9, stop=("a",), logprobs=1))
    assert table.asked.decoding == Decoding(7, (256,), Sampler(temperature=0.5, top_k=3), 9, 1, bell.guest)


def test_ignore_eos_goes_past_the_end_token() -> None:
    """The engine is told no token that ends a reply."""
    table = Table()
    table.session.start(Say("x"), Options(ignore_eos=True))
    assert table.asked.decoding.stop_token_ids == ()


@pytest.mark.parametrize(
    ("sampling", "sampler"),
    [
        pytest.param(HostDefault(), Sampler(temperature=0.5), id="host-default"),
        pytest.param(Exact(Sampler(top_p=0.5)), Sampler(top_p=0.5), id="exact"),
        *(pytest.param(ByPreset(preset), PRESETS[preset], id=preset.value) for preset in Preset),
    ],
)
def test_sampling(sampling: HostDefault | Exact | ByPreset, sampler: Sampler) -> None:
    """The model's own way, a preset's, or exactly these numbers and no others."""
    table = Table(sampler=Sampler(temperature=0.5))
    table.session.start(Say("x"), Options(sampling=sampling))
    assert table.asked.decoding.sampler == sampler


def test_options_replace_each_other_as_a_whole() -> None:
    """A turn's hold alone; without, the session's; without those, the model's."""
    model, session = Sampler(temperature=0.5), Sampler(temperature=1.5)
    defaults = Options(max_output_tokens=5, sampling=Exact(session), seed=1)
    table = Table(setup=Setup(defaults=defaults), sampler=model, speak=_answering(*"abc"))
    _say(table, "x")
    scope = table.asked.decoding.cache_scope
    assert table.asked.decoding == Decoding(5, (256,), session, 1, cache_scope=scope)
    _say(table, "x", Options(seed=2))
    assert table.asked.decoding == replace(
        Decoding(1, (256,), model, 2, cache_scope=scope), max_new_tokens=4096 - len(table.asked.token_ids)
    )
    bare = Table(sampler=model)
    bare.session.start(Say("x"))
    assert bare.asked.decoding.sampler == model


def test_a_seed_is_chosen_and_told_where_none_is_given() -> None:
    """It is another each time, of 32 bits, and the summary has the one that the engine was told."""
    table = Table(speak=_answering(*["x"] * 8))
    seeds = []
    for _ in range(8):
        seeds.append(table.session.ask(Say("x")).summary.seed)
        assert table.asked.decoding.seed == seeds[-1]
    assert len(set(seeds)) > 6
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**24


def _exactly(field: str, value: float) -> Options:
    numbers: dict[str, Any] = {field: value}
    return Options(sampling=Exact(Sampler(**numbers)))


OUT_OF_RANGE = [
    pytest.param(Options(max_output_tokens=0), "max-output-tokens must be at least 1, got 0", id="no-output"),
    pytest.param(Options(deadline_ms=0), "deadline-ms must be at least 1, got 0", id="no-time"),
    pytest.param(Options(stop=("",)), "a stop string has 1 to 128 bytes, got 0", id="empty-stop"),
    pytest.param(Options(stop=("é" * 65,)), "a stop string has 1 to 128 bytes, got 130", id="long-stop"),
    pytest.param(Options(stop=("x",) * 17), "stop takes at most 16 strings, got 17", id="many-stops"),
    pytest.param(Options(extra=(("beams", "4"),)), "extra: unknown key 'beams'; this backend knows none", id="extra"),
    *(
        pytest.param(
            _exactly(field, value),
            f"sampler.{field.replace('_', '-')} must be ",
            id=f"{field}={value}",
        )
        for field, values in {
            "temperature": (math.nan, math.inf, -math.inf, -0.1, 2.1, 1e38),
            "top_p": (math.nan, math.inf, 0.0, -1.0, 1.1),
            "top_k": (0,),
            "min_p": (math.nan, -0.1, 1.0, math.inf),
            "repetition_penalty": (math.nan, 0.0, -1.0, 2.1, math.inf),
            "presence_penalty": (math.nan, -2.1, 2.1, math.inf),
            "frequency_penalty": (math.nan, -2.1, 2.1, -math.inf),
        }.items()
        for value in values
    ),
]


@pytest.mark.parametrize(("options", "message_"), OUT_OF_RANGE)
def test_options_out_of_range_are_refused_by_name(options: Options, message_: str) -> None:
    """Each field has its range, everywhere that options come in, and nothing is sent or changed."""
    table = Table()
    for call in (
        lambda: table.session.start(Say("x"), options),
        lambda: table.session.ask(Say("x"), options),
        lambda: table.session.measure(Say("x"), options),
        lambda: Table(setup=Setup(defaults=options)),
    ):
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert str(caught.value).startswith(message_)
    assert (table.engine.asked, table.session.history()) == ([], ())


@pytest.mark.parametrize(
    "sampler",
    [
        Sampler(temperature=0.0, top_p=1e-6, top_k=1, min_p=0.0, repetition_penalty=0.1),
        Sampler(temperature=2.0, top_p=1.0, top_k=2**32 - 1, min_p=0.99, repetition_penalty=2.0),
        Sampler(presence_penalty=-2.0, frequency_penalty=-2.0),
        Sampler(presence_penalty=2.0, frequency_penalty=2.0),
    ],
)
def test_the_ends_of_the_ranges_are_in_them(sampler: Sampler) -> None:
    """What a range names can be asked for."""
    table = Table()
    stops = ("x" * 128,) * 16
    table.session.start(Say("x"), Options(1, Exact(sampler), 2**32 - 1, stops, deadline_ms=2**32 - 1))
    assert table.asked.decoding.sampler == sampler


@pytest.mark.parametrize("choice", [AutoTool(), NoTool()])
def test_without_tools_none_is_called(choice: AutoTool | NoTool) -> None:
    """Choosing no tool where there is none is no wish that could not be met."""
    Table().session.start(Say("x"), Options(tool_choice=choice))


# ---------------------------------------------------------------- a full window


@pytest.mark.parametrize("policy", list(OverflowPolicy), ids=lambda policy: policy.value)
def test_a_prompt_that_leaves_no_room_is_refused_with_numbers(policy: OverflowPolicy) -> None:
    """One token must fit; ``measure`` still gives the number."""
    table = Table(setup=Setup(on_overflow=policy), window=10, speak=_answering("y", end=End.LENGTH))
    with pytest.raises(Overflow) as caught:
        _say(table, "1234567")
    assert (caught.value.requested, caught.value.available, caught.value.window) == (10, 9, 10)
    assert (table.session.measure(Say("1234567")), table.session.history()) == (10, ())
    reply = table.session.ask(Say("123456"))
    assert (reply.summary.usage.prompt_tokens, reply.summary.reason) == (9, FinishReason.CONTEXT_FULL)


@pytest.mark.parametrize("turn", [Raw("x" * 10), Tokens((1,) * 10)])
def test_turns_that_stand_alone_overflow_too(turn: Turn) -> None:
    """Whatever is sent has to fit."""
    with pytest.raises(Overflow, match=r"^the prompt has 10 tokens; the window of 10 leaves 9 for a prompt$"):
        Table(window=10).session.start(turn)


def _talked(window: int, setup: Setup) -> Table:
    """Three turns of eight tokens each: ``u0;a00;`` and one for the answer's opening."""
    table = Table(setup=setup, window=window, speak=_answering("00", "11", "22", "x", "y"))
    for number in range(3):
        _say(table, str(number))
    return table


@pytest.mark.parametrize(
    ("window", "options", "sent", "dropped"),
    [
        pytest.param(27, None, "u0;a00;u1;a11;u2;a22;uxx;>", 0, id="all-fit"),
        pytest.param(26, None, "u1;a11;u2;a22;uxx;>", 1, id="one-goes"),
        pytest.param(20, None, "u1;a11;u2;a22;uxx;>", 1, id="one-is-just-enough"),
        pytest.param(19, None, "u2;a22;uxx;>", 2, id="two-go"),
        pytest.param(12, None, "uxx;>", 3, id="all-go"),
        pytest.param(27, Options(max_output_tokens=2), "u1;a11;u2;a22;uxx;>", 1, id="room-for-the-output"),
        pytest.param(27, Options(max_output_tokens=8), "u1;a11;u2;a22;uxx;>", 1, id="output-is-just-enough"),
        pytest.param(27, Options(max_output_tokens=9), "u2;a22;uxx;>", 2, id="more-output"),
        pytest.param(27, Options(max_output_tokens=999), "uxx;>", 3, id="never-enough-for-the-output"),
    ],
)
def test_the_oldest_turns_go_until_it_fits(window: int, options: Options | None, sent: str, dropped: int) -> None:
    """As few as possible, whole ones; ``measure`` knows of it, and what has gone is counted."""
    table = _talked(window, Setup(on_overflow=DROP))
    assert table.session.measure(Say("xx"), options) == len(sent)
    before = table.session.context().dropped_turns
    assert table.session.ask(Say("xx"), options).summary.usage.prompt_tokens == len(sent)
    assert (table.asked.text, table.session.context().dropped_turns) == (sent, dropped)
    assert table.session.mark() == 8
    assert row(table.session.history()) == sent[:-1] + "ax;"
    assert before <= dropped


def test_neither_preamble_nor_the_new_turn_goes() -> None:
    """What is left when all turns are gone is too much, and nothing has been dropped."""
    setup = Setup((message("system", "sys"),), on_overflow=DROP)
    table = Table(setup=setup, window=18, speak=_answering("0"))
    _say(table, "0")
    with pytest.raises(Overflow) as caught:
        table.session.start(Messages((message("user", "11"), message("user", "22"), message("user", "33"))))
    assert caught.value.requested == len("ssys;u11;u22;u33;>")
    assert (row(table.session.history()), table.session.context().dropped_turns) == ("u0;a0;", 0)


def test_a_turn_taken_back_brings_dropped_turns_back() -> None:
    """Dropping is part of the turn."""
    table = _talked(19, Setup(on_overflow=DROP))
    before = (table.session.history(), table.session.context(), table.session.mark())
    table.engine.speak = lambda _: None
    generation = table.session.start(Say("xx"))
    assert table.asked.text == "u2;a22;uxx;>"
    assert (table.session.history(), table.session.context(), table.session.mark()) == before
    generation.close()
    assert (table.session.history(), table.session.context(), table.session.mark()) == before


def test_a_reply_that_is_resumed_is_not_dropped() -> None:
    """The turn that is continued is the new one."""
    table = _talked(26, Setup(on_overflow=DROP))
    table.session.append([message("user", "a"), message("assistant", "b" * 20)])
    table.session.ask(Resume(()))
    assert table.asked.text == "ua;a" + "b" * 20


def test_the_policy_fail_drops_nothing() -> None:
    """An error says what a full window means."""
    table = _talked(26, Setup())
    with pytest.raises(Overflow, match="^the prompt has 26 tokens; the window of 26 leaves 25 for a prompt$"):
        _say(table, "xx")
    assert table.session.context() == Context(21, 26, 0)


# ---------------------------------------------------------------- limits


def test_bytes_are_counted_before_anything_is_tokenised() -> None:
    """A turn with preamble and history may have so many bytes of UTF-8, and appended messages count."""
    limits = Limits(prompt_bytes=300)
    table = Table(limits=limits, setup=Setup((message("system", "s" * 100),)), speak=_answering("c", "d"))
    for call in (
        lambda: _say(table, "é" * 101),
        lambda: table.session.measure(Say("é" * 101)),
        lambda: table.session.append([message("user", "x" * 201)]),
        lambda: table.session.start(Raw("x" * 301)),
        lambda: Table(limits=limits, setup=Setup((message("system", "x" * 301),))),
    ):
        with pytest.raises(QuotaExceeded, match="^the allowance of prompt-bytes is 300 and used up$") as caught:
            call()
        assert (caught.value.kind, caught.value.limit) == (QuotaKind.PROMPT_BYTES, 300)
    assert _say(table, "é" * 100) == "c"
    with pytest.raises(QuotaExceeded):
        _say(table, "")
    assert table.session.ask(Raw("x" * 300)).text == "d"


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([Message(Role.USER, ())] * 17, id="messages-without-parts"),
        pytest.param([message("user", "x")] * 17, id="short-messages"),
        pytest.param([Message(Role.USER, (Text(""),) * 17)], id="empty-parts"),
    ],
)
def test_what_says_little_counts_too(messages: list[Message]) -> None:
    """A guest cannot make the host keep things without number that have no bytes."""
    with pytest.raises(QuotaExceeded):
        Table(limits=Limits(prompt_bytes=1024)).session.append(messages)
    assert Table(limits=Limits(prompt_bytes=1088)).session.append(messages).used > 0


# ---------------------------------------------------------------- while a reply is live


def test_while_a_reply_is_live() -> None:
    """What would change the conversation is refused; what looks at it sees the state before the turn."""
    table = Table(speak=lambda _: None)
    table.session.append([message("user", "q"), message("assistant", "r")])
    before = (table.session.history(), table.session.context(), table.session.mark(), table.session.measure(Say("z")))
    generation = table.session.start(Say("x"))
    steps: list[Callable[[], None]] = [lambda: None, lambda: table.asked.say("y"), lambda: table.asked.end("!")]
    for step in steps:
        step()
        for call in (
            lambda: table.session.start(Say("z")),
            lambda: table.session.ask(Raw("z")),
            lambda: table.session.append([message("user", "z")]),
            lambda: table.session.append([]),
            lambda: table.session.rewind(0),
        ):
            with pytest.raises(InvalidArgument, match=BUSY):
                call()
        now = (table.session.history(), table.session.context(), table.session.mark(), table.session.measure(Say("z")))
        assert now == before
        assert table.session.fork().history() == before[0]
    generation.next()
    assert row(table.session.history()) == "uq;ar;ux;ay!;"


def test_raw_turns_are_live_too() -> None:
    """One reply at a time, whatever its kind."""
    table = Table()
    generation = table.session.start(Raw("x"))
    with pytest.raises(InvalidArgument, match=BUSY):
        table.session.start(Say("y"))
    generation.stop()
    assert table.session.history() == ()
    table.session.start(Say("y"))


def test_ask_that_fails_changes_nothing() -> None:
    """The engine's error is the call's, and the session goes on."""
    table = Table(speak=lambda asked: asked.fail(BackendFailure("the worker died")))
    with pytest.raises(BackendFailure, match="^the worker died$"):
        _say(table, "x")
    table.engine.speak = _answering("ok")
    assert (_say(table, "y"), row(table.session.history())) == ("ok", "uy;aok;")


def test_closing_the_session_ends_its_reply_as_cancelled() -> None:
    """The reply can still be read to its end."""
    table = Table()
    generation = table.session.start(Say("x"))
    table.asked.say("so far")
    table.session.close()
    table.session.close()
    assert table.asked.cancelled.is_set()
    assert generation.next_text().text == "so far"
    assert generation.summary().reason is FinishReason.CANCELLED


def test_interrupt_stops_the_reply_and_not_the_session() -> None:
    """It says how many it stopped: one, or none where there is none, or where all was said."""
    table = Table()
    assert table.session.interrupt() == 0
    generation = table.session.start(Say("x"))
    table.asked.say("y")
    assert [table.session.interrupt(), table.session.interrupt()] == [1, 0]
    assert generation.next_text().text == "y"
    assert row(table.session.history()) == "ux;ay;"


# ---------------------------------------------------------------- append, fork, mark, rewind


def test_append() -> None:
    """Messages join the history, and the count is of all that is there."""
    table = Table(setup=Setup((message("system", "s"),)), speak=_answering("r"))
    assert table.session.append([]) == Context(3, 4096, 0)
    assert table.session.append([message("user", "q"), message("assistant", "a")]) == Context(9, 4096, 0)
    assert table.session.append([message("user", "now?")]) == Context(15, 4096, 0)
    assert table.session.ask(Messages(())).text == "r"
    assert (table.asked.text, row(table.session.history())) == ("ss;uq;aa;unow?;>", "uq;aa;unow?;ar;")


def test_appending_beyond_the_window_is_a_number() -> None:
    """It is the next turn that does not fit."""
    table = Table(window=10)
    assert table.session.append([message("user", "x" * 20)]) == Context(22, 10, 0)
    with pytest.raises(Overflow):
        table.session.start(Say(""))


def test_a_fork_is_independent() -> None:
    """Both go on from the same words, each its own way, with the same setup."""
    table = Table(setup=Setup((message("system", "s"),), defaults=Options(seed=5)), speak=_answering(*"abc"))
    _say(table, "x")
    fork = table.session.fork()
    assert fork.ask(Say("fork")).text == "b"
    assert table.asked.text == "ss;ux;aa;ufork;>"
    assert _say(table, "here") == "c"
    assert (row(fork.history()), row(table.session.history())) == ("ux;aa;ufork;ab;", "ux;aa;uhere;ac;")
    assert table.asked.decoding.seed == 5


def test_mark_and_rewind() -> None:
    """A conversation goes back to where it was, and on from there."""
    table = Table(speak=_answering(*"abc"))
    _say(table, "one")
    mark = table.session.mark()
    _say(table, "two")
    assert table.session.rewind(mark) == Context(len("uone;aa;"), 4096, 0)
    _say(table, "three")
    assert table.asked.text == "uone;aa;uthree;>"
    with pytest.raises(InvalidArgument, match=r"^rewind to 5: 4 messages were added so far$"):
        table.session.rewind(5)
    assert table.session.rewind(0) == Context(0, 4096, 0)


def test_rewinding_past_dropped_turns_is_refused() -> None:
    """What has gone cannot be gone back to."""
    table = _talked(20, Setup(on_overflow=DROP))
    mark = table.session.mark()
    _say(table, "xx")
    with pytest.raises(
        InvalidArgument, match=rf"^rewind to {mark}: turns were dropped when there were {mark} messages$"
    ):
        table.session.rewind(mark)
    assert row(table.session.history()) == "u1;a11;u2;a22;uxx;ax;"
    table.session.rewind(mark + 1)
    assert row(table.session.history()) == "u1;a11;u2;a22;uxx;"
