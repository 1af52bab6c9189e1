"""``wit-llm run``: a component as a command."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.components import LOOPS_FOR_EVER, program_of
from tests.conftest import Command, Driver
from wit_llm import Grant


@pytest.fixture
def program(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A component made of the body that the test gives."""
    path = tmp_path / "program.wasm"
    path.write_bytes(program_of(request.param))
    return path.name


def test_guest_has_stdin_stdout_and_arguments(command: Command) -> None:
    """The packaged guest answers each line of standard input, with the history of those before."""
    asked = "What is the capital of Japan?\nAnd which country was that?\n"
    transcript = """\
> What is the capital of Japan?
The capital of Japan is Tokyo.
> And which country was that?
That was Japan.
"""
    ended = command("run", "--graph", "tiny", "chat", "--transcript", "tiny", stdin=asked)
    assert ended == (0, transcript, "")


def test_what_follows_the_guest_is_its_own(command: Command) -> None:
    """Options after GUEST reach the guest, those of ours too."""
    ended = command("run", "--graph", "echo", "chat", "--timeout", "5", "echo", "Hello!")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: usage: chat")


def test_environment_and_folders_are_what_is_given(command: Command, driver: Driver, tmp_path: Path) -> None:
    """A guest sees the variables and folders that it is given, may write there, and sees no others."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "question.txt").write_text("Who are you?")
    (tmp_path / "other").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    source = """
        import os
        say(sorted(os.environ.items()))
        say(open("/in/question.txt").read())
        open("other/answer.txt", "w").write("written")
        try:
            say(open("secret.txt").read())
        except OSError as error:
            say(type(error).__name__)
    """
    options = ["--env", "A=1", "--env", "B=x=y", "--dir", "data::/in", "--dir", "other"]
    ended = command("run", *options, str(driver.component), dedent(source))
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["[('A', '1'), ('B', 'x=y')]", "Who are you?", "FileNotFoundError"]
    assert (tmp_path / "other" / "answer.txt").read_text() == "written"


@pytest.mark.parametrize(
    ("program", "status"),
    [pytest.param("i32.const 0", 0, id="ok"), pytest.param("i32.const 1", 1, id="err")],
    indirect=["program"],
)
def test_exit_status_is_the_guest_s(command: Command, program: str, status: int) -> None:
    """How the guest ends is how the command ends, without a word of its own."""
    assert command("run", program) == (status, "", "")


@pytest.mark.parametrize("program", ["unreachable"], indirect=True)
def test_trap_is_one_line(command: Command, program: str) -> None:
    """A guest that traps is a failure of one line."""
    ended = command("run", program)
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr == "error: the guest trapped: wasm `unreachable` instruction executed\n"


@pytest.mark.parametrize("program", [LOOPS_FOR_EVER], indirect=True)
def test_timeout_ends_a_guest_that_loops_for_ever(command: Command, program: str) -> None:
    """``--timeout`` is kept, and said."""
    start_s = time.monotonic()
    ended = command("run", "--timeout", "0.5", program)
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr == "error: the guest was stopped: its time of 0.5 s is over\n"
    assert time.monotonic() - start_s < 10


def test_graphs_come_from_the_manifest_and_the_command_line(command: Command, tmp_path: Path) -> None:
    """Both grant; of two grants of one name the command line's counts."""
    shutil.copytree(Grant.parse("echo").path, tmp_path / "graph")
    (tmp_path / "wit-llm.toml").write_text(
        '[graphs.a]\npath = "graph"\nbackend = "echo"\n\n[graphs.tiny]\npath = "graph"\nbackend = "echo"\n'
    )
    assert command("run", "chat", "a", "Hello!").stdout == "Hello!\n"
    assert command("run", "chat", "tiny", "Hello!").stdout == "Hello!\n"
    assert command("run", "--graph", "tiny", "chat", "tiny", "Hello!").stdout == "Hello! How can I help you?\n"
