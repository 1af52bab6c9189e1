"""Records of what happened, for one sink: what an operator may want to see, and no guest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GraphLoaded:
    """
    A graph is ready.

    Args:
        graph: Its name.
        backend: The backend that loaded it.
        load_ms: From the start of its worker to its answer.
        pid: Of its worker; none where the backend runs inside the host.
    """

    graph: str
    backend: str
    load_ms: float
    pid: int | None


@dataclass(frozen=True, slots=True)
class GraphFailed:
    """
    A graph could not be loaded.

    Args:
        graph: Its name.
        detail: What was asked, what was found, and the way out; holds paths, so it is not for guests.
    """

    graph: str
    detail: str


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """
    A worker ended that nobody had asked to end.

    Args:
        graph: The graph it held.
        pid: Of the process that is gone.
        detail: How it ended, and the last lines that it wrote; holds paths, so it is not for guests.
    """

    graph: str
    pid: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class TensorsAdmitted:
    """
    Tensors passed the door of a graph.

    Args:
        graph: Its name.
        tensors: Name and dimensions of each, in the order in which they came.
    """

    graph: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class HostFault:
    """
    A bug of this host or of a library under it, told to the operator because the guest only learns that there was one.

    Args:
        where: What the host was doing.
        detail: The traceback.
    """

    where: str
    detail: str


Event = GraphLoaded | GraphFailed | WorkerDied | TensorsAdmitted | HostFault
Sink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Let an event pass unseen: the sink of who wants none."""
