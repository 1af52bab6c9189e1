"""Tables of rounds, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from engines.rounds import Round, groups
from engines.table import OPENVINO, OURS, OURS_ON_PYTORCH
from measure import Bar, Of, Row, median_of, spread_of

# Of the ratio to the best engine that is not OpenVINO.
_BARS = {"prefill": Bar(Of.RATIO, at_least=1.7), "eight": Bar(Of.RATIO, at_least=1.7)}
# Of what there is to compare with nobody.
_OWN_BARS = {"prefix": Bar(Of.OURS, at_most=0.2)}
_ABOUT = """\
# Results

What these commands measured on {days}, written by `python benchmarks/peers.py --render --write`; not for editing:

```console
{commands}
```

The docstring of `benchmarks/peers.py` says how each engine is driven and checked. All have the same random weights, the
same token ids and {threads} threads of one machine, and do each round's work one after the other, every other round in
reverse. Figures are medians (p10..p90). `ours / its` is what `{ours}` has with weights of as many bits, over what the
engine has, round by round: the median of these ratios, with its 95 % interval. Above 1 ours is the faster one.
"""


def rows(group: Sequence[Round]) -> list[Row]:
    """Of each engine that was measured, our values beside its own, of the rounds of one figure that have both."""
    made = []
    for name in dict.fromkeys(cell.name for one in group for cell in one.cells):
        both = []
        for one in group:
            cells = {cell.name: cell for cell in one.cells}
            ours, its = cells[OURS], cells.get(name)
            if ours.value is not None and its is not None and its.value is not None:
                both.append((ours.value, its.value))
        if both:
            first = group[0]
            made.append(Row(f"{first.shape}, {first.bits} bits, {first.title}", first.unit, name, both))
    return made


def comparison(group: Sequence[Round]) -> Row | None:
    """The row that a bar is about: of the best engine that is not OpenVINO, or our own; none without it."""
    made = {row.rival: row for row in rows(group)}
    if (bar := _OWN_BARS.get(group[0].figure)) is not None:
        return replace(made[OURS], bar=bar) if OURS in made else None
    others = [row for name, row in made.items() if name not in (*OPENVINO, OURS_ON_PYTORCH)]
    if not others:
        return None
    best = max(others, key=lambda row: float(np.median([its for _, its in row.pairs])))
    return replace(best, bar=_BARS.get(group[0].figure))


def markdown(rounds: Sequence[Round]) -> str:
    """All tables, with what they were measured on and by."""
    setting = rounds[0].setting
    facts = {
        **{name: str(value) for name, value in setting.items()},
        **{cell.name: cell.version for one in rounds for cell in one.cells if cell.version},
    }
    commands = dict.fromkeys(one.command for one in rounds)
    days = dict.fromkeys(one.when for one in rounds)
    return "".join(
        [
            _ABOUT.format(threads=setting["threads"], ours=OURS, commands="\n".join(commands), days=", ".join(days)),
            "\n| | |\n|-|-|\n",
            *(f"| {name} | {fact} |\n" for name, fact in facts.items()),
            *_summary(rounds),
            *_tables(rounds),
        ]
    )


def _tables(rounds: Sequence[Round]) -> Iterator[str]:
    for shape, title, unit in dict.fromkeys((one.shape, one.title, one.unit) for one in rounds):
        yield f"\n## {shape}: {title}, {unit}\n\n"
        yield "| bits | engine | weights | rounds | median (p10..p90) | ours / its |\n|-|-|-|-|-|-|\n"
        for group in groups([one for one in rounds if (one.shape, one.title) == (shape, title)]):
            yield from _table(group)


def _table(group: Sequence[Round]) -> Iterator[str]:
    made = {row.rival: row for row in rows(group)}
    cells = {cell.name: cell for one in group for cell in one.cells}
    for name, cell in cells.items():
        about = f"| {group[0].bits} | {name} | {cell.weights}"
        if (row := made.get(name)) is None:
            yield f"{about} | 0 | {cell.absent or f'not measured, because {OURS} was not'} | |\n"
        else:
            its = spread_of([value for _, value in row.pairs])
            yield f"{about} | {len(row.pairs)} | {its} | {median_of(row.values(Of.RATIO))} |\n"


def _summary(rounds: Sequence[Round]) -> Iterator[str]:
    yield "\n## Against the best engine that is not OpenVINO\n\n"
    yield "| what | the other | its | ours | ours / its | bar |\n|-|-|-|-|-|-|\n"
    for group in groups(rounds):
        if (row := comparison(group)) is not None:
            ours, its = zip(*row.pairs, strict=True)
            bar = f"{row.bar.text(row.unit)}: {'yes' if row.verdict(row.bar)[0] else 'no'}" if row.bar else ""
            alone = row.rival == OURS
            other, ratio = (
                ("none | none", "none")
                if alone
                else (f"{row.rival} | {spread_of(its)}", median_of(row.values(Of.RATIO)))
            )
            yield f"| {row.name} | {other} | {spread_of(ours)} | {ratio} | {bar} |\n"
