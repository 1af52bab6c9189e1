"""Tables that people read: as wide as the terminal, or as their content in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNBOUNDED = 10_000  # columns; nobody's terminal, so that nothing is folded in a pipe


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headers on stdout; colour is for terminals."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else UNBOUNDED, markup=False, highlight=False).print(table)
