"""The graphs, and the table of what each backend does at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import SETTINGS, on
from tests.contract.text.cases import BACKENDS, ECHOES
from tests.contract.text.graphs import write_talker, write_vectors
from wit_llm.backends.base import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

CELL = "cell"


@pytest.fixture(scope="session")
def grants(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Mapping[str, str]:
    """Every graph by its name, as ``--graph`` takes it: each backend's talker, and its ``vectors-`` where it embeds."""
    root = tmp_path_factory.mktemp("text")
    found = {}
    for backend in BACKENDS:
        own = target if backend == "pytorch" else Target.CPU
        # An echo that is a little slow, so that a guest can be quicker.
        settings = {"delay_ms": "0.1"} if backend in ECHOES else SETTINGS[backend]
        rest = "".join(f",settings.{key}={value}" for key, value in settings.items())
        folders = {backend: write_talker}
        if backend not in ECHOES:
            folders[f"vectors-{backend}"] = write_vectors
        for name, write in folders.items():
            found[name] = f"{name}={write(backend, root / name)},backend={backend},target={own.value}{rest}"
    return found


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name == "pytorch" else name for name in BACKENDS])
def talker(request: pytest.FixtureRequest, target: Target) -> str:
    """Every backend; that of PyTorch takes seconds to start."""
    on(target, request.param)
    return str(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table of what was tried in this run."""
    cells: dict[str, dict[str, str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for key, value in report.user_properties:
                if key == CELL and report.when == "call":
                    name, backend, cell = value
                    cells.setdefault(name, {})[backend] = cell if outcome == "passed" else outcome
    if not cells:
        return
    wide = max(map(len, cells))
    terminalreporter.section("wit-llm:nn by backend")
    for name, row in {"": {backend: backend for backend in BACKENDS}, **cells}.items():
        terminalreporter.write_line(f"{name:{wide}}" + "".join(f"  {row.get(b, '-'):11}" for b in BACKENDS).rstrip())
