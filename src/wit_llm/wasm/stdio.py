"""What a guest sees of the outside: arguments, environment, folders, standard streams."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Self

import wasmtime

from wit_llm.errors import OperatorError

Output = Callable[[bytes], object]

# Bytes of a command line that are no UTF-8 are surrogates here; and C would cut a text at its first NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
PIECE_BYTES = 1 << 16  # what a pipe holds


class Captured:
    """
    All that is written to a stream, kept until it is read.

    It lies in a file, which costs a guest a microsecond a write and wakes nobody.
    """

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115 -- closed by ``__exit__``

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def path(self) -> str:
        """Where to write."""
        return self._file.name

    @property
    def size_bytes(self) -> int:
        """How much was written so far."""
        return os.fstat(self._file.fileno()).st_size

    def read(self) -> bytes:
        """All of it."""
        return os.pread(self._file.fileno(), self.size_bytes, 0)


class Told:
    """
    A function that is told all that is written to a stream: on a thread of its own, and before ``__exit__`` ends.

    It comes through a pipe. wasmtime would call Python itself, from threads of its own, and the last time at a moment
    of its own: where the interpreter is ending by then, that ends the process with a signal.

    Args:
        output: The function; it never raises.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._thread = threading.Thread(target=self._tell, name="output of a guest", daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._source, self._sink = _pipe(stack)
            # A process that was forked meanwhile keeps the pipe open, so its end says nothing of the guest's.
            self._over, self._end = _pipe(stack)
            self._thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            os.write(self._end, b"\n")
            self._thread.join()

    @property
    def path(self) -> str:
        """Where to write."""
        return f"/dev/fd/{self._sink}"

    def _tell(self) -> None:
        with DefaultSelector() as selector:
            for source in (self._source, self._over):
                selector.register(source, EVENT_READ)
            while self._source in {key.fd for key, _ in selector.select()}:
                self._output(os.read(self._source, PIECE_BYTES))


def _check_text(text: str) -> None:
    if _NO_TEXT.search(text):
        raise OperatorError(
            f"a guest's arguments, environment and folders are text in UTF-8 without NUL, which {text!r} is not"
        )


def _pipe(stack: ExitStack) -> tuple[int, int]:
    both = os.pipe()
    for end in both:
        stack.callback(os.close, end)
    return both


@dataclass(frozen=True, slots=True)
class Stdio:
    """
    What a guest sees of the outside.

    Args:
        args: After the program's own name.
        stdin: Its bytes; none for this process's own.
        stdout: Told what is written, or where to keep it; none for this process's own.
        stderr: The same.
        env: Environment variables; nothing is inherited.
        dirs: Guest path to host folder.

    Raises:
        OperatorError: A text that no guest can be given, or a folder that is none.
    """

    args: Sequence[str] = ()
    stdin: bytes | None = b""
    stdout: Output | Captured | None = None
    stderr: Output | Captured | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    dirs: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folders = [str(folder) for folder in self.dirs.values()]
        for text in (*self.args, *self.env, *self.env.values(), *self.dirs, *folders):
            _check_text(text)
        for folder in self.dirs.values():
            if not folder.is_dir():
                raise OperatorError(f"{str(folder)!r} is not a folder")

    @property
    def captured_bytes(self) -> int:
        """How much was written to where it is kept."""
        return sum(stream.size_bytes for stream in (self.stdout, self.stderr) if isinstance(stream, Captured))

    @contextmanager
    def configured(self, name: str, counted: Callable[[Output], Output]) -> Iterator[wasmtime.WasiConfig]:
        """
        The same in wasmtime's words, until its end: by then the store that has it must be closed.

        Args:
            name: The program's own, its first argument.
            counted: Wraps a function that is told what is written, so that it never raises.
        """
        wasi = wasmtime.WasiConfig()
        wasi.argv = [name, *self.args]
        wasi.env = list(self.env.items())
        with ExitStack() as stack:
            if self.stdin is None:
                wasi.inherit_stdin()
            elif self.stdin:
                file = stack.enter_context(tempfile.NamedTemporaryFile())
                file.write(self.stdin)
                file.flush()
                wasi.stdin_file = file.name

            def opened(output: Output | Captured) -> Captured | Told:
                return output if isinstance(output, Captured) else stack.enter_context(Told(counted(output)))

            stdout = None if self.stdout is None else opened(self.stdout)
            if stdout is None:
                wasi.inherit_stdout()
            else:
                wasi.stdout_file = stdout.path
            if self.stderr is None:
                wasi.inherit_stderr()
            else:  # one function for both is one pipe, which keeps the two in order
                same = self.stderr == self.stdout
                wasi.stderr_file = (stdout if same and stdout is not None else opened(self.stderr)).path
            for guest_path, folder in self.dirs.items():
                wasi.preopen_dir(str(folder), guest_path)
            yield wasi
