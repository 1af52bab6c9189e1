"""The host: graphs, and the guests that run with them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wit_llm import events
from wit_llm.errors import OperatorError
from wit_llm.limits import Limits
from wit_llm.loading.loader import Loader
from wit_llm.registry import Grant, Registry
from wit_llm.scheduling import give_way
from wit_llm.wasm.engine import Program, Runtime
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.stdio import Captured, Output, Stdio

# A guest that waits for its standard input cannot be stopped; its thread ends with the process.
END_S = 0.3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a guest ended that ended by itself, and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def default_cache() -> Path:
    """Where compiled components are kept: ``wit-llm`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wit-llm"


class Running:
    """
    A guest on its way, on a thread of its own.

    Args:
        guest: What runs.
        stdio: What it sees of the outside.
        among: Those that are on their way; it joins them, and leaves them when it has ended.
    """

    def __init__(self, guest: Guest, stdio: Stdio, among: set[Running]) -> None:
        self._guest = guest
        self._ended: Future[int] = Future()
        self._among = among
        among.add(self)
        try:
            threading.Thread(target=self._run, args=(stdio,), name=f"guest {stdio.name}", daemon=True).start()
        except RuntimeError:  # there are as many threads as there can be
            among.discard(self)
            raise

    def _run(self, stdio: Stdio) -> None:
        give_way()
        try:
            self._ended.set_result(self._guest.run(stdio))
        except BaseException as exc:  # noqa: BLE001 -- told to who waits
            self._ended.set_exception(exc)
        finally:
            self._among.discard(self)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """
        Wait for its end.

        Returns:
            Its exit status; none where ``timeout_s`` has passed first.

        Raises:
            GuestTrapped: It was ended.
            OSError: This process has no descriptor left for what it writes.
        """
        ended, _ = wait([self._ended], timeout_s)
        return self._ended.result() if ended else None

    def on_end(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` once it has ended, on its thread, or at once where it has."""
        self._ended.add_done_callback(lambda _: tell())

    def interrupt(self) -> int:
        """Stop the replies that are being produced, as a Ctrl-C does; returns how many."""
        return self._guest.interrupt()

    def end(self, why: str = "the guest was stopped") -> None:
        """Stop the guest itself: ``wait`` then raises ``GuestTrapped``."""
        self._guest.end(why)

    def close_graphs(self) -> None:
        """End the workers of the graphs that it loaded from bytes: a call into one of them then fails."""
        self._guest.close_graphs()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.done()

    @property
    def handles(self) -> int:
        """How many handles it has in use."""
        return len(self._guest.handles)


class Host:
    """
    Runs components with chosen graphs.

    ::

        with Host(["tiny"]) as host:
            print(host.run("guest.wasm", ["tiny"], stdin=b"Hello!").stdout.decode())

    Args:
        graphs: What guests may load by name: grants, or their spelling on the command line, such as ``tiny`` or
            ``name=folder,backend=pytorch``.
        limits: What each guest may use.
        allow_load: Whether guests may load graphs from bytes of their own; native parsers read these, in a confined
            process with this one's rights.
        sink: Told what happened, from any thread; see ``wit_llm.events``.
        cache_dir: Folder of compiled components, nobody else's to write in; none for ``wit-llm`` in the user's cache.

    Raises:
        OperatorError: A grant that cannot be.
    """

    def __init__(
        self,
        graphs: Iterable[Grant | str] = (),
        *,
        limits: Limits | None = None,
        allow_load: bool = False,
        sink: events.Sink = events.ignore,
        cache_dir: Path | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._allow_load = allow_load
        self._sink = sink
        grants = [Grant.parse(graph) if isinstance(graph, str) else graph for graph in graphs]
        self.registry = Registry(grants, self.limits, sink)
        self._runtime = Runtime(cache_dir or default_cache())
        self._programs: dict[bytes, Program] = {}
        self._running: set[Running] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        component: str | Path | bytes,
        args: Sequence[str] = (),
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        dirs: Mapping[str, Path] | None = None,
    ) -> Outcome:
        """
        Run a program to its end.

        Args:
            component: A file, or its bytes.
            args: After the program's own name.
            stdin: All that it reads.
            env: Its environment; nothing is inherited.
            dirs: Guest path to host folder, both ways.

        Raises:
            OperatorError: As of ``start``.
            GuestTrapped: It was ended.
        """
        with Captured() as out, Captured() as err:
            running = self.start(component, args, stdin=stdin, stdout=out, stderr=err, env=env, dirs=dirs)
            exit_code = running.wait()
            return Outcome(exit_code or 0, out.read(), err.read())

    def start(  # noqa: PLR0913 -- what a process has
        self,
        component: str | Path | bytes,
        args: Sequence[str] = (),
        *,
        stdin: bytes | None = None,
        stdout: Output | Captured | None = None,
        stderr: Output | Captured | None = None,
        env: Mapping[str, str] | None = None,
        dirs: Mapping[str, Path] | None = None,
    ) -> Running:
        """
        Start a program on a thread of its own, by default on this process's standard streams.

        Args:
            component: A file, or its bytes.
            args: After the program's own name.
            stdin: All that it reads; none for this process's own.
            stdout: Called with what is written, on a thread for the guest's output, and with all of it before ``wait``
                ends; a piece may have several writes in it, or a part of one. Or who keeps it; none for this process's
                own.
            stderr: The same; one function for both hears them in order, and two may hear them in another.
            env: Its environment; nothing is inherited.
            dirs: Guest path to host folder, both ways.

        Raises:
            OperatorError: It is no program for this host, or no guest can be given these arguments, this environment
                or these folders.
        """
        name = "guest" if isinstance(component, bytes) else Path(component).name
        stdio = Stdio(name, args, stdin, stdout, stderr, env or {}, dirs or {})
        loader = Loader(self.limits, self._sink) if self._allow_load else None
        guest = Guest(self._program(component), self.registry, self.limits, self._sink, loader)
        return Running(guest, stdio, self._running)

    def _program(self, component: str | Path | bytes) -> Program:
        if isinstance(component, bytes):
            name, binary = "the guest", component
        else:
            name = str(component)
            try:
                binary = Path(component).read_bytes()
            except OSError as exc:
                raise OperatorError(f"{name}: {exc.strerror}") from exc
        try:
            program = self._programs.get(binary) or self._runtime.program(binary)
        except OperatorError as exc:
            raise OperatorError(f"{name}: {exc}") from exc
        return self._programs.setdefault(binary, program)

    def close(self) -> None:
        """End every guest and unload every graph."""
        alive = list(self._running)
        for running in alive:
            running.end("the host was closed")
        wait([running._ended for running in alive], END_S)  # noqa: SLF001 -- one module
        for running in alive:
            running.close_graphs()
        self.registry.close()
        self._runtime.close()
