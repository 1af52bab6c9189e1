"""A terminal that a test types on."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

CTRL_C = "\x03"
CTRL_D = "\x04"

# a session leader makes its terminal the controlling one, without which Ctrl-C goes nowhere
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """
    A command on a pseudo-terminal that does not repeat what is typed.

    Args:
        args: Of ``python``.
        cwd: Where it runs.
        env: Its environment.
    """

    def __init__(self, *args: str, cwd: Path, env: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        os.close(slave)
        self._unread = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def read_until(self, text: str, timeout_s: float = 30) -> str:
        """All that was shown up to and with a text; ``TimeoutError`` where it does not come."""
        until = time.monotonic() + timeout_s
        while text not in self._unread:
            if not select.select([self._master], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"no {text!r} after {self._unread!r}")
            try:
                self._unread += os.read(self._master, 4096).decode()
            except OSError as exc:  # the other side is closed
                raise TimeoutError(f"ended without {text!r} after {self._unread!r}") from exc
        shown, found, self._unread = self._unread.partition(text)
        return shown + found

    def wait(self, timeout_s: float = 30) -> int:
        """The exit status, once it has ended."""
        return self._process.wait(timeout_s)
