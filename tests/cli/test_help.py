"""What the command says of itself, and that it is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command
from wit_llm import __version__

COMMANDS = ("run", "chat", "graphs", "doctor", "convert", "conformance", "bench")


@pytest.fixture
def path_with_command(tmp_path: Path) -> str:
    """A ``PATH`` on which ``wit-llm`` is the command of this checkout."""
    shim = tmp_path / "bin" / "wit-llm"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m wit_llm "$@"\n')
    shim.chmod(0o755)
    return f"{shim.parent}{os.pathsep}{os.environ['PATH']}"


def _examples(help_text: str) -> list[str]:
    """The command lines under "Examples:"."""
    return re.findall(r"^    (\S.*)$", help_text.partition("Examples:\n")[2].partition("\n\n")[0], re.MULTILINE)


def test_version_is_the_package_s(command: Command) -> None:
    """``--version`` is one line on stdout."""
    assert command("--version") == (0, f"wit-llm {__version__}\n", "")


def test_help_names_every_command(command: Command) -> None:
    """The list of commands is the one that is documented, each with a whole sentence."""
    listed = re.findall(r"^  (\w+) +(\S.*)$", command("--help").stdout.partition("Commands:\n")[2], re.MULTILINE)
    assert sorted(name for name, _ in listed) == sorted(COMMANDS)
    assert [sentence for _, sentence in listed if not sentence.endswith(".") or sentence.endswith("...")] == []


@pytest.mark.parametrize("name", ["", *(pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS)])
def test_examples_of_the_help_work_when_pasted(
    name: str, command: Command, path_with_command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Each example of each ``--help`` runs in an empty folder and has something to say."""
    examples = _examples(command(*filter(None, [name]), "--help").stdout)
    assert len(examples) >= 2
    for line in examples:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={**environment, "PATH": path_with_command},
            check=False,
        )
        assert (line, done.returncode, done.stderr) == (line, 0, "")
        assert done.stdout.strip()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        pytest.param(["walk"], "No such command 'walk'", id="command"),
        pytest.param(["chat", "--loud"], "No such option", id="option"),
        pytest.param(["run"], "Missing argument 'GUEST'", id="argument"),
        pytest.param(["run", "--timeout", "0", "chat"], "0.0 is not in the range x>0", id="range"),
        pytest.param(["run", "--env", "NAME", "chat"], "wants KEY=VALUE, got 'NAME'", id="env"),
        pytest.param(["run", "--dir", "nowhere", "chat"], "'nowhere' is not a folder", id="dir"),
        pytest.param(["chat"], "nothing to say: give a PROMPT, or text on standard input", id="nothing-to-say"),
        pytest.param(["chat", "--graph", "echo", "--graph", "echo-worker", "Hi"], "say with -m which one", id="which"),
    ],
)
def test_wrong_usage_exits_with_2(command: Command, args: list[str], told: str) -> None:
    """How to call the command is said on stderr, and nothing on stdout."""
    ended = command(*args)
    assert (ended.status, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
