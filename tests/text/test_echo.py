"""The graph ``echo`` from its files to a guest's reply, with the real engine."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.text import echo_folder
from tests.text.fakes import message
from wit_llm.bell import Bell
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.options import Options
from wit_llm.text.message import FinishReason, Messages, OverflowPolicy, Raw, Say, Setup
from wit_llm.text.model import Model
from wit_llm.text.session import Session
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _model(**settings: str) -> Iterator[Model]:
    """The embedded graph, its engine inside this process."""
    engine = Engine(GraphSource("echo", "echo", echo_folder.FOLDER, settings=settings))
    try:
        yield Model.open(Graph("echo", engine, Limits(), ignore), echo_folder.FOLDER, "echo", "sha256:0")
    finally:
        engine.close()


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    """The same for all tests that want nothing special."""
    with _model() as model:
        yield model


def _session(model: Model, setup: Setup | None = None) -> Session:
    return Session(model, setup or Setup(), Bell(), Limits())


@pytest.mark.parametrize("name", sorted(echo_folder.files()))
def test_the_committed_files_are_what_the_script_makes(name: str) -> None:
    """Who changes one changes the other."""
    assert (echo_folder.FOLDER / name).read_text(encoding="utf-8") == echo_folder.files()[name]


def test_there_are_no_other_files() -> None:
    """Nothing travels in the package that no script makes."""
    assert {path.name for path in echo_folder.FOLDER.iterdir()} == set(echo_folder.files())


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world!",
        "naïve 東京 🎉",
        "a<|end|>b<|user|>",
        "\0\ufeff\u200d",
        "  spaces  \n\n",
        "<|im_",
        "{{ x }}",
        "x" * 2000,
    ],
)
def test_echo_answers_with_just_what_was_said(model: Model, text: str) -> None:
    """Whatever it is, character for character, and nothing of what was said before."""
    session = _session(model, Setup((message("system", "Be brief."),)))
    assert [session.ask(Say("before")).text, session.ask(Say(text)).text] == ["before", text]


def test_echo_ends_as_a_model_does(model: Model) -> None:
    """With its end token; at a limit; at a stop string; at the end of its window."""
    session = _session(model)
    options = [Options(), Options(max_output_tokens=3), Options(stop=("wor",)), Options(ignore_eos=True)]
    summaries = [session.ask(Say("Hello, world!"), each).summary for each in options]
    assert [(summary.reason, summary.usage.generated_tokens) for summary in summaries] == [
        (FinishReason.STOP, 14),
        (FinishReason.LENGTH, 3),
        (FinishReason.STOP_STRING, 10),
        (FinishReason.CONTEXT_FULL, 4096 - 13),
    ]


def test_raw_text_is_echoed_too(model: Model) -> None:
    """Control tokens in it are honoured: the end token ends the reply."""
    assert _session(model).ask(Raw("ab<|end|>cd")).text == "ab"


def test_many_at_once_each_have_their_own_answer() -> None:
    """Guests on their own threads, on one graph."""
    with _model(delay_ms="1") as model:
        texts = [f"{number} " * 30 for number in range(8)]
        replies: dict[str, str] = {}

        def ask(text: str) -> None:
            replies[text] = _session(model).ask(Say(text)).text

        threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert replies == {text: text for text in texts}


def test_a_slow_reply_is_stopped_dropped_and_given_up() -> None:
    """The three ways to end one early, each with what the session keeps of it."""
    with _model(delay_ms="5") as model:
        session = _session(model)
        stopped = session.start(Say("stopped " * 50))
        text = stopped.next_text().text
        stopped.stop()
        assert session.history()[1] == message("assistant", stopped.text)
        assert stopped.text.startswith(text)
        session.start(Say("dropped " * 50)).close()
        assert session.mark() == 2
        late = session.ask(Say("late " * 200), Options(deadline_ms=400))
        assert late.summary.reason is FinishReason.DEADLINE
        assert 0 < len(late.text) < 200
        assert session.history()[-1] == late.message


def test_a_slow_reply_streams() -> None:
    """Tokens come when they are there, long before the last."""
    with _model(delay_ms="30") as model:
        generation = _session(model).start(Say("0123456789"))
        batches = [generation.next()]
        while not batches[-1].finished:
            batches.append(generation.next())
        assert len(batches) > 2
        assert all(batch.events for batch in batches[:-1])


def test_an_engine_is_free_again_after_a_drop() -> None:
    """A dropped reply leaves nothing behind that could disturb the next ones."""
    with _model(delay_ms="1") as model:
        session = _session(model)
        for _ in range(20):
            generation = session.start(Say("x" * 500))
            generation.next()
            generation.close()
        assert session.ask(Say("still here")).text == "still here"


def test_a_long_conversation_stays_in_its_window() -> None:
    """The policy is the session's; the template of echo renders only the last words, so nothing ever has to go."""
    with _model(window="64") as model:
        session = _session(model, Setup(on_overflow=OverflowPolicy.DROP_OLDEST_TURNS))
        for number in range(40):
            assert session.ask(Say(f"turn {number}")).text == f"turn {number}"
        assert (session.context().dropped_turns, session.mark()) == (0, 80)
        session.append([message("user", "one more")])
        assert session.ask(Messages(())).text == "one more"
