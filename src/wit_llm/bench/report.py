"""What was measured as records, for machines, and as rows, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wit_llm.bench.clients import Reply, Way
from wit_llm.bench.figures import interval, percentile, short, spread
from wit_llm.bench.run import Measured, Run

PERCENTS = (50, 90, 99)
_SPREAD = ("p10", "median", "p90")
_INTERVAL = ("low", "median", "high")

WAY_HEADERS = ("load", "way", "prefill, tokens/s", "decode, tokens/s", "output, tokens/s", "TTFT, ms", "ITL, ms")
COST_HEADERS = ("guest against direct", "output, ratio", "TTFT, ms more", "TPOT, us more", "same replies")


def record(measured: Measured) -> dict[str, Any]:
    """
    The figures at one load.

    Rates have their median over the runs and how far they spread: ``prefill``, prompt tokens until the first text, and
    ``decode``, tokens after it, are those of one request, ``output`` is of all requests together. Times have their
    percentiles over all requests: ``ttft`` until the first text, ``itl`` between pieces of text, ``tpot`` for each
    token after the first, ``e2el`` until the end; at a rate from when a request was due, whenever it was sent.
    ``sandbox`` compares the runs of both ways pair by pair, with the median's interval of 95 %.
    """
    load = measured.load
    guest, direct = measured.guest, measured.direct
    return {
        **({"concurrency": load.concurrency} if load.rate is None else {"rate": load.rate}),
        "requests": len(guest[0].replies),
        Way.GUEST.value: _figures(guest),
        Way.DIRECT.value: _figures(direct),
        "sandbox": {
            "output_ratio": _compared(_output, guest, direct, lambda ours, other: ours / other),
            "ttft_ms": _compared(_ttft_ms, guest, direct, lambda ours, other: ours - other),
            "tpot_us": _compared(_tpot_us, guest, direct, lambda ours, other: ours - other),
        },
        "asked_again": measured.again,
        "same_again": measured.same,
    }


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    replies = [reply for run in runs for reply in run.replies]
    return {
        "prefill_tokens_per_s": _rate(_prefill, runs),
        "decode_tokens_per_s": _rate(_decode, runs),
        "output_tokens_per_s": _rate(_output, runs),
        "ttft_ms": _times([reply.ttft_us for reply in replies]),
        "itl_ms": _times([gap_us for reply in replies for gap_us in reply.itl_us]),
        "tpot_ms": _times([_after_us(reply) // _later(reply) for reply in replies if _later(reply)]),
        "e2el_ms": _times([reply.e2el_us for reply in replies]),
    }


def _later(reply: Reply) -> int:
    """Tokens after the first."""
    return reply.generated_tokens - 1


def _after_us(reply: Reply) -> int:
    """From the first text to the end."""
    return reply.e2el_us - reply.ttft_us


def _quotient(above: float, below: float) -> float | None:
    """None where there was nothing to measure."""
    return above / below if below else None


def _prefill(run: Run) -> float | None:
    return _quotient(sum(reply.prompt_tokens for reply in run.replies) * 1e6, sum(r.ttft_us for r in run.replies))


def _decode(run: Run) -> float | None:
    return _quotient(sum(map(_later, run.replies)) * 1e6, sum(map(_after_us, run.replies)))


def _output(run: Run) -> float | None:
    return _quotient(sum(reply.generated_tokens for reply in run.replies), run.wall_s)


def _ttft_ms(run: Run) -> float | None:
    return percentile([reply.ttft_us for reply in run.replies], 50) / 1e3


def _tpot_us(run: Run) -> float | None:
    return _quotient(sum(map(_after_us, run.replies)), sum(map(_later, run.replies)))


def _rate(figure: Callable[[Run], float | None], runs: Sequence[Run]) -> dict[str, float] | None:
    values = [value for run in runs if (value := figure(run))]
    return dict(zip(_SPREAD, spread(values), strict=True)) if len(values) == len(runs) else None


def _times(values_us: Sequence[int]) -> dict[str, float] | None:
    return {f"p{percent}": percentile(values_us, percent) / 1e3 for percent in PERCENTS} if values_us else None


def _compared(
    figure: Callable[[Run], float | None],
    ours: Sequence[Run],
    other: Sequence[Run],
    compare: Callable[[float, float], float],
) -> dict[str, float] | None:
    sides = [(figure(a), figure(b)) for a, b in zip(ours, other, strict=True)]
    values = [compare(a, b) for a, b in sides if a is not None and b]
    if len(values) < len(sides):
        return None
    low, high = interval(values)
    return dict(zip(_INTERVAL, (low, spread(values)[1], high), strict=True))


# ---------------------------------------------------------------- for people


def load_name(found: Mapping[str, Any]) -> str:
    """What a record's load is called in a table."""
    return f"{found['concurrency']} at once" if "concurrency" in found else f"{found['rate']:g} requests/s"


def way_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A record's line for each way, under ``WAY_HEADERS``."""
    for way in Way:
        figures = found[way.value]
        rates = [_between(figures[f"{kind}_tokens_per_s"], _SPREAD, "..") for kind in ("prefill", "decode", "output")]
        times = ["/".join(map(short, (figures[f"{kind}_ms"] or {}).values())) or "-" for kind in ("ttft", "itl")]
        yield load_name(found), way.value, *rates, *times


def cost_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    """A record's line under ``COST_HEADERS``."""
    compared = [_between(found["sandbox"][kind], _INTERVAL, ", ") for kind in ("output_ratio", "ttft_ms", "tpot_us")]
    return load_name(found), *compared, f"{found['same_again']} of {found['asked_again']}"


def _between(figure: Mapping[str, float] | None, names: Sequence[str], sign: str) -> str:
    """A figure with what lies around it."""
    if figure is None:
        return "-"
    low, middle, high = (short(figure[name]) for name in names)
    return f"{middle} ({low}{sign}{high})"
