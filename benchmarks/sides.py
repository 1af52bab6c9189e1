"""One of the ways that a benchmark compares, in a process of its own."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

# Two processes of the same program differ by some percent as long as they live.
PAIRS_OF_A_PROCESS = 10

Line = Connection  # of one side's process: questions in, answers out, until none comes


@dataclass(frozen=True, slots=True)
class Side:
    """
    One way to have questions answered.

    Args:
        name: Which one it is.
        line: To its process.
        end: Waits for the process's end.
    """

    name: str
    line: Line
    end: Callable[[], object]

    @classmethod
    def start(cls, answer: Callable[..., None], *arguments: object) -> Self:
        """A process that answers: ``answer`` gets its line, and these arguments."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=answer, args=(there, *arguments), name=answer.__name__, daemon=True)
        process.start()
        there.close()  # so that its end is seen here
        return cls(process.name, here, process.join)

    @classmethod
    def launch(cls, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Self:
        """A process of a command, to which the descriptor of its line is added; so Python may be another one."""
        here, there = socket.socketpair()
        with there:
            command = [*command, str(there.fileno())]
            process = subprocess.Popen(command, pass_fds=[there.fileno()], env=env, stdin=subprocess.DEVNULL)
        return cls(name, Connection(here.detach()), process.wait)

    def answer(self, question: object) -> Any:  # noqa: ANN401 -- what the benchmark's own function sends
        """Put a question, and wait for the answer."""
        try:
            self.line.send(question)
            return self.line.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the process of {self.name} has ended; it said why") from error

    def close(self) -> None:
        """Let the process end."""
        with suppress(OSError):  # it may have ended before
            self.line.send(None)
        self.end()


def portions(pairs: int) -> list[range]:
    """The numbers of the pairs to measure with one process of each side, then with the next, until all are."""
    numbers = range(pairs)
    return [numbers[first : first + PAIRS_OF_A_PROCESS] for first in range(0, pairs, PAIRS_OF_A_PROCESS)]
