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
from selectors import EVENT_READ, PollSelector
from types import BuiltinMethodType, MethodType, TracebackType
from typing import Self

import wasmtime

from wit_llm.errors import OperatorError

Output = Callable[[bytes], object]

# Bytes of a command line that are no UTF-8 are surrogates here; and C would cut a text at its first NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
PIECE_BYTES = 1 << 16


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
    Functions that are told what is written to streams, on one thread, and all of it before ``__exit__`` ends.

    It comes through pipes. wasmtime would call Python itself, from threads of its own, and the last time at a moment of
    its own: where the interpreter is ending by then, that ends the process with a signal.

    Args:
        outputs: The functions, one for each stream; they never raise.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = outputs
        self._pipes: list[tuple[int, int]] = []
        self._thread = threading.Thread(target=self._tell, name="output of a guest", daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in self._outputs:
                self._pipes.append(os.pipe())
                for end in self._pipes[-1]:
                    stack.callback(os.close, end)
            # A process that was forked meanwhile keeps the pipes open, so their end says nothing of the guest's.
            self._over = os.eventfd(0)
            stack.callback(os.close, self._over)
            self._thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            os.eventfd_write(self._over, 1)
            self._thread.join()

    @property
    def paths(self) -> list[str]:
        """Where to write, for each function."""
        return [f"/dev/fd/{sink}" for _, sink in self._pipes]

    def _tell(self) -> None:
        told = {source: output for (source, _), output in zip(self._pipes, self._outputs, strict=True)}
        with PollSelector() as selector:
            for file in (*told, self._over):
                selector.register(file, EVENT_READ)
            while sources := [key.fd for key, _ in selector.select() if key.fd != self._over]:
                for source in sources:
                    told[source](os.read(source, PIECE_BYTES))


def _check_text(text: str) -> None:
    if _NO_TEXT.search(text):
        raise OperatorError(
            f"a guest's name, arguments, environment and folders are text in UTF-8 without NUL, which {text!r} is not"
        )


def _same(one: Output, other: Output) -> bool:
    """Whether they are one function; two objects may be equal that are not, but not two methods of an object."""
    return one is other or (isinstance(one, MethodType | BuiltinMethodType) and one == other)


@dataclass(frozen=True, slots=True)
class Stdio:
    """
    What a guest sees of the outside.

    Args:
        name: The program's own, its first argument.
        args: The others.
        stdin: Its bytes; none for this process's own.
        stdout: Told what is written, or where to keep it; none for this process's own.
        stderr: The same.
        env: Environment variables; nothing is inherited.
        dirs: Guest path to host folder.

    Raises:
        OperatorError: A text that no guest can be given, or a folder that is none.
    """

    name: str
    args: Sequence[str] = ()
    stdin: bytes | None = b""
    stdout: Output | Captured | None = None
    stderr: Output | Captured | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    dirs: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folders = [str(folder) for folder in self.dirs.values()]
        for text in (self.name, *self.args, *self.env, *self.env.values(), *self.dirs, *folders):
            _check_text(text)
        for folder in self.dirs.values():
            if not os.path.isdir(folder):  # noqa: PTH112 -- pathlib raises where a name is too long
                raise OperatorError(f"{str(folder)!r} is not a folder")

    @property
    def captured_bytes(self) -> int:
        """How much was written to where it is kept."""
        return sum(stream.size_bytes for stream in (self.stdout, self.stderr) if isinstance(stream, Captured))

    @contextmanager
    def configured(self, counted: Callable[[Output], Output]) -> Iterator[wasmtime.WasiConfig]:
        """
        The same in wasmtime's words, until its end: by then the store that has it must be closed.

        Args:
            counted: Wraps a function that is told what is written, so that it never raises.
        """
        wasi = wasmtime.WasiConfig()
        wasi.argv = [self.name, *self.args]
        wasi.env = list(self.env.items())
        with ExitStack() as stack:
            if self.stdin is None:
                wasi.inherit_stdin()
            elif self.stdin:
                file = stack.enter_context(tempfile.NamedTemporaryFile())
                file.write(self.stdin)
                file.flush()
                wasi.stdin_file = file.name

            stdout, stderr = self._paths(stack, counted)
            if stdout is None:
                wasi.inherit_stdout()
            else:
                wasi.stdout_file = stdout
            if stderr is None:
                wasi.inherit_stderr()
            else:
                wasi.stderr_file = stderr
            for guest_path, folder in self.dirs.items():
                wasi.preopen_dir(str(folder), guest_path)
            yield wasi

    def _paths(self, stack: ExitStack, counted: Callable[[Output], Output]) -> tuple[str | None, str | None]:
        """Where standard output and standard error go; none to this process's own."""
        streams = (self.stdout, self.stderr)
        functions = [stream for stream in streams if stream is not None and not isinstance(stream, Captured)]
        if len(functions) > 1 and _same(*functions):
            functions.pop()  # one pipe keeps the two in order
        told = stack.enter_context(Told([counted(function) for function in functions])).paths if functions else []

        def path(stream: Output | Captured | None) -> str | None:
            if isinstance(stream, Captured):
                return stream.path
            return None if stream is None else told[0 if stream is self.stdout else -1]

        return path(self.stdout), path(self.stderr)
