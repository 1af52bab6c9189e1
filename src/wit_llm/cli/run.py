"""``wit-llm run``: a component as a command."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wit_llm.cli.attached import run_attached
from wit_llm.cli.grants import grants, graph_options
from wit_llm.cli.packaged import GUESTS


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("guest")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@graph_options
@click.option("--env", "env", multiple=True, metavar="KEY=VALUE", help="An environment variable of the guest.")
@click.option("--dir", "dirs", multiple=True, metavar="HOST[::GUEST]", help="A folder the guest may read and write.")
@click.option(
    "--allow-load",
    is_flag=True,
    help="Let it load graphs from bytes of its own: native parsers read them, in a process with your rights.",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End it after so long.")
def run(  # noqa: PLR0913 -- a parameter for each option
    *,
    guest: str,
    args: tuple[str, ...],
    graphs: tuple[str, ...],
    config: Path | None,
    env: tuple[str, ...],
    dirs: tuple[str, ...],
    allow_load: bool,
    timeout: float | None,
) -> None:
    """
    Run a WebAssembly component as a program.

    GUEST is its file, or "chat" or "bench": the guests that come with this command. What follows GUEST is the guest's
    own, options too. It can load the graphs that are granted and no others, and the exit status is its own. Ctrl-C
    stops the replies that are being produced; where there are none, it ends the guest.

    \b
    Examples:
      wit-llm run --graph tiny chat tiny "Tell me a joke."
      echo '{"id": "1", "prompt": "Who are you?"}' | wit-llm run --graph tiny bench tiny
      printf 'My name is Ann.\\nWhat is my name?\\n' | wit-llm run --graph tiny chat --transcript tiny
      wit-llm run --graph echo --timeout 10 chat echo "Hello!"
    """
    sys.exit(
        run_attached(
            _component(guest),
            args,
            graphs=grants(graphs, config).values(),
            env=dict(_pair(text) for text in env),
            dirs=dict(_folder(text) for text in dirs),
            allow_load=allow_load,
            deadline_s=timeout,
        )
    )


def _component(guest: str) -> Path:
    """The file that is meant; one that is there goes before the packaged guest of that name."""
    return GUESTS.get(guest, Path(guest)) if not Path(guest).exists() else Path(guest)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"wants KEY=VALUE, got {text!r}", param_hint="--env")
    return key, value


def _folder(text: str) -> tuple[str, Path]:
    """The guest's name of a folder, its own unless another is given, and the folder."""
    host, _, guest = text.partition("::")
    if not Path(host).is_dir():
        raise click.BadParameter(f"{host!r} is not a folder", param_hint="--dir")
    return guest or host, Path(host)
