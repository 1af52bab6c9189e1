"""``wit-llm bench``: how fast a graph is, and what the sandbox costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wit_llm.cli.grants import chosen, grants, graph_options
from wit_llm.cli.warnings import warnings

if TYPE_CHECKING:
    from collections.abc import Mapping

CONCURRENCY = (1, 2, 4, 8, 16)
PROMPT_TOKENS = 128
OUTPUT_TOKENS = 64


class Numbers(click.ParamType[Any]):
    """
    Numbers with commas between.

    Args:
        kind: What each of them is.
    """

    name = "numbers"

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self._kind = kind

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Read them; each as its kind does."""
        return tuple(self._kind.convert(number, param, ctx) for number in value.split(","))


@click.command()
@click.argument("graph")
@graph_options
@click.option(
    "--concurrency",
    type=Numbers(click.IntRange(1, 1024)),
    metavar="N,N,…",
    help=f"Clients at once, each of which waits for its reply; default {','.join(map(str, CONCURRENCY))}.",
)
@click.option(
    "--rate",
    "rates",
    type=Numbers(click.FloatRange(0, 1_000_000, min_open=True)),
    metavar="R,R,…",
    help="Requests a second instead: a Poisson process, each with a client of its own, timed from when it was due.",
)
@click.option(
    "--prompt-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Of made-up prompts, template included; default {PROMPT_TOKENS}.",
)
@click.option(
    "--output-tokens", type=click.IntRange(min=1), metavar="N", help=f"Of their replies; default {OUTPUT_TOKENS}."
)
@click.option("--same-prompt", is_flag=True, help="Make up one prompt for all, so that a prefix cache helps.")
@click.option(
    "--requests",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Requests instead, a line of JSON each, as the benchmark guest reads them.",
)
@click.option(
    "--num-requests",
    type=click.IntRange(min=1),
    metavar="N",
    help="Requests of each run; default 2 for each client, 32 at a rate, all of a file.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each way and load.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of prompts, draws and arrivals.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw a .png or .svg.")
def bench(  # noqa: PLR0913 -- a parameter for each option
    *,
    graph: str,
    graphs: tuple[str, ...],
    config: Path | None,
    concurrency: tuple[int, ...] | None,
    rates: tuple[float, ...] | None,
    prompt_tokens: int | None,
    output_tokens: int | None,
    same_prompt: bool,
    file: Path | None,
    num_requests: int | None,
    repeats: int,
    seed: int,
    as_json: bool,
    plot: Path | None,
) -> None:
    """
    Measure how fast a graph is, and what the sandbox costs.

    Each load is put on GRAPH through guests, one for each client, and directly, from this program's own threads, in
    turns after a warm-up. Replies are greedy and looked at first: one that fails, has another number of tokens than was
    asked for, is not the expected one, or is another one each time although nothing else is asked, ends the command.
    Prefill and decode are rates of one request, output is that of all; TTFT is the time to the first text, ITL that
    between two pieces of text, TPOT that for a token after the first.

    \b
    Examples:
      wit-llm bench tiny --concurrency 1,4 --output-tokens 16 --repeats 2
      wit-llm bench tiny --rate 20 --num-requests 8 --output-tokens 16 --repeats 2 --json
    """
    if concurrency and rates:
        raise click.UsageError("--concurrency and --rate are two kinds of load: give one of them")
    if file is not None and (prompt_tokens or output_tokens or same_prompt):
        raise click.UsageError("--prompt-tokens, --output-tokens and --same-prompt make requests up; FILE has its own")
    from wit_llm.backends.table import detect
    from wit_llm.bench.clients import Clients
    from wit_llm.bench.load import Prompts, read_requests
    from wit_llm.bench.machine import machine, versions
    from wit_llm.bench.plot import FORMATS, check_plot, write_plot
    from wit_llm.bench.report import record
    from wit_llm.bench.run import Bench, Given, Load, Made
    from wit_llm.host import Host

    if plot is not None:
        if plot.suffix.removeprefix(".") not in FORMATS:
            raise click.UsageError(f"--plot writes .png and .svg, got {plot.name!r}")
        check_plot()
    loads = [Load(rate=rate) for rate in rates or ()] or [Load(clients) for clients in concurrency or CONCURRENCY]
    given = None if file is None else Given(read_requests(file), num_requests, seed=seed)
    grant = chosen(graph, grants(graphs, config))
    sizes = {"prompt_tokens": prompt_tokens or PROMPT_TOKENS, "output_tokens": output_tokens or OUTPUT_TOKENS}
    backend, on = grant.backend or detect(grant.path), machine()  # before this command is itself a load
    with Host([grant], sink=warnings(of_loading=False)) as host:
        loaded = host.registry.load(grant.name)
        source = given or Made(Prompts(loaded.model, **sizes, seed=seed), num_requests, same=same_prompt)
        measuring = Bench(Clients(host, grant.name), source, repeats, seed)
        measuring.check()
        records = []
        for load in loads:
            if sys.stderr.isatty():
                click.echo(f"measuring {load.name} ...", err=True)
            records.append(record(measuring.measure(load)))
    report: dict[str, Any] = {
        "graph": {"name": grant.name, "backend": backend, "target": grant.target.value},
        "digest": loaded.digest,
        "requests": {"file": str(file)} if file else {**sizes, "same_prompt": same_prompt},
        "repeats": repeats,
        "seed": seed,
        "machine": on,
        "versions": versions(),
        "loads": records,
    }
    if plot is not None:
        write_plot(records, f"{grant.name}, {_words(report['requests'])}", plot)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)


def _words(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _print(report: Mapping[str, Any]) -> None:
    """The report for people."""
    from wit_llm.bench.report import COST_HEADERS, WAY_HEADERS, cost_row, way_rows
    from wit_llm.cli.table import print_table

    for name in ("graph", "requests", "machine", "versions"):
        click.echo(f"{name}: {_words(report[name])}")
    click.echo(f"{report['repeats']} runs each way, in turns: rates are medians (p10..p90), times are p50/p90/p99\n")
    print_table(WAY_HEADERS, [row for found in report["loads"] for row in way_rows(found)])
    click.echo()
    print_table(COST_HEADERS, [cost_row(found) for found in report["loads"]])
