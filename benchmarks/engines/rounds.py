"""Rounds as they were measured, a line of JSON each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec


class Cell(msgspec.Struct, frozen=True):
    """
    What an engine has done in a round.

    Args:
        name: Of the engine.
        weights: How its matrices are stored.
        value: Of the figure; none where it is not there.
        absent: Why not.
        version: What it is.
    """

    name: str
    weights: str
    value: float | None
    absent: str = ""
    version: str = ""


class Round(msgspec.Struct, frozen=True):
    """
    The same works done by one engine after the other.

    Args:
        when: The day.
        command: That has measured it.
        setting: Machine, versions and threads: rounds of one table have the same.
        shape: Of the model.
        figure: Its key.
        title: What it is.
        unit: Of the values.
        bits: Of the weights.
        cells: Of each engine that was asked for.
    """

    when: str
    command: str
    setting: dict[str, Any]
    shape: str
    figure: str
    title: str
    unit: str
    bits: int
    cells: tuple[Cell, ...]


def append(path: Path, made: Round) -> None:
    """Put a round at the file's end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(made) + b"\n")


def read(path: Path) -> list[Round]:
    """
    All of a file.

    Raises:
        SystemExit: There is none, or it has rounds of different settings.
    """
    try:
        rounds = [msgspec.json.decode(line, type=Round) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        raise SystemExit(f"error: {path} is not there; a run without --render writes it") from None
    if not rounds:
        raise SystemExit(f"error: {path} has no rounds")
    for made in rounds:
        if other := _differences(rounds[0].setting, made.setting):
            raise SystemExit(f"error: {path} has rounds of different settings: {other}; measure into another file")
    return rounds


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(f"{name} {one.get(name)} and {other.get(name)}" for name in names)


def groups(rounds: Sequence[Round]) -> Iterator[list[Round]]:
    """Rounds of one shape, title and number of bits, in the order of their first ones."""
    order: dict[tuple[str, str, int], int] = {}
    for made in rounds:
        order.setdefault(_key(made), len(order))
    for _, group in groupby(sorted(rounds, key=lambda made: order[_key(made)]), _key):
        yield list(group)


def _key(made: Round) -> tuple[str, str, int]:
    return made.shape, made.title, made.bits
