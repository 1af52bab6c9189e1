"""What a guest sees of the outside: arguments, environment, folders, standard streams."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import wasmtime

Output = Callable[[bytes], object]


class Captured:
    """
    All that is written to a stream, kept until it is read.

    It lies in a file, which costs a guest a microsecond a write; a callback goes through threads of wasmtime's.
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


@dataclass(frozen=True, slots=True)
class Stdio:
    """
    What a guest sees of the outside.

    Args:
        args: After the program's own name.
        stdin: Its bytes; none for this process's own.
        stdout: Called with each piece written, or where to keep them; none for this process's own.
        stderr: The same.
        env: Environment variables; nothing is inherited.
        dirs: Guest path to host folder.
    """

    args: Sequence[str] = ()
    stdin: bytes | None = b""
    stdout: Output | Captured | None = None
    stderr: Output | Captured | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    dirs: Mapping[str, Path] = field(default_factory=dict)

    @property
    def captured_bytes(self) -> int:
        """How much was written to where it is kept."""
        return sum(stream.size_bytes for stream in (self.stdout, self.stderr) if isinstance(stream, Captured))

    @contextmanager
    def stdin_path(self) -> Iterator[str | None]:
        """A file with the bytes of ``stdin``; none where there are none."""
        if not self.stdin:
            yield None
            return
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.stdin)
            file.flush()
            yield file.name

    def configure(
        self, name: str, stdin_path: str | None, called: Callable[[Output], Callable[[bytes], int]]
    ) -> wasmtime.WasiConfig:
        """
        The same in wasmtime's words.

        Args:
            name: The program's own, its first argument.
            stdin_path: As the function of this name has it.
            called: Wraps a callback so that wasmtime can call it.
        """
        wasi = wasmtime.WasiConfig()
        wasi.argv = [name, *self.args]
        wasi.env = list(self.env.items())
        if self.stdin is None:
            wasi.inherit_stdin()
        elif stdin_path is not None:
            wasi.stdin_file = stdin_path
        if self.stdout is None:
            wasi.inherit_stdout()
        elif isinstance(self.stdout, Captured):
            wasi.stdout_file = self.stdout.path
        else:
            wasi.stdout_custom = called(self.stdout)
        if self.stderr is None:
            wasi.inherit_stderr()
        elif isinstance(self.stderr, Captured):
            wasi.stderr_file = self.stderr.path
        else:
            wasi.stderr_custom = called(self.stderr)
        for guest_path, folder in self.dirs.items():
            wasi.preopen_dir(str(folder), guest_path)
        return wasi
