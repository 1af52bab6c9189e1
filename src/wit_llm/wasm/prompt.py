"""``wit-llm:nn/prompt`` and its ``types``: sessions and generations, each function one call of ``wit_llm.text``."""

from __future__ import annotations

from wit_llm.errors import QuotaExceeded, QuotaKind
from wit_llm.options import Options
from wit_llm.registry import Loaded
from wit_llm.text.generation import Generation
from wit_llm.text.message import Batch, Context, Fragment, Message, Reply, Setup, Summary, Turn
from wit_llm.text.model import ModelInfo
from wit_llm.text.session import Session
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface

TYPES = Interface("wit-llm:nn/types@0.1.0")
PROMPT = Interface("wit-llm:nn/prompt@0.1.0", {"session": Session, "generation": Generation})


def open_session(guest: Guest, graph: Loaded, setup: Setup) -> Session:
    """
    A session on the guest's account.

    Raises:
        QuotaExceeded: It has as many as it may.
        NNError: As ``Session`` says.
    """
    if guest.sessions() >= guest.limits.sessions:
        raise QuotaExceeded(QuotaKind.SESSIONS, guest.limits.sessions)
    return Session(graph.model, setup, guest.bell, guest.limits)


@PROMPT.func("describe")
def _describe(guest: Guest, graph: Loaded) -> ModelInfo:
    return graph.describe()


@PROMPT.func("default-options")
def _default_options(guest: Guest) -> Options:
    return Options()


@PROMPT.func("[static]session.open")
def _open(guest: Guest, graph: Loaded, setup: Setup) -> Session:
    return open_session(guest, graph, setup)


@PROMPT.func("[method]session.start")
def _start(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Generation:
    return session.start(turn, options)


@PROMPT.func("[method]session.ask")
def _ask(guest: Guest, session: Session, turn: Turn, options: Options | None) -> Reply:
    return session.ask(turn, options)


@PROMPT.func("[method]session.append")
def _append(guest: Guest, session: Session, messages: tuple[Message, ...]) -> Context:
    return session.append(messages)


@PROMPT.func("[method]session.measure")
def _measure(guest: Guest, session: Session, turn: Turn, options: Options | None) -> int:
    return session.measure(turn, options)


@PROMPT.func("[method]session.context")
def _context(guest: Guest, session: Session) -> Context:
    return session.context()


@PROMPT.func("[method]session.history")
def _history(guest: Guest, session: Session) -> tuple[Message, ...]:
    return tuple(session.history())


@PROMPT.func("[method]session.fork")
def _fork(guest: Guest, session: Session) -> Session:
    if guest.sessions() >= guest.limits.sessions:
        raise QuotaExceeded(QuotaKind.SESSIONS, guest.limits.sessions)
    return session.fork()


@PROMPT.func("[method]session.mark")
def _mark(guest: Guest, session: Session) -> int:
    return session.mark()


@PROMPT.func("[method]session.rewind")
def _rewind(guest: Guest, session: Session, mark: int) -> Context:
    return session.rewind(mark)


@PROMPT.func("[method]generation.next")
def _next(guest: Guest, generation: Generation) -> Batch:
    return generation.next()


@PROMPT.func("[method]generation.next-text")
def _next_text(guest: Guest, generation: Generation) -> Fragment:
    return generation.next_text()


@PROMPT.func("[method]generation.poll")
def _poll(guest: Guest, generation: Generation) -> Batch:
    return generation.poll()


@PROMPT.func("[method]generation.stop")
def _stop(guest: Guest, generation: Generation) -> None:
    generation.stop()


@PROMPT.func("[method]generation.summary")
def _summary(guest: Guest, generation: Generation) -> Summary:
    return generation.summary()


@PROMPT.func("[method]generation.message")
def _message(guest: Guest, generation: Generation) -> Message:
    return generation.message()


@PROMPT.func("[method]generation.key")
def _key(guest: Guest, generation: Generation) -> int:
    return generation.key


@PROMPT.func("wait-any")
def _wait_any(guest: Guest, keys: tuple[int, ...], timeout_ms: int | None) -> tuple[int, ...]:
    return guest.wait_any(keys, timeout_ms)
