"""A chat as a WebAssembly component: a turn for every line of standard input, streamed as it is produced."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import errors, graph
from wit_world.imports.prompt import OverflowPolicy, Session, Setup
from wit_world.imports.types import Message, Part_Text, Role, Turn_Say

if TYPE_CHECKING:
    from collections.abc import Iterator


class Run(exports.Run):
    """What ``wit-llm run chat.wasm -- GRAPH [SYSTEM]`` starts."""

    def run(self) -> None:
        """Chat until standard input ends; a status other than 0 is ``Err(None)``."""
        if len(sys.argv) < 2:  # noqa: PLR2004 -- the program's own name comes first
            print("error: usage: chat GRAPH [SYSTEM]", file=sys.stderr)
            raise Err(None)
        _, name, *system = sys.argv
        setup = Setup(
            preamble=[Message(Role.SYSTEM, [Part_Text(text)]) for text in system],
            defaults=None,
            on_overflow=OverflowPolicy.DROP_OLDEST_TURNS,
        )
        try:
            # `with`, because Python guests drop handles late, and what is not dropped keeps its room in the host.
            with graph.load_by_name(name) as model, Session.open(model, setup) as session:
                for line in sys.stdin:
                    answer(session, line.rstrip("\n"))
        except Err as error:
            print(f"error: {words(error.value)}", file=sys.stderr)
            raise Err(None) from None


def answer(session: Session, question: str) -> None:
    """Print one reply; an error costs this turn and not the conversation."""
    try:
        for piece in stream(session, question):
            print(piece, end="", flush=True)
        print()
    except Err as error:
        print(f"error: {words(error.value)}", file=sys.stderr)


def stream(session: Session, question: str) -> Iterator[str]:
    """The text of a reply, piece by piece, as the model produces it."""
    with session.start(Turn_Say(question), None) as generation:
        finished = False
        while not finished:
            fragment = generation.next_text()
            yield fragment.text
            finished = fragment.finished


def words(error: object) -> str:
    """What an error says: wasi:nn's is a resource, wit-llm's a value whose case is its class."""
    if isinstance(error, errors.Error):
        return error.data()
    return f"{type(error).__name__.removeprefix('Error_')}: {error.value}"
