"""A guest on this process's own standard streams, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

import click

from wit_llm.cli.warnings import warnings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wit_llm.host import Running
    from wit_llm.registry import Grant

INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended


def run_attached(  # noqa: PLR0913 -- what a process has
    component: Path,
    args: Sequence[str],
    *,
    graphs: Iterable[Grant],
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    dirs: Mapping[str, Path] | None = None,
    allow_load: bool = False,
    deadline_s: float | None = None,
    prompted: bool = False,
) -> int:
    """
    Run a component to its end; Ctrl-C stops its live replies, and the component where none is live.

    Args:
        component: Its file.
        args: Its arguments, without its own name.
        graphs: What it may load.
        stdin: What it reads; none is this process's own.
        env: All of its environment.
        dirs: Folders by the path that the guest sees.
        allow_load: Whether it may load graphs from bytes of its own.
        deadline_s: Seconds until it is ended.
        prompted: The graphs are for prompts: what is wrong with them is raised here, before the guest starts.

    Returns:
        Its exit status; 130 where Ctrl-C ended it.

    Raises:
        OperatorError: It is no component, or wants what is not offered, or a graph cannot be granted.
        GuestTrapped: It trapped, or its time was over.
        NNError: A graph that was to be prompted cannot be.
    """
    from wit_llm.host import Host
    from wit_llm.limits import Limits

    limits = replace(Limits(), deadline_s=deadline_s)
    with Host(graphs, limits=limits, allow_load=allow_load, sink=warnings(of_loading=not prompted)) as host:
        for grant in host.registry.grants if prompted else ():
            _ = host.registry.load(grant.name).model
        return _follow(host.start(component, args, stdin=stdin, env=env, dirs=dirs))


def _follow(guest: Running) -> int:
    """Wait for the end of a guest, or for a Ctrl-C that finds no reply to stop."""
    # a signal's handler may put while this very thread gets
    news: SimpleQueue[str] = SimpleQueue()
    before = signal.signal(signal.SIGINT, lambda _signal, _frame: news.put("interrupted"))
    try:
        guest.on_end(lambda: news.put("ended"))
        while news.get() != "ended":
            if not guest.interrupt():
                click.echo(nl=sys.stderr.isatty(), err=True)  # a shell's prompt begins on a line of its own
                return INTERRUPTED
        return guest.wait() or 0
    finally:
        signal.signal(signal.SIGINT, before)
