"""What happened behind a guest's back, told to the operator on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wit_llm.events import GraphFailed, HostFault, WorkerDied

if TYPE_CHECKING:
    from wit_llm.events import Event, Sink


def warnings(*, of_loading: bool = True) -> Sink:
    """
    A sink that prints one line for each thing that went wrong; with ``--debug`` a fault's whole traceback.

    Args:
        of_loading: Also that a graph cannot be loaded; false for who says so otherwise.
    """
    debug = click.get_current_context().find_root().params["debug"]

    def warn(event: Event) -> None:
        match event:
            case GraphFailed() if of_loading:
                text = f"graph '{event.graph}' cannot be loaded: {event.detail}"
            case WorkerDied():
                text = f"the worker of graph '{event.graph}' died: {event.detail}"
            case HostFault() if debug:
                click.echo(event.detail, err=True)
                return
            case HostFault():
                text = f"a defect in {event.where}: {event.detail.strip().rpartition(chr(10))[2]} (--debug shows where)"
            case _:
                return
        click.echo(f"{click.style('warning:', fg='yellow')} {' '.join(text.split())}", err=True)

    return warn
