"""``wit-llm chat``, not on a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Command
from wit_llm import Grant


def test_one_prompt_is_one_reply(command: Command) -> None:
    """The reply of the embedded model is all there is on stdout."""
    assert command("chat", "Hello!") == (0, "Hello! How can I help you?\n", "")


def test_stdin_is_the_prompt(command: Command) -> None:
    """Without PROMPT the text of a pipe is the prompt, without the newline that ends it."""
    assert command("chat", stdin="What is the capital of Japan?\n") == (0, "The capital of Japan is Tokyo.\n", "")


def test_stdin_comes_before_the_prompt(command: Command) -> None:
    """What a pipe says and PROMPT are one message, a blank line between."""
    assert command("chat", "-m", "echo", "third", stdin="first\nsecond\n").stdout == "first\nsecond\n\nthird\n"


def test_every_character_of_a_prompt_arrives(command: Command) -> None:
    """Control tokens written out, dashes, quotes and other scripts are text."""
    prompt = "-5 <|end|> \"quoted\" 'too' こんにちは 👍🏽\ttab"
    assert command("chat", "-m", "echo", "--", prompt) == (0, f"{prompt}\n", "")


def test_system_text_reaches_the_model(command: Command) -> None:
    """A model that has learned to disregard its system message answers all the same."""
    assert command("chat", "-s", "Be brief.", "Who are you?").stdout == (
        "I am a tiny test model that lives inside this package.\n"
    )


def test_the_only_graph_given_is_the_one_that_answers(command: Command) -> None:
    """``--graph`` without ``-m`` is no option that is ignored."""
    assert command("chat", "--graph", "parrot,backend=echo", "Polly").status == 1
    assert command("chat", "--graph", "echo-worker", "Polly") == (0, "Polly\n", "")


def test_model_of_the_manifest(command: Command, tmp_path: Path) -> None:
    """``-m`` finds a name in ./wit-llm.toml, and in the file that --config names."""
    shutil.copytree(Grant.parse("echo").path, tmp_path / "graph")
    manifest = '[graphs.parrot]\npath = "graph"\nbackend = "echo"\n'
    (tmp_path / "wit-llm.toml").write_text(manifest)
    assert command("chat", "-m", "parrot", "Polly").stdout == "Polly\n"
    (tmp_path / "wit-llm.toml").rename(tmp_path / "other.toml")
    assert command("chat", "-m", "parrot", "Polly").status == 1
    assert command("chat", "--config", "other.toml", "-m", "parrot", "Polly").stdout == "Polly\n"


def test_unknown_model_lists_those_there_are(command: Command) -> None:
    """A name that is not there is one line, with the names that are and the way out."""
    assert command("chat", "-m", "kiten", "Hi") == (
        1,
        "",
        "error: there is no graph 'kiten'; there are tiny, echo, echo-worker, and --graph kiten=FOLDER adds one\n",
    )


def test_a_path_that_is_no_folder_is_called_what_it_is(command: Command, tmp_path: Path) -> None:
    """No name has a slash in it: a file of weights, and a name of the hub, are told where their folders come from."""
    (tmp_path / "tiny.gguf").touch()
    assert command("chat", "-m", "./tiny.gguf", "Hi").stderr.startswith(
        "error: tiny.gguf is a file; a graph is a folder: one that holds this file, no other *.gguf, and the tokenizer"
    )
    assert command("chat", "-m", "maker/model", "Hi").stderr.startswith(
        "error: there is no folder maker/model; nothing is downloaded here: `hf download maker/model --local-dir DIR` "
    )


@pytest.mark.parametrize("size", [5_000, 1_000_000])
def test_too_long_a_prompt_is_refused_with_its_numbers(command: Command, size: int) -> None:
    """Nothing is cut: the line says how much there is and how much fits."""
    ended = command("chat", "-m", "echo", stdin="x" * size)
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr == f"error: the prompt has {size} tokens; the window of 4096 leaves 4095 for a prompt\n"


def test_what_is_no_text_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    """Bytes that could only be cut or changed on the way are refused."""
    command = [sys.executable, "-m", "wit_llm", "chat"]
    done = subprocess.run(
        command, input=b"caf\xe9", capture_output=True, timeout=60, cwd=tmp_path, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert "standard input is not UTF-8 text" in done.stderr.decode()


def test_a_prompt_with_a_nul_goes_through_whole(command: Command) -> None:
    """NUL is a character like any other."""
    assert command("chat", "-m", "echo", stdin="a\0b").stdout == "a\0b\n"


def test_text_comes_as_it_is_made(environment: dict[str, str], tmp_path: Path) -> None:
    """The first words are on stdout long before the last ones."""
    prompt = "x" * 60
    chat = ["chat", "--graph", "echo,settings.delay_ms=30", prompt]
    with subprocess.Popen(
        [sys.executable, "-m", "wit_llm", *chat],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
    ) as process:
        assert process.stdout is not None
        first = os.read(process.stdout.fileno(), 4096)
        first_s = time.monotonic()
        rest = process.stdout.read()
        rest_s = time.monotonic() - first_s
    assert (first + rest).decode() == f"{prompt}\n"
    assert len(first) < len(prompt) / 2
    assert rest_s > 0.5
