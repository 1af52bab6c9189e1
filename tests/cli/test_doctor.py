"""``wit-llm doctor``."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Command
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
