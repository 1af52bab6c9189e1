"""A reply: what the guest reads, when, and what becomes of the turn."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.text.echo_folder import END
from tests.text.fakes import Table, message
from wit_llm.backends.base import End, Likelihood
from wit_llm.bell import Bell
from wit_llm.errors import BackendFailure, DeadlinePassed, InvalidArgument, Unsupported
from wit_llm.options import Options
from wit_llm.text.message import (
    Alternative,
    Batch,
    FinishReason,
    Fragment,
    Logprobs,
    Say,
    Summary,
    Text,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wit_llm.text.generation import Generation
    from wit_llm.text.message import Message

UNREAD = "^read the generation until it is finished first$"


def _started(options: Options | None = None, window: int = 4096) -> tuple[Table, Generation]:
    """A reply of which nothing came yet."""
    it = Table(window=window)
    return it, it.session.start(Say("hi"), options)


def _texts(*texts: str, finished: bool = False) -> Batch:
    return Batch(tuple(map(Text, texts)), finished)


def _read(generation: Generation) -> str:
    """All there is to come, as text."""
    texts = []
    while True:
        fragment = generation.next_text()
        texts.append(fragment.text)
        if fragment.finished:
            return "".join(texts)


def _kept(table: Table) -> tuple[Message, ...]:
    return table.session.history()


# ---------------------------------------------------------------- reading


def test_each_arrival_is_an_event_and_a_slow_guest_gets_several() -> None:
    """What came since the last read comes in one batch, in order, and the end comes with the last of it."""
    table, generation = _started()
    assert generation.poll() == _texts()
    table.asked.say("Hel")
    assert generation.next() == _texts("Hel")
    table.asked.say("lo ")
    table.asked.say("wor")
    assert generation.poll() == _texts("lo ", "wor")
    table.asked.end("ld")
    assert generation.next() == _texts("ld", finished=True)
    assert generation.message() == message("assistant", "Hello world")


def test_reads_after_the_end_are_empty_and_finished() -> None:
    """Whoever reads on reads nothing, and never waits."""
    table, generation = _started()
    table.asked.end("ok")
    assert generation.next_text() == Fragment("ok", finished=True)
    assert [generation.next(), generation.poll(), generation.next_text()] == [
        _texts(finished=True),
        _texts(finished=True),
        Fragment("", finished=True),
    ]


def test_next_waits_for_the_first_character() -> None:
    """Tokens that make no character yet do not end the wait; the one that completes it does."""
    table, generation = _started()
    emoji = "🎉".encode()

    def speak() -> None:
        for byte in emoji:
            time.sleep(0.02)
            table.asked.listener.tokens((byte,), None, time.monotonic_ns())

    speaker = threading.Thread(target=speak)
    before = time.monotonic()
    speaker.start()
    assert generation.next() == _texts("🎉")
    assert time.monotonic() - before >= 0.07
    speaker.join()
    table.asked.end()
    assert generation.next() == _texts(finished=True)
    assert generation.summary().usage.generated_tokens == 5


def test_next_text_is_the_text_of_a_batch() -> None:
    """Several events are one text."""
    table, generation = _started()
    table.asked.say("a")
    table.asked.say("b")
    assert generation.next_text() == Fragment("ab", finished=False)


def test_a_quick_engine_may_be_finished_before_start_returns() -> None:
    """Nothing is lost of what the engine says before the guest has its generation."""
    table = Table(speak=lambda asked: asked.end("at once"))
    generation = table.session.start(Say("hi"))
    assert generation.next() == _texts("at once", finished=True)


def test_a_quick_engine_is_told_to_stop_as_soon_as_that_is_possible() -> None:
    """A stop string in what the engine says before ``start`` returns cancels the request afterwards."""
    table = Table(speak=lambda asked: asked.say("one, two"))
    generation = table.session.start(Say("hi"), Options(stop=(",",)))
    assert generation.next() == _texts("one", finished=True)
    assert table.asked.cancelled.is_set()


# ---------------------------------------------------------------- log-probabilities


def _logprobs(text: str) -> Logprobs:
    """Of one token that was certain."""
    return Logprobs((Alternative(ord(text), text.encode(), 0.0),))


def test_logprobs_of_a_token_come_before_the_text_that_it_completes() -> None:
    """There is an event for each token sampled, one whose text is held back, and the end token, among them."""
    table, generation = _started(options=Options(logprobs=2, stop=("lot",)))
    likelihoods = [(Likelihood(byte, -0.5), Likelihood(ord("x"), -1.5)) for byte in b"Hello"]
    table.asked.listener.tokens(tuple(b"Hello"), None, time.monotonic_ns(), likelihoods)
    table.asked.listener.tokens((END,), End.STOP, time.monotonic_ns(), [(Likelihood(END, 0.0),)])
    first = [Logprobs((Alternative(byte, bytes([byte]), -0.5), Alternative(ord("x"), b"x", -1.5))) for byte in b"Hello"]
    assert generation.next() == Batch(
        (
            *(event for one, letter in zip(first[:2], "He", strict=True) for event in (one, Text(letter))),
            *first[2:4],
            Text("l"),
            first[4],
            Logprobs((Alternative(END, b"<|end|>", 0.0),)),
            Text("lo"),
        ),
        finished=True,
    )
    assert generation.summary().usage.generated_tokens == 6


def test_logprobs_of_a_stop_string_are_told_and_later_ones_are_not() -> None:
    """As many events as tokens that count."""
    table, generation = _started(options=Options(logprobs=0, stop=("b",)))
    table.asked.listener.tokens(tuple(b"abc"), None, time.monotonic_ns(), [(Likelihood(byte, 0.0),) for byte in b"abc"])
    assert generation.next() == Batch((_logprobs("a"), Text("a"), _logprobs("b")), finished=True)
    assert generation.summary().usage.generated_tokens == 2


@pytest.mark.parametrize("given", [3, 255])
def test_more_logprobs_than_there_are_are_refused(given: int) -> None:
    """The message says how many there are."""
    with pytest.raises(
        Unsupported,
        match=f"^options.logprobs: {given} is not supported by graph 'graph', "
        "which has those of the chosen token and of 2 rivals$",
    ):
        Table().session.start(Say("hi"), Options(logprobs=given))


# ---------------------------------------------------------------- characters


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([b"a\xf0\x9f", b"\x8e", b"\x89b"], ["a", "🎉b"], id="emoji-across-steps"),
        pytest.param([b"\xe6\x9d\xb1\xe4", b"\xba\xac"], ["東", "京"], id="two-characters"),
        pytest.param([b"\xff\xfe"], ["\ufffd\ufffd"], id="never-a-character"),
        pytest.param([b"a\xe3\x81"], ["a", "\ufffd"], id="cut-off-by-the-end"),
        pytest.param([b"\xf0\x9f", b"A"], ["\ufffdA"], id="broken-by-the-next"),
        pytest.param([b"\xed\xa0\xbd\xed\xb8\x80"], ["\ufffd" * 6], id="surrogates"),
        pytest.param([b"e", b"\xcc\x81"], ["e", "\u0301"], id="combining-mark"),
    ],
)
def test_events_have_whole_characters(steps: list[bytes], expected: list[str]) -> None:
    """No event has half a character, and what never became one is shown as U+FFFD."""
    table, generation = _started()
    for step in steps:
        table.asked.listener.tokens(tuple(step), None, time.monotonic_ns())
    table.asked.end()
    assert generation.next() == _texts(*expected, finished=True)
    assert generation.summary().usage.generated_tokens == sum(map(len, steps)) + 1


def test_control_tokens_are_not_shown() -> None:
    """What the model says in control tokens counts, and is no text; nor is an id that no token has."""
    table, generation = _started()
    table.asked.listener.tokens((257, *b"a", 260, 319, *b"b", 256), None, time.monotonic_ns())
    table.asked.end()
    assert _read(generation) == "ab"
    assert generation.summary().usage.generated_tokens == 7


def test_the_token_that_ends_a_reply_is_not_shown_whatever_it_is() -> None:
    """Some models end on a token that is text elsewhere."""
    table, generation = _started()
    table.asked.listener.tokens(tuple(b"ab."), End.STOP, time.monotonic_ns())
    assert _read(generation) == "ab"
    assert generation.summary().usage.generated_tokens == 3


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("steps", "shown", "generated"),
    [
        pytest.param(["one STOP two"], ["one "], 8, id="in-one-step"),
        pytest.param(["one S", "TO", "P two"], ["one "], 8, id="across-steps"),
        pytest.param(["one ST", "one STOP"], ["one ", "STone "], 14, id="begun-twice"),
        pytest.param(["STOP"], [], 4, id="nothing-else"),
        pytest.param(["é", "STOP"], ["é"], 6, id="after-two-bytes"),
    ],
)
def test_a_stop_string_ends_the_reply(steps: list[str], shown: list[str], generated: int) -> None:
    """Nothing of it is shown, every token up to its last is counted, and the engine is told."""
    table, generation = _started(Options(stop=("STOP", "nothing")))
    for step in steps:
        table.asked.say(step)
    assert table.asked.cancelled.is_set()
    assert generation.next() == _texts(*shown, finished=True)
    summary = generation.summary()
    assert (summary.reason, summary.matched_stop) == (FinishReason.STOP_STRING, "STOP")
    assert summary.usage.generated_tokens == generated
    table.asked.say("more")
    table.asked.end(end=End.CANCELLED)
    assert generation.next() == _texts(finished=True)
    assert generation.summary() == summary


def test_what_could_become_a_stop_string_waits_and_is_shown_at_the_end() -> None:
    """Held back text is not lost when the reply ends otherwise."""
    table, generation = _started(Options(stop=("STOP",)))
    table.asked.say("one ST")
    assert generation.next() == _texts("one ")
    table.asked.end()
    assert generation.next() == _texts("ST", finished=True)
    assert generation.summary().reason is FinishReason.STOP


def test_a_stop_string_of_broken_bytes_is_found_at_the_end() -> None:
    """What the end makes of half a character is looked at like any text."""
    table, generation = _started(Options(stop=("\ufffd",)))
    table.asked.listener.tokens((*b"a", 0xE3), End.LENGTH, time.monotonic_ns())
    assert generation.next() == _texts("a", finished=True)
    assert generation.summary().matched_stop == "\ufffd"


@pytest.mark.parametrize(
    ("options", "window", "end", "asked_for", "reason"),
    [
        pytest.param(Options(), 100, End.STOP, 95, FinishReason.STOP, id="end-token"),
        pytest.param(Options(max_output_tokens=3), 100, End.LENGTH, 3, FinishReason.LENGTH, id="as-many-as-wanted"),
        pytest.param(Options(), 100, End.LENGTH, 95, FinishReason.CONTEXT_FULL, id="window-full"),
        pytest.param(
            Options(max_output_tokens=96), 100, End.LENGTH, 95, FinishReason.CONTEXT_FULL, id="window-full-one-short"
        ),
        pytest.param(Options(max_output_tokens=95), 100, End.LENGTH, 95, FinishReason.LENGTH, id="both-at-once"),
        pytest.param(
            Options(max_output_tokens=2**32 - 1), 6, End.LENGTH, 1, FinishReason.CONTEXT_FULL, id="room-for-one"
        ),
        pytest.param(Options(), 100, End.CANCELLED, 95, FinishReason.CANCELLED, id="cancelled-by-the-engine"),
    ],
)
def test_reasons(options: Options, window: int, end: End, asked_for: int, reason: FinishReason) -> None:
    """Why a reply ended, and how many tokens the engine was asked for; the prompt ``uhi;>`` has five."""
    table, generation = _started(options, window=window)
    table.asked.end("x", end)
    assert _read(generation) == "x"
    assert (table.asked.decoding.max_new_tokens, generation.summary().reason) == (asked_for, reason)


def test_summary_is_complete() -> None:
    """Every number of it, with times that follow each other."""
    before = time.monotonic_ns()
    table, generation = _started(Options(seed=7))
    time.sleep(0.01)
    table.asked.listener.accepted(time.monotonic_ns(), 3)
    time.sleep(0.01)
    table.asked.say("abc")
    time.sleep(0.01)
    table.asked.end("d")
    took_us = (time.monotonic_ns() - before) // 1000
    time.sleep(0.05)
    _read(generation)
    summary = generation.summary()
    timing = summary.timing
    assert summary == Summary(
        reason=FinishReason.STOP,
        matched_stop=None,
        usage=Usage(prompt_tokens=5, cached_tokens=3, generated_tokens=5, reasoning_tokens=0),
        timing=timing,
        seed=7,
        model_digest="sha256:0",
    )
    assert timing.first_token_us is not None
    assert 10_000 <= timing.queued_us <= timing.first_token_us - 10_000 <= timing.total_us - 20_000
    assert timing.total_us <= took_us


# ---------------------------------------------------------------- before the end is seen


@pytest.mark.parametrize("ask", ["summary", "message"])
def test_summary_and_message_are_known_once_the_end_was_seen(ask: str) -> None:
    """Before, they are an error: while it runs, when it is over but unread, and when it was stopped but not read."""
    table, generation = _started()
    steps: list[Callable[[], None]] = [lambda: table.asked.say("x"), table.asked.end, generation.stop]
    for step in steps:
        step()
        with pytest.raises(InvalidArgument, match=UNREAD):
            getattr(generation, ask)()
    assert generation.poll().finished
    assert getattr(generation, ask)() == getattr(generation, ask)()


# ---------------------------------------------------------------- stop


def test_stop_keeps_what_was_produced() -> None:
    """Held back text and half a character included; the turn is kept before anything is read."""
    table, generation = _started(Options(stop=("STOP",)))
    table.asked.say("one ST")
    table.asked.listener.tokens((0xE3,), None, time.monotonic_ns())
    generation.stop()
    assert table.asked.cancelled.is_set()
    assert _kept(table) == (message("user", "hi"), message("assistant", "one ST\ufffd"))
    assert generation.next() == _texts("one ", "ST\ufffd", finished=True)
    assert generation.summary().reason is FinishReason.CANCELLED
    assert generation.summary().usage.generated_tokens == 7


def test_stop_before_the_engine_took_it() -> None:
    """A reply that never began is kept as one in which nothing was said."""
    table, generation = _started()
    generation.stop()
    table.asked.listener.accepted(time.monotonic_ns(), 3)
    table.asked.end(end=End.CANCELLED)
    assert generation.next() == _texts(finished=True)
    summary = generation.summary()
    assert (summary.reason, summary.usage.generated_tokens) == (FinishReason.CANCELLED, 0)
    assert (summary.timing.first_token_us, summary.timing.queued_us) == (None, summary.timing.total_us)
    assert _kept(table) == (message("user", "hi"), message("assistant", ""))


def test_stop_after_the_end_changes_nothing_but_keeps_the_turn() -> None:
    """The reason stays what it was."""
    table, generation = _started()
    table.asked.end("all of it")
    generation.stop()
    generation.stop()
    assert not table.asked.cancelled.is_set()
    assert _kept(table) == (message("user", "hi"), message("assistant", "all of it"))
    assert _read(generation) == "all of it"
    assert generation.summary().reason is FinishReason.STOP


def test_stop_from_another_thread_wakes_a_guest_that_waits() -> None:
    """As Ctrl-C does it."""
    table, generation = _started()
    threading.Timer(0.05, table.session.interrupt).start()
    assert generation.next() == _texts(finished=True)
    assert generation.summary().reason is FinishReason.CANCELLED


# ---------------------------------------------------------------- drop


@pytest.mark.parametrize(
    ("step", "cancelled"),
    [
        pytest.param(lambda _: None, True, id="nothing-came"),
        pytest.param(lambda table: table.asked.say("x"), True, id="in-the-middle"),
        pytest.param(lambda table: table.asked.end("x"), False, id="over-and-unread"),
    ],
)
def test_dropping_takes_the_turn_back(step: Callable[[Table], None], *, cancelled: bool) -> None:
    """The session is as before the turn, and can start another at once."""
    table, generation = _started()
    step(table)
    generation.close()
    generation.close()
    assert (table.asked.cancelled.is_set(), _kept(table), table.session.mark()) == (cancelled, (), 0)
    table.session.start(Say("again"))
    assert table.asked.text == "uagain;>"


@pytest.mark.parametrize("how", ["read", "stop"])
def test_dropping_what_is_kept_changes_nothing(how: str) -> None:
    """Once the guest was given the end, or asked for it, the turn stays."""
    table, generation = _started()
    table.asked.end("x") if how == "read" else table.asked.say("x")
    generation.next() if how == "read" else generation.stop()
    generation.close()
    assert _kept(table) == (message("user", "hi"), message("assistant", "x"))


# ---------------------------------------------------------------- errors


def test_after_an_error_every_read_is_that_error() -> None:
    """It wakes who waits, and takes the turn back."""
    table, generation = _started()
    table.asked.say("some")
    threading.Timer(0.05, lambda: table.asked.fail(BackendFailure("the worker died"))).start()
    assert generation.next() == _texts("some")
    for read in (generation.next, generation.next_text, generation.poll, generation.next):
        with pytest.raises(BackendFailure, match="^the worker died$"):
            read()
    with pytest.raises(InvalidArgument, match=f"{UNREAD[:-1]}: it failed: the worker died$"):
        generation.summary()
    generation.stop()
    assert _kept(table) == ()
    table.session.start(Say("again"))


def test_an_error_after_the_end_is_nobodys() -> None:
    """A worker that dies once all was said takes nothing back."""
    table, generation = _started()
    table.asked.end("all")
    table.asked.fail(BackendFailure("late"))
    assert _read(generation) == "all"
    assert _kept(table) == (message("user", "hi"), message("assistant", "all"))


def test_an_error_of_the_engine_at_the_start_changes_nothing() -> None:
    """What the engine refuses never was."""
    table = Table()
    table.engine.error = BackendFailure("no worker")
    with pytest.raises(BackendFailure, match="^no worker$"):
        table.session.start(Say("hi"))
    table.engine.error = None
    table.session.start(Say("hi"))


# ---------------------------------------------------------------- deadlines


def test_the_deadline_ends_a_wait() -> None:
    """An engine that is silent is given up, and what was said is kept."""
    table, generation = _started(Options(deadline_ms=300))
    table.asked.say("so far")
    assert generation.next() == _texts("so far")
    assert not generation.readable
    before = time.monotonic()
    assert generation.next() == _texts(finished=True)
    assert 0.1 < time.monotonic() - before < 5
    assert table.asked.cancelled.is_set()
    summary = generation.summary()
    assert (summary.reason, summary.timing.total_us, summary.usage.generated_tokens) == (
        FinishReason.DEADLINE,
        300_000,
        6,
    )
    assert _kept(table) == (message("user", "hi"), message("assistant", "so far"))


def test_the_deadline_ends_a_reply_that_nobody_reads() -> None:
    """A token that comes too late is not taken, and its engine is told."""
    table, generation = _started(Options(deadline_ms=200))
    table.asked.say("in time")
    time.sleep(0.25)
    assert generation.readable
    table.asked.say("too late")
    assert table.asked.cancelled.is_set()
    assert generation.poll() == _texts("in time", finished=True)
    assert (generation.summary().reason, generation.summary().timing.total_us) == (FinishReason.DEADLINE, 200_000)


def test_the_deadline_counts_the_wait_for_the_engine() -> None:
    """A request that is never taken up ends as well, without a first token."""
    _, generation = _started(Options(deadline_ms=30))
    assert generation.deadline is not None
    assert generation.deadline - time.monotonic() < 0.03
    assert generation.next() == _texts(finished=True)
    timing = generation.summary().timing
    assert (timing.queued_us, timing.first_token_us, timing.total_us) == (30_000, None, 30_000)


def test_poll_sees_the_deadline() -> None:
    """A guest that only polls is told, too."""
    _, generation = _started(Options(deadline_ms=200))
    assert generation.poll() == _texts()
    time.sleep(0.25)
    assert generation.poll() == _texts(finished=True)


def test_the_guests_own_time_ends_a_wait() -> None:
    """The guest has to end, which is no end of the reply."""
    table = Table(bell=Bell(time.monotonic() + 0.05))
    generation = table.session.start(Say("hi"))
    with pytest.raises(DeadlinePassed, match="^the guest's time is over$"):
        generation.next()


# ---------------------------------------------------------------- waiting for several


def test_readable_and_keys() -> None:
    """A reply can be read when there is news, at its end and after an error, for ever; no key is used again."""
    generations = []
    for step in (
        lambda _: None,
        lambda table: table.asked.say("x"),
        lambda table: table.asked.end(),
        lambda table: table.asked.fail(BackendFailure("dead")),
    ):
        table, generation = _started()
        step(table)
        generations.append(generation)
    assert [generation.readable for generation in generations] == [False, True, True, True]
    generations[1].next()
    generations[2].next()
    assert [generation.readable for generation in generations] == [False, False, True, True]
    assert len({generation.key for generation in generations}) == 4


def test_one_bell_wakes_for_any_of_several() -> None:
    """A guest that sleeps for several replies wakes for the first that has news."""
    bell = Bell()
    tables = [Table(bell=bell) for _ in range(3)]
    generations = [table.session.start(Say("hi")) for table in tables]
    threading.Timer(0.05, lambda: tables[1].asked.say("x")).start()
    assert bell.wait_for(lambda: any(generation.readable for generation in generations), time.monotonic() + 5)
    assert [generation.readable for generation in generations] == [False, True, False]


# ---------------------------------------------------------------- threads, and cost


def test_reading_and_producing_at_once_loses_nothing() -> None:
    """Two threads, thousands of tokens, a stop in the end: the text is what was said, in order."""
    table, generation = _started()
    said = "".join(f"{number} 東京🎉 " for number in range(400)).encode()

    def speak() -> None:
        for start in range(0, len(said), 3):
            table.asked.listener.tokens(tuple(said[start : start + 3]), None, time.monotonic_ns())
        table.asked.end()

    speaker = threading.Thread(target=speak)
    speaker.start()
    assert _read(generation) == said.decode()
    speaker.join()
    assert generation.summary().usage.generated_tokens == len(said) + 1


def test_a_token_costs_little() -> None:
    """The engine's thread is held up for some ten microseconds a token, stop strings and all."""
    table, generation = _started(Options(stop=("\n\nUser:", "STOP", "###")), window=60_000)
    listener, token_ids = table.asked.listener, tuple(b"The quick brown fox # jumps over\nthe lazy dog. ")
    best = 1.0
    for _ in range(20):
        before = time.perf_counter()
        for token_id in token_ids:
            listener.tokens((token_id,), None, time.monotonic_ns())
        best = min(best, (time.perf_counter() - before) / len(token_ids))
        generation.poll()
    assert best < 100e-6
