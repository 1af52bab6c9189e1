"""What tests of more than one folder need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from tests.architecture import ROOT
from tests.guest.driver.build import build, held

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wit_llm import Host, Limits, Outcome
    from wit_llm.events import Sink

# For PyTorch, here and in whatever a test starts: two threads that wait for each other on a busy machine are ten times
# slower than one, and tests run beside each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# compiled guests are kept between runs: a Python guest takes ten seconds to compile
CACHE = ROOT / ".cache"


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    stdout: str
    stderr: str


class Command(Protocol):
    """Runs ``wit-llm`` with arguments."""

    def __call__(self, *args: str, stdin: str = "") -> Ended:
        """Wait for its end."""


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What a command of ours is started with: this checkout, and a cache of its own."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(CACHE)}


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str]) -> Command:
    """The command as a process of its own, in an empty folder."""

    def run(*args: str, stdin: str = "") -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "wit_llm", *args],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def host() -> Iterator[Host]:
    """A host that grants what the package brings."""
    from wit_llm import Host

    with Host(["tiny", "echo", "echo-worker"], cache_dir=CACHE / "wit-llm") as host:
        yield host


class Driver:
    """
    The guest that runs the Python source it is handed; see ``tests/guest/driver/driver.py``.

    Hosts are kept between tests, so that each graph is loaded once.

    Args:
        component: Its file.
    """

    def __init__(self, component: Path) -> None:
        self.component = component
        self._hosts: dict[tuple[tuple[str, ...], Limits], Host] = {}

    @staticmethod
    def source(text: str) -> str:
        """What the driver is handed of a snippet that is indented as the test that has it."""
        return dedent(text)

    def host(self, graphs: Sequence[str] = (), limits: Limits | None = None) -> Host:
        """The host that grants these graphs under these limits."""
        from wit_llm import Host, Limits

        key = (tuple(graphs), limits or Limits())
        if key not in self._hosts:
            self._hosts[key] = Host(graphs, limits=limits, cache_dir=CACHE / "wit-llm")
        return self._hosts[key]

    def run(  # noqa: PLR0913 -- what a process has
        self,
        source: str,
        *,
        graphs: Sequence[str] = (),
        args: Sequence[str] = (),
        stdin: bytes = b"",
        limits: Limits | None = None,
        sink: Sink | None = None,
        status: int = 0,
    ) -> Outcome:
        """
        Run the source in a guest that may load these graphs, and look at its exit status.

        Args:
            source: Indented as the test that has it.
            graphs: As ``Host`` takes them.
            args: ``sys.argv[1:]`` of the source.
            stdin: What it reads.
            limits: Of the guest.
            sink: Told of what happens, by a host that is made for this run alone.
            status: How it has to end; 1 is an exception that it does not catch.
        """
        from wit_llm import Host

        argv = [self.source(source), *args]
        if sink is None:
            outcome = self.host(graphs, limits).run(self.component, argv, stdin=stdin)
        else:
            with Host(graphs, limits=limits, sink=sink, cache_dir=CACHE / "wit-llm") as host:
                outcome = host.run(self.component, argv, stdin=stdin)
        assert outcome.exit_code == status, outcome.stderr.decode()
        return outcome

    def close(self) -> None:
        """Close every host."""
        for host in self._hosts.values():
            host.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """The guest that runs the Python source it is handed, built once for each state of its own source."""
    driver = Driver(build(CACHE / "driver"))
    with held(CACHE / "driver"):  # compiled before two processes of a run want it at once
        driver.run("")
    yield driver
    driver.close()
