"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import ROOT

README = (ROOT / "README.md").read_text()
EMBED = ROOT / "examples" / "embed.py"


def _run(command: list[str], cwd: Path, environment: dict[str, str]) -> str:
    """What a command prints that ends well."""
    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**environment, "PATH": f"{bin_folder}{os.pathsep}{environment['PATH']}"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _answered() -> list[tuple[str, str]]:
    """Command lines of the README that show what they print, but for the demo, which has a test of its own."""
    shown = re.findall(r"^\$ (wit-llm .*|echo .*)\n((?:[^$\n].*\n)+)", "".join(_blocks("console")), re.MULTILINE)
    return [(command, output) for command, output in shown if "examples/" not in command]


def test_embedding_is_the_example_and_does_what_it_says(tmp_path: Path, environment: dict[str, str]) -> None:
    """The program of the README is ten lines at most, the file in examples/, and its guest answers."""
    (shown,) = _blocks("python")
    assert shown == EMBED.read_text().partition("import annotations\n\n")[2]
    assert len([line for line in shown.splitlines() if line]) <= 10
    assert _run([sys.executable, str(EMBED)], tmp_path, environment) == (
        "0\n> My name is Ann.\nNice to meet you, Ann.\n> What is my name?\nYour name is Ann.\n"
    )


def test_there_are_answers_to_hold_it_to() -> None:
    """The README shows commands with what they print."""
    assert len(_answered()) >= 2


@pytest.mark.parametrize(("command", "printed"), _answered())
def test_command_prints_what_is_shown(command: str, printed: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """A command line of the README, pasted into a shell, prints the lines below it."""
    python = f'wit-llm() {{ {sys.executable} -m wit_llm "$@"; }}'
    assert _run(["bash", "-c", f"{python}\n{command}"], tmp_path, environment) == printed


def test_demo_prints_what_is_shown(environment: dict[str, str]) -> None:
    """The output of `make demo` in the README is that of the command that it runs."""
    command, _, printed = _blocks("console")[0].removeprefix("$ make demo\n$ ").partition("\n")
    assert f'show "{command}"' in (ROOT / "examples" / "demo.sh").read_text()
    args, _, questions = command.removeprefix("wit-llm ").partition(" < ")
    with (ROOT / questions).open() as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "wit_llm", *args.split()],
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env=environment,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")
