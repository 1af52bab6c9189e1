"""ARCHITECTURE.md as data, for the tests that hold it against the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "wit_llm"
SCRIPT = "-"
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


class Module(NamedTuple):
    """A line of the table: where a module stands."""

    floor: int
    line: int
    package: str


def module_lines() -> list[tuple[str, str]]:
    """Floor and path of every line of the table, in its order; a script, which nothing imports, has no floor."""
    return re.findall(r"^\| (\d|-) \| `([\w/.]+\.py)` \|", TEXT, re.MULTILINE)


def modules_of_the_house() -> dict[str, Module]:
    """Every module that has a floor, by its path in the package."""
    return {
        path: Module(int(floor), line, path.rpartition("/")[0])
        for line, (floor, path) in enumerate(module_lines())
        if floor != SCRIPT
    }


def section(title: str) -> str:
    """The text under a heading of the second level."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
