"""``wit-llm graphs``: what can be granted, and what one graph takes and gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wit_llm.cli.grants import EMBEDDED, grants, graph_options, unknown
from wit_llm.cli.warnings import warnings
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from wit_llm.registry import Entry, Grant, Loaded, Registry
    from wit_llm.tensor import TensorSpec

KILO = 1000


@click.command()
@click.argument("name", required=False)
@graph_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def graphs(*, name: str | None, graphs: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """
    List graphs, or show one.

    Listed are the embedded graphs, those of wit-llm.toml and those of --graph. With NAME that graph is loaded, and its
    window, its inputs and its outputs are shown too.

    \b
    Examples:
      wit-llm graphs
      wit-llm graphs tiny
      wit-llm graphs tiny --json
    """
    from wit_llm.limits import Limits
    from wit_llm.registry import Registry, embedded

    known = {each: embedded(each) for each in EMBEDDED} | grants(graphs, config)
    if name is not None and name not in known:
        raise OperatorError(unknown(name, known))
    registry = Registry([known[name]] if name else known.values(), Limits(), warnings(of_loading=False))
    try:
        found: Any = _described(registry, registry.load(name)) if name else _rows(registry)
    finally:
        registry.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif name:
        _print_one(found)
    else:
        _print_list(found)


def _rows(registry: Registry) -> list[dict[str, Any]]:
    return [_row(grant, entry) for grant, entry in zip(registry.grants, registry.entries(), strict=True)]


def _row(grant: Grant, entry: Entry) -> dict[str, Any]:
    """What is known of a graph without loading it."""
    from wit_llm.backends.config import MODULES, read_config
    from wit_llm.backends.table import detect

    config = read_config(grant.path)
    backend = grant.backend or detect(grant.path)
    return {
        "name": entry.name,
        "backend": backend,
        "target": grant.target.value,
        "promptable": entry.promptable,
        "embeds": (grant.path / MODULES).is_file(),
        "context_window": config and (config.max_position_embeddings or config.n_positions),
        "bytes": entry.bytes,
        "digest": entry.digest,
        "path": str(grant.path),
    }


def _described(registry: Registry, loaded: Loaded) -> dict[str, Any]:
    """The same, and what only the loaded graph knows."""
    (grant,), (entry,) = registry.grants, registry.entries()
    info = loaded.graph.info
    text = info.text or info.encodes
    return {
        **_row(grant, entry),
        "can": _can(loaded),
        "context_window": text.context_window if text else None,
        "vocab_size": text.vocab_size if text else None,
        "any_tensors": info.any_tensors,
        "inputs": [_spec(spec) for spec in info.inputs],
        "outputs": [_spec(spec) for spec in info.outputs],
    }


def _can(loaded: Loaded) -> list[str]:
    """What it can do with text, as a guest is told of it."""
    from wit_llm.errors import NNError

    try:
        return [capability.value for capability in loaded.describe().can]
    except NNError:  # it takes tensors only
        return []


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "ty": spec.ty.value, "dimensions": spec.dimensions}


def _print_list(rows: list[dict[str, Any]]) -> None:
    from wit_llm.cli.table import print_table

    print_table(
        ("name", "backend", "target", "text", "window", "size", "digest"),
        [
            (
                row["name"],
                row["backend"],
                row["target"],
                "yes" if row["promptable"] else "vectors" if row["embeds"] else "no",
                str(row["context_window"] or ""),
                _size(row["bytes"]),
                row["digest"].removeprefix("sha256:")[:12],
            )
            for row in rows
        ],
    )


def _print_one(graph: dict[str, Any]) -> None:
    from wit_llm.cli.table import print_table

    window = graph["context_window"]
    print_table(
        ("graph", graph["name"]),
        [
            ("backend", f"{graph['backend']} on {graph['target']}"),
            ("path", graph["path"]),
            ("size", _size(graph["bytes"])),
            ("digest", graph["digest"]),
            ("window", f"{window} tokens" if window else "takes tensors only"),
            *([("can", ", ".join(graph["can"]))] if graph["can"] else []),
            *((kind[:-1], line) for kind in ("inputs", "outputs") for line in _tensors(graph, kind)),
        ],
    )


def _tensors(graph: dict[str, Any], kind: str) -> list[str]:
    """A line for each input or output: its name, type and dimensions, ``?`` where any size goes."""
    if graph["any_tensors"]:
        return ["any tensors" if kind == "inputs" else "its inputs"]
    lines = []
    for spec in graph[kind]:
        axes = spec["dimensions"]
        size = "..." if axes is None else ", ".join("?" if axis is None else str(axis) for axis in axes)
        lines.append(f"{spec['name']} {spec['ty']}[{size}]")
    return lines


def _size(data_bytes: int) -> str:
    """Bytes as people say them."""
    size = float(data_bytes)
    for unit in ("B", "kB", "MB"):
        if size < KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= KILO
    return f"{size:.1f} GB"
