"""The process of a worker: light to start, deaf to Ctrl-C, and gone with its host."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wit_llm.worker.channel import VERSION
from wit_llm.worker.client import Engine, GraphSource
from wit_llm.worker.process import WorkerProcess

HOST = """
import sys, time
from pathlib import Path
from tests.worker.asking import ask
from wit_llm.options import Decoding
from wit_llm.worker.client import Engine, GraphSource

engine = Engine(GraphSource("x", "echo-worker", Path("/"), settings={"delay_ms": "1"}))
if sys.argv[1] == "generating":
    heard, _ = ask(engine, [1], Decoding(10**9))
    heard.first.wait()
print(engine.pid, flush=True)
time.sleep(60)
"""

# A host that dies while its worker imports torch, or waits for the first message.
LOADING_HOST = """
import sys, time
from wit_llm.backends.base import Target
from wit_llm.worker.channel import SocketChannel
from wit_llm.worker.messages import Load, ToHost
from wit_llm.worker.process import WorkerProcess

process = WorkerProcess()
if sys.argv[1] != "nothing":
    SocketChannel(process.reading, process.writing, ToHost).send(Load(sys.argv[1], "/", Target.CPU, {}))
time.sleep(0.5)
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("program", "state"),
    [
        pytest.param(HOST, "idle", id="idle"),
        pytest.param(HOST, "generating", id="generating"),
        pytest.param(LOADING_HOST, "pytorch", id="importing-torch"),
        pytest.param(LOADING_HOST, "nothing", id="before-the-first-message"),
    ],
)
def test_no_worker_outlives_its_host(program: str, state: str) -> None:
    """A host killed with -9 leaves no worker behind, whatever that one is doing."""
    host = subprocess.Popen(
        [sys.executable, "-c", program, state],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with host:
        assert host.stdout is not None
        worker = int(host.stdout.readline())
        assert _command(worker)
        host.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while _command(worker):
        assert time.monotonic() < until, f"worker {worker} outlives its host"
        time.sleep(0.02)


def _command(pid: int) -> bytes:
    """What runs under a number; empty where nothing does, or only a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_ctrl_c_in_the_terminal_does_not_reach_a_worker(tmp_path: Path) -> None:
    """A worker is in no process group of its host's."""
    engine = Engine(GraphSource("x", "echo-worker", tmp_path))
    assert engine.pid is not None
    assert os.getpgid(engine.pid) == engine.pid
    engine.close()


@pytest.mark.parametrize(
    ("said", "last_words"),
    [
        pytest.param(
            struct.pack("<HHIQ", VERSION + 1, 0, 0, 0),
            "this side speaks version 2 of the protocol, the peer version 3",
            id="another-version",
        ),
        pytest.param(
            os.urandom(6) + b"\xff" * 1000,
            "this side speaks version 2 of the protocol, the peer version ",
            id="garbage",
        ),
        pytest.param(
            struct.pack("<HHIQ", VERSION, 0, 3, 0) + b"\x93\x01\x02",
            "the peer sent what is no message: ",
            id="no-message",
        ),
    ],
)
def test_a_worker_leaves_when_it_is_not_spoken_to_in_its_language(said: bytes, last_words: str) -> None:
    """Garbage on the socket ends the worker, which says why to the operator."""
    process = WorkerProcess()
    process.writing.sendall(said)
    assert process.end(patience_s=20) == "exit status 0"
    process.reading.close()
    process.writing.close()
    assert process.last_words().startswith(last_words)


def test_prints_of_a_library_do_not_reach_the_host(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What a worker writes stays in its log, of which the end is told when it dies."""
    process = WorkerProcess()
    process.writing.sendall(b"nonsense" * 3)
    process.end(patience_s=20)
    process.reading.close()
    process.writing.close()
    assert capfd.readouterr() == ("", "")
    assert process.last_words() != ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["wit_llm.worker.client", "wit_llm.worker.__main__"])
def test_starts_without_what_is_heavy(module: str) -> None:
    """Neither the host's end nor a worker imports a library of numbers before it is told which."""
    program = (
        f"import sys, {module}; print(sorted({{'numpy', 'torch', 'openvino', 'transformers'}} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
