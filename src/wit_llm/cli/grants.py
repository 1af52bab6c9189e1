"""The options that say which graphs a guest may load, and the grants they come to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wit_llm.registry import Grant

MANIFEST = Path("wit-llm.toml")
EMBEDDED = ("tiny", "echo", "echo-worker")
_Function = TypeVar("_Function", bound="Callable[..., Any]")


def graph_options(command: _Function) -> _Function:
    """``--graph`` and ``--config``, the same for every command that loads graphs."""
    graph = click.option(
        "--graph",
        "graphs",
        multiple=True,
        metavar="GRAPH",
        help="A graph to grant: NAME=FOLDER[,backend=…][,target=…][,settings.KEY=VALUE], or the bare name of an "
        f"embedded one ({', '.join(EMBEDDED)}). May be given several times.",
    )
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"A manifest of graphs to grant; default ./{MANIFEST} where there is one.",
    )
    return graph(config(command))


def grants(graphs: Iterable[str], config: Path | None) -> dict[str, Grant]:
    """
    The grants of the manifest and of the command line by name; of two with one name the command line's counts.

    Raises:
        OperatorError: A grant or the manifest says nothing sensible.
    """
    from wit_llm.registry import Grant, read_manifest

    if config is None and MANIFEST.exists():
        config = MANIFEST
    granted = list(read_manifest(config)) if config is not None else []
    granted += [Grant.parse(text) for text in graphs]
    return {grant.name: grant for grant in granted}


def chosen(name: str, granted: Mapping[str, Grant]) -> Grant:
    """
    The graph that is meant: one that is granted, an embedded one, or a folder's.

    Raises:
        OperatorError: There is none of that name, or what is there is no folder.
    """
    from wit_llm.backends.mistakes import no_folder
    from wit_llm.errors import OperatorError
    from wit_llm.registry import Grant, embedded

    if name in granted:
        return granted[name]
    if name in EMBEDDED:
        return embedded(name)
    if Path(name).is_dir():
        called = re.sub(r"[^A-Za-z0-9._-]", "-", Path(name).resolve().name) or "graph"
        return Grant.read(called, {"path": name}, Path(), name)
    raise OperatorError(no_folder(Path(name)) if "/" in name else unknown(name, [*EMBEDDED, *granted]))


def unknown(name: str, known: Iterable[str]) -> str:
    """What to tell of a name that no graph has."""
    return (
        f"there is no graph {name!r}; there are {', '.join(dict.fromkeys(known))}, and --graph {name}=FOLDER adds one"
    )
