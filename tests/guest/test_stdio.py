"""What guests are given, and what they write, heard by functions of the program that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CACHE, Command, Driver
from wit_llm import GuestTrapped, Host, Limits, OperatorError
from wit_llm.cli.packaged import CHAT_GUEST


@dataclass
class Heard:
    """A function with what it has heard."""

    text: bytes = b""

    def __call__(self, data: bytes) -> None:
        """Hear more."""
        self.text += data


def test_a_function_hears_all_in_order_on_one_thread_of_python_s(driver: Driver) -> None:
    """A function slower than the guest loses nothing, and has heard all when the guest has ended."""
    pieces: list[bytes] = []
    threads: set[threading.Thread] = set()

    def hear(data: bytes) -> None:
        time.sleep(0.001)
        pieces.append(data)
        threads.add(threading.current_thread())

    with Host([], cache_dir=CACHE / "wit-llm") as host:
        guest = host.start(driver.component, ["for i in range(50_000): print(i)"], stdin=b"", stdout=hear)
        assert guest.wait() == 0
        assert b"".join(pieces) == b"".join(b"%d\n" % i for i in range(50_000))
        (thread,) = threads
        # A thread that is not Python's own, such as wasmtime's, would be a dummy here, and alive for good.
        assert (thread.name, thread.is_alive()) == ("output of a guest", False)


def test_one_function_for_both_streams_hears_them_in_order(driver: Driver) -> None:
    """What a guest writes to its standard error between two lines of output comes between them."""
    heard = bytearray()
    source = 'for i in range(1000): print("out", i, flush=True); print("err", i, file=sys.stderr, flush=True)'
    with Host([], cache_dir=CACHE / "wit-llm") as host:
        guest = host.start(driver.component, [source], stdin=b"", stdout=heard.extend, stderr=heard.extend)
        assert guest.wait() == 0
    assert heard.decode() == "".join(f"out {i}\nerr {i}\n" for i in range(1000))


def test_two_functions_hear_a_stream_each(driver: Driver) -> None:
    """Neither hears anything of the other's, though they are equal."""
    out, err = Heard(), Heard()
    assert out == err
    source = 'print("out"); print("err", file=sys.stderr)'
    with Host([], cache_dir=CACHE / "wit-llm") as host:
        assert host.start(driver.component, [source], stdin=b"", stdout=out, stderr=err).wait() == 0
    assert (out.text, err.text) == (b"out\n", b"err\n")


def test_what_is_over_the_limit_ends_the_guest_and_is_not_heard(driver: Driver) -> None:
    """A function is told no more than a guest may write, however fast that writes."""
    heard = bytearray()
    with Host([], limits=Limits(output_bytes=1 << 20), cache_dir=CACHE / "wit-llm") as host:
        guest = host.start(driver.component, ["while True: print('x' * 999)"], stdin=b"", stdout=heard.extend)
        with pytest.raises(GuestTrapped, match="it wrote more than 1048576 bytes"):
            guest.wait()
    assert heard == ((b"x" * 999 + b"\n") * 1049)[: 1 << 20]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_was_forked_meanwhile_does_not_hold_up_the_end(driver: Driver) -> None:
    """A child has copies of all that is open, and may live on."""
    began = threading.Event()
    heard = bytearray()

    def hear(data: bytes) -> None:
        heard.extend(data)
        began.set()

    with Host([], cache_dir=CACHE / "wit-llm") as host:
        source = 'say("begin"); time.sleep(0.3); say("end")'
        guest = host.start(driver.component, [source], stdin=b"", stdout=hear)
        assert began.wait(30)
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        try:
            assert guest.wait(20) == 0
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert heard == b"begin\nend\n"


def test_a_program_that_ends_right_after_its_guests_ends_well() -> None:
    """No thread calls into an interpreter that is ending, which would end the process with a signal."""
    program = f"""
from pathlib import Path
from wit_llm import Host
host = Host([], cache_dir=Path({str(CACHE / "wit-llm")!r}))
for _ in range(4):
    guest = host.start({str(CHAT_GUEST)!r}, ["nothing"], stdin=b"", stdout=print, stderr=lambda _: None)
    print(guest.wait())
"""
    for _ in range(8):
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n" * 4, "")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param({"args": ["a\0b"]}, r"without NUL, which 'a\\x00b' is not", id="argument"),
        pytest.param({"env": {"KEY": "\udcff"}}, r"text in UTF-8 .* which '\\udcff' is not", id="value"),
        pytest.param({"env": {"\0": ""}}, r"which '\\x00' is not", id="key"),
        pytest.param({"dirs": {"\udcff": Path()}}, r"which '\\udcff' is not", id="guest-folder"),
        pytest.param({"dirs": {"there": Path("/no/\udcff")}}, r"which '/no/\\udcff' is not", id="name-of-a-folder"),
        pytest.param({"dirs": {"there": Path("/no/such")}}, "'/no/such' is not a folder", id="no-folder"),
        pytest.param({"dirs": {"there": Path("x" * 5000)}}, "xxx' is not a folder", id="long-name"),
        pytest.param({"dirs": {"there": Path(__file__)}}, "test_stdio.py' is not a folder", id="file"),
    ],
)
def test_what_no_guest_can_be_given_is_said_before_it_starts(given: dict[str, Any], told: str) -> None:
    """Nothing is cut at a NUL, and no folder is left out."""
    with Host([], cache_dir=CACHE / "wit-llm") as host, pytest.raises(OperatorError, match=told):
        host.run(CHAT_GUEST, **given)


@pytest.mark.parametrize(
    ("name", "argument", "told"),
    [
        pytest.param("chat.wasm", "\udcff", "'\\udcff'", id="argument"),
        pytest.param("\udcff.wasm", "x", "'\\udcff.wasm'", id="name"),
    ],
)
def test_a_word_that_is_no_text_is_one_line_of_the_command(
    command: Command, tmp_path: Path, name: str, argument: str, told: str
) -> None:
    """Its bytes come from a shell as they are."""
    guest = tmp_path / name
    guest.write_bytes(CHAT_GUEST.read_bytes())
    ended = command("run", str(guest), argument)
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr == (
        "error: a guest's name, arguments, environment and folders are text in UTF-8 without NUL, "
        f"which {told} is not\n"
    )
