"""``wit-llm doctor``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from sysconfig import get_path

import pytest

from tests.architecture import ROOT
from tests.conftest import Command, Ended
from wit_llm import __version__
from wit_llm.cli.doctor import meets, packages


@pytest.mark.slow
def test_a_good_installation_has_nothing_to_mend(command: Command) -> None:
    """Everything that is needed is found with its version, and the status is 0."""
    ended = command("doctor", "--json")
    assert (ended.status, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["ok"] is True
    found = {finding["name"]: finding for finding in report["findings"]}
    assert found["wit-llm"]["found"] == __version__
    assert found["wasmtime"] == {
        "name": "wasmtime", "found": "50.0.1", "wanted": "==50.0.1", "needed": True, "mend": None,
    }  # fmt: skip
    assert [name for name, finding in found.items() if finding["needed"] and finding["mend"]] == []
    assert found["openvino on cpu"]["found"].startswith("loads tiny in ")


@pytest.mark.slow
def test_the_report_is_a_table(command: Command) -> None:
    """For people it is a line each, with a verdict at its end."""
    lines = command("doctor").stdout.splitlines()
    assert lines[0].split() == ["found", "wanted"]
    assert [line.split()[-1] for line in lines if line.startswith("wasmtime")] == ["ok"]


@pytest.fixture
def uninstalled(tmp_path: Path) -> Callable[[Path], Ended]:
    """The doctor of a package in a folder, with all that is installed here but our own metadata and PyTorch."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in {Path(get_path(kind)) for kind in ("purelib", "platlib")}:
        for each in path.iterdir():
            if not each.name.startswith(("wit_llm", "__editable__", "torch")):
                (packages / each.name).symlink_to(each)

    def run(folder: Path) -> Ended:
        environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{packages}"}
        command = [sys.executable, "-S", "-m", "wit_llm", "doctor", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.mark.slow
def test_a_checkout_that_is_not_installed_says_what_it_wants(uninstalled: Callable[[Path], Ended]) -> None:
    """Its own list of packages stands for that of an installation, with the extras and without the developers'."""
    ended = uninstalled(ROOT / "src")
    assert (ended.status, ended.stderr) == (0, "")
    found = {finding["name"]: finding for finding in json.loads(ended.stdout)["findings"]}
    assert (found["wasmtime"]["found"], found["wasmtime"]["wanted"]) == ("50.0.1", "==50.0.1")
    assert found["torch"] == {
        "name": "torch", "found": None, "wanted": "==2.13.0", "needed": False, "mend": "pip install 'wit-llm[pytorch]'",
    }  # fmt: skip
    assert "pytest" not in found


@pytest.mark.slow
def test_a_copy_that_is_neither_installed_nor_a_checkout_is_told(
    uninstalled: Callable[[Path], Ended], tmp_path: Path
) -> None:
    """Nothing says which packages it needs."""
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "wit_llm").symlink_to(ROOT / "src" / "wit_llm")
    told = "error: wit-llm is not installed, and this is no checkout of it: pip install wit-llm\n"
    assert uninstalled(tmp_path / "copy") == (1, "", told)


def test_what_is_missing_comes_with_the_command_that_mends_it() -> None:
    """A package that is not there, or too old, names the command; one of an extra is not needed."""
    requirements = [
        "wasmtime==1.2.3",
        "no-such-thing>=2",
        "no-such-extra; extra == 'pytorch'",
        "pytest; extra == 'dev'",
    ]
    assert [tuple(finding) for finding in packages(requirements)] == [
        ("wasmtime", "50.0.1", "==1.2.3", True, "pip install 'wasmtime==1.2.3'"),
        ("no-such-thing", None, ">=2", True, "pip install 'no-such-thing>=2'"),
        ("no-such-extra", None, "", False, "pip install 'wit-llm[pytorch]'"),
    ]


@pytest.mark.parametrize(
    ("version", "wanted", "met"),
    [
        ("50.0.1", "==50.0.1", True),
        ("50.0.2", "==50.0.1", False),
        ("2.13.0+cpu", "==2.13.0", True),
        ("2026.4.1.0", "<2027,>=2026.4", True),
        ("2027.0", "<2027,>=2026.4", False),
        ("0.9.9", ">=0.20", False),
        ("8.10", ">=8.2", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, wanted: str, met: bool) -> None:
    """A local part such as +cpu says nothing, and 8.10 comes after 8.2."""
    assert meets(version, wanted) is met
