"""The Python example, built as its README says and run as a real component."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.conftest import CACHE, Driver
from tests.guest.driver.build import component
from wit_llm import Host


@pytest.fixture(scope="module")
def chat() -> Path:
    """The component."""
    return component(CACHE / "python-chat", ROOT / "examples" / "python-chat" / "app.py", "chat-program")


def test_the_python_example_holds_a_conversation(chat: Path, host: Host) -> None:
    """A turn for every line, with its history, each reply on a line of its own."""
    outcome = host.run(chat, ["tiny"], stdin=b"My name is Bob.\nWhat is my name?\n")
    assert outcome.stderr.decode() == ""
    assert outcome.stdout.decode().splitlines() == ["Nice to meet you, Bob.", "Your name is Bob."]
    assert outcome.exit_code == 0


def test_the_python_example_tells_what_went_wrong(chat: Path, host: Host) -> None:
    """A graph that was not granted ends it with one line and status 1."""
    outcome = host.run(chat, ["kitten"])
    assert outcome.exit_code == 1
    assert "no graph 'kitten' is granted; granted: tiny, echo, echo-worker" in outcome.stderr.decode()


def test_python_writes_long_texts_through_a_buffer(driver: Driver) -> None:
    """As the reference says: all of one comes out; without a buffer what is behind 65,536 bytes is lost (0.25.1)."""
    through = "import io; out = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer)); print('é' * 99_999, file=out)"
    assert driver.run(f"{through}; out.flush()").stdout.decode() == "é" * 99_999 + "\n"
    assert driver.run("print('é' * 99_999, end='')").stdout.decode() == "é" * 32_768
