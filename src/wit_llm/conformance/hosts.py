"""The seam: a host under test can run a component with some graphs, and that is all that is asked of it."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from wit_llm import __version__
from wit_llm.conformance.suite import Backend
from wit_llm.errors import GuestTrapped, OperatorError
from wit_llm.events import Sink, ignore
from wit_llm.host import Host, Running
from wit_llm.limits import Limits
from wit_llm.registry import Grant, read_manifest

LONGEST_S = 300.0  # a guest that takes longer hangs

# Small, so that every limit is met by guests that a host without limits runs as well.
LIMITS = Limits(
    handles=400, tensor_bytes=1 << 20, held_bytes=8 << 20, compute_bytes=2 << 30, loaded_graphs=2, graph_bytes=1 << 20
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a guest printed: what it is, of which case, and its words."""

    result: str
    case: str
    seen: str


@dataclass(frozen=True, slots=True)
class Ended:
    """
    How a guest ended.

    Args:
        stdout: What it wrote.
        how: What the host says of its end; empty where it ended by itself, with status 0.
    """

    stdout: str
    how: str

    @property
    def lines(self) -> list[Line]:
        """What it printed that is a line of the suite's; a guest may have been ended in the middle of one."""
        return [line for line in map(_line, self.stdout.splitlines()) if line is not None]

    @property
    def finished(self) -> bool:
        """Whether it came to its own end; no exit status says so on every host."""
        return any(line.result == "end" for line in self.lines)


def _line(text: str) -> Line | None:
    try:
        return Line(**json.loads(text))
    except (ValueError, TypeError):
        return None


class Sandbox(Protocol):
    """Runs guests that may load some graphs; several at once, from several threads."""

    def run(self, component: Path, args: Sequence[str]) -> Ended:
        """Run a component to its end, whatever that is."""

    def run_until(self, component: Path, args: Sequence[str], deadline_s: float) -> Ended | None:
        """The same under a deadline; none where the host has no such thing."""


class HostUnderTest(Protocol):
    """What the suite looks at."""

    @property
    def name(self) -> str:
        """What it is, with its version."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of what it is made of, where that is known."""

    def open(self, backend: Backend, graphs: Mapping[str, Path], *, load: bool) -> AbstractContextManager[Sandbox]:
        """
        Have graphs in the format of a backend ready, each under its name.

        Args:
            backend: Says the format.
            graphs: The folder of each.
            load: Whether guests may load graphs from bytes as well, where the host has a choice.
        """


# ---------------------------------------------------------------- this host


class Ours:
    """
    The host of this package.

    Args:
        sink: As of ``Host``.
        cache_dir: As of ``Host``.
    """

    name = f"wit-llm {__version__}"

    def __init__(self, sink: Sink = ignore, cache_dir: Path | None = None) -> None:
        self._sink = sink
        self._cache_dir = cache_dir

    @property
    def versions(self) -> dict[str, str]:
        """Of the libraries that compute and of what runs guests; and what no user of this host has."""
        found = {"Python": platform.python_version()}
        for package in ("wasmtime", "openvino", "torch"):
            with suppress(PackageNotFoundError):
                found[package] = version(package)
        return found | {"limits": "lowered so that guests meet them"}

    @contextmanager
    def open(self, backend: Backend, graphs: Mapping[str, Path], *, load: bool) -> Iterator[Sandbox]:
        """Have graphs ready in one host, which all guests share."""
        told = {} if backend.manifest is None else {grant.name: grant for grant in read_manifest(backend.manifest)}
        grants = [told.get(name) or Grant(name, path, backend.ours) for name, path in graphs.items()]

        def start(limits: Limits) -> Host:
            return Host(grants, limits=limits, allow_load=load, sink=self._sink, cache_dir=self._cache_dir)

        sandbox = _Shared(start)
        try:
            yield sandbox
        finally:
            sandbox.close()


class _Shared:
    """One host for all guests; what runs under a deadline has one of its own, as it is the same for all its guests."""

    def __init__(self, start: Callable[[Limits], Host]) -> None:
        self._start = start
        self._host = start(LIMITS)

    def run(self, component: Path, args: Sequence[str]) -> Ended:
        return _run(self._host, component, args)

    def run_until(self, component: Path, args: Sequence[str], deadline_s: float) -> Ended:
        with self._start(replace(LIMITS, deadline_s=deadline_s)) as host:
            return _run(host, component, args)

    def close(self) -> None:
        self._host.close()


def _run(host: Host, component: Path, args: Sequence[str]) -> Ended:
    out = bytearray()
    running = host.start(component, args, stdin=b"", stdout=out.extend, stderr=out.extend)
    how = _wait(running)
    return Ended(out.decode(errors="replace"), how)


def _wait(running: Running) -> str:
    try:
        status = running.wait(LONGEST_S)
        if status is None:
            running.end(f"it did not end in {LONGEST_S:g} s")
            status = running.wait(LONGEST_S)
    except GuestTrapped as exc:
        return str(exc)
    return f"status {status}" if status else ""


# ---------------------------------------------------------------- any other host


class Command:
    """
    A host that is a command.

    Args:
        template: The command line of one guest, in which ``{component}``, ``{args}`` and ``{graphs}`` stand for the
            guest's file, its arguments, and ``graph`` for each of the graphs.
        graph: What lends one graph, with ``{name}``, ``{folder}`` and ``{encoding}`` in it.
        name: What a report calls it; the command line where it is empty.

    Raises:
        OperatorError: A part is missing from the template.
    """

    def __init__(self, template: str, graph: str, name: str = "") -> None:
        self.name = name or template
        self.versions: dict[str, str] = {}  # a command does not tell
        self._words = shlex.split(template)
        self._graph = shlex.split(graph)
        for word in ("{component}", "{args}", "{graphs}"):
            if word not in self._words:
                raise OperatorError(f"--host wants {word} as a word of its own, got {template!r}")
        if not any("{folder}" in word for word in self._graph):
            raise OperatorError(f"--host-graph wants {{folder}} in it, got {graph!r}")

    @contextmanager
    def open(self, backend: Backend, graphs: Mapping[str, Path], *, load: bool) -> Iterator[Sandbox]:  # noqa: ARG002
        """Have graphs ready; each guest is a process, and so a host, of its own, which decides what it loads."""
        lent = [
            word.format(name=name, folder=folder, encoding=backend.encoding)
            for name, folder in graphs.items()
            for word in self._graph
        ]
        yield _Process(self._words, lent)


class _Process:
    """A process for each guest."""

    def __init__(self, words: Sequence[str], lent: Sequence[str]) -> None:
        self._words = words
        self._lent = lent

    def run(self, component: Path, args: Sequence[str]) -> Ended:
        meant = {"{component}": [str(component)], "{args}": args, "{graphs}": self._lent}
        command = [part for word in self._words for part in meant.get(word, [word])]
        try:
            done = subprocess.run(  # noqa: S603 -- the operator's own command
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_S, check=False
            )
        except OSError as exc:
            raise OperatorError(f"the host cannot be started: {command[0]}: {exc.strerror}") from exc
        except subprocess.TimeoutExpired as exc:
            return Ended((exc.stdout or b"").decode(errors="replace"), f"it did not end in {LONGEST_S:g} s")
        words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        how = f"status {done.returncode}{words and ': '}{words}" if done.returncode else ""
        return Ended(done.stdout.decode(errors="replace"), how)

    def run_until(self, component: Path, args: Sequence[str], deadline_s: float) -> None:
        """Commands have no deadline that all of them spell alike."""
