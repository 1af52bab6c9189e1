"""``wit-llm chat`` and ``run`` on a terminal, where somebody types."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.components import LOOPS_FOR_EVER, program_of
from tests.cli.terminal import CTRL_C, CTRL_D, Terminal

SLOW_ECHO = ["--graph", "echo,settings.delay_ms=30"]
WORDS = " ".join(f"word-{number}" for number in range(100))


def _chat(*args: str, tmp_path: Path, environment: dict[str, str]) -> Terminal:
    return Terminal("-m", "wit_llm", "chat", *args, cwd=tmp_path, env=environment)


def test_a_conversation_remembers(tmp_path: Path, environment: dict[str, str]) -> None:
    """Turn after turn is answered with the history of those before, until Ctrl-D."""
    with _chat(tmp_path=tmp_path, environment=environment) as terminal:
        terminal.read_until("chatting with tiny; Ctrl-C stops a reply, Ctrl-D ends the chat")
        terminal.read_until("> ")
        terminal.type("My name is Ann.\n")
        assert terminal.read_until("> ") == "Nice to meet you, Ann.\r\n> "
        terminal.type("What is my name?\n")
        assert terminal.read_until("> ") == "Your name is Ann.\r\n> "
        terminal.type(CTRL_D)
        assert terminal.wait() == 0


def test_ctrl_c_stops_the_reply_and_not_the_chat(tmp_path: Path, environment: dict[str, str]) -> None:
    """After a Ctrl-C in the middle of a reply the next question is answered whole."""
    with _chat(*SLOW_ECHO, tmp_path=tmp_path, environment=environment) as terminal:
        terminal.read_until("> ")
        terminal.type(f"{WORDS}\n")
        terminal.read_until("word-2")
        terminal.type(CTRL_C)
        assert "word-50" not in terminal.read_until("> ")
        terminal.type("Hello!\n")
        assert terminal.read_until("> ") == "Hello!\r\n> "
        terminal.type(CTRL_D)
        assert terminal.wait() == 0


@pytest.mark.parametrize("graph", ["tiny", "echo"])
def test_ctrl_c_at_the_idle_prompt_ends_the_chat(graph: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Where no reply is being produced Ctrl-C ends the program, as it does any other, and quietly."""
    with _chat("-m", graph, tmp_path=tmp_path, environment=environment) as terminal:
        terminal.read_until("> ")
        terminal.type("Hello!\n")
        terminal.read_until("> ")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130


def test_ctrl_c_ends_a_run_that_talks_to_nobody(tmp_path: Path, environment: dict[str, str]) -> None:
    """``run`` ends on Ctrl-C where no reply is being produced, be the guest as busy as it likes."""
    (tmp_path / "busy.wasm").write_bytes(program_of(LOOPS_FOR_EVER))
    with Terminal("-m", "wit_llm", "run", "busy.wasm", cwd=tmp_path, env=environment) as terminal:
        with pytest.raises(TimeoutError, match="no 'anything' after ''"):
            terminal.read_until("anything", timeout_s=1.5)
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
