"""The operating system's side of a worker: how it starts, how it ends, and its last words."""

from __future__ import annotations

import os
import resource
import site
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wit_llm.scheduling import as_usual

_LAST_WORDS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Confinement:
    """
    What a worker may use whose graph nobody vouches for; over it, it fails or ends.

    Args:
        memory_bytes: That it may write on: heap and private mappings, the libraries' own included. Address space is
            not counted, because libraries reserve more than they touch.
        file_bytes: Of one file that it writes, which the memory file of an answer is, too.
        cpu_s: Of all its threads, from its start to its end.
        load_s: Wall-clock seconds until the graph is loaded.
    """

    memory_bytes: int
    file_bytes: int
    cpu_s: int
    load_s: float


class WorkerProcess:
    """
    A Python of its own, at the other ends of ``reading`` and ``writing``.

    A session of its own keeps Ctrl-C in the terminal from it; it ends when the sockets do.

    Args:
        confinement: Limits of the process; none where the operator vouches for what it will load.
    """

    def __init__(self, confinement: Confinement | None = None) -> None:
        self.reading, writing = socket.socketpair()
        reading, self.writing = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- read after the process has ended
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                # -P: a torch.py in the folder where the host happens to run is not torch.
                [sys.executable, "-P", "-m", "wit_llm.worker", str(reading.fileno()), str(writing.fileno())],
                pass_fds=(reading.fileno(), writing.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,
                env=_environment(),
            )
            as_usual(self._process.pid)
            if confinement is not None:
                _confine(self._process.pid, confinement)
        except BaseException:
            self.reading.close()
            self.writing.close()
            self._stderr.close()
            raise
        finally:
            reading.close()
            writing.close()

    @property
    def pid(self) -> int:
        """Its number while it runs."""
        return self._process.pid

    def end(self, patience_s: float = 1.0) -> str:
        """Wait for the end, by force where it takes longer; how it ended, as a text."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """End it now; ``end`` is still to be called."""
        self._process.kill()

    def last_words(self) -> str:
        """The end of what it wrote; may be called once, after ``end``."""
        with self._stderr as stderr:
            size = os.fstat(stderr.fileno()).st_size
            text = os.pread(stderr.fileno(), _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES))
        return text.decode(errors="replace").strip()


def _confine(pid: int, confinement: Confinement) -> None:
    """Limit a process from outside: nothing was handed to it yet, and nothing of ours runs between fork and exec."""
    for limit, wanted in (
        (resource.RLIMIT_DATA, confinement.memory_bytes),
        (resource.RLIMIT_FSIZE, confinement.file_bytes),
        (resource.RLIMIT_CPU, confinement.cpu_s),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.prlimit(pid, limit)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.prlimit(pid, limit, (most, most))


def _environment() -> dict[str, str]:
    """Ours, less the way to model hubs, and with the way by which this process found the package."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    root = str(Path(__file__).parents[2])
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        paths = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), root]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
