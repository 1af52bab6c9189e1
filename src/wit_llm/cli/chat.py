"""``wit-llm chat``: the packaged chat guest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wit_llm.cli.attached import run_attached
from wit_llm.cli.grants import chosen, grants, graph_options
from wit_llm.cli.packaged import CHAT_GUEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wit_llm.registry import Grant

DEFAULT_GRAPH = "tiny"
EVERYTHING = "-"  # the packaged guest's word for a prompt that is all of its standard input


@click.command()
@click.argument("prompt", required=False)
@click.option(
    "-m", "--model", "name", metavar="GRAPH", help=f"The graph to chat with, or its folder; default {DEFAULT_GRAPH}."
)
@click.option("-s", "--system", metavar="TEXT", help="What the model is told before the conversation.")
@graph_options
def chat(
    *, prompt: str | None, name: str | None, system: str | None, graphs: tuple[str, ...], config: Path | None
) -> None:
    """
    Chat with a graph.

    Without PROMPT, on a terminal, it is a conversation. Text on standard input is put before PROMPT, a blank line
    between. In a conversation Ctrl-C stops the reply; where there is none, Ctrl-C or Ctrl-D ends it.

    \b
    Examples:
      wit-llm chat "What is the capital of Japan?"
      echo "Tell me a joke." | wit-llm chat
      wit-llm chat -m echo -s "You repeat what you hear." "Hello!"
      wit-llm chat --graph tiny,backend=pytorch "Who are you?"
    """
    grant = _grant(name, graphs, grants(graphs, config))
    conversation = prompt is None and sys.stdin.isatty()
    args = [*(["-s", system] if system is not None else []), grant.name]
    if conversation:
        click.echo(f"chatting with {grant.name}; Ctrl-C stops a reply, Ctrl-D ends the chat", err=True)
    else:
        args.append(EVERYTHING)
    stdin = None if conversation else _joined(prompt).encode()
    sys.exit(run_attached(CHAT_GUEST, args, graphs=[grant], stdin=stdin, prompted=True))


def _grant(name: str | None, graphs: tuple[str, ...], granted: Mapping[str, Grant]) -> Grant:
    """The one graph to chat with: named, or the only one of the command line, or the default."""
    from wit_llm.registry import Grant

    if name is None and len(graphs) > 1:
        raise click.UsageError("several graphs are given: say with -m which one to chat with")
    if name is None:
        name = Grant.parse(graphs[0]).name if graphs else DEFAULT_GRAPH
    return chosen(name, granted)


def _joined(prompt: str | None) -> str:
    """What standard input says, and then the prompt."""
    try:
        piped = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as exc:
        raise click.UsageError(f"standard input is not UTF-8 text: {exc}") from exc
    text = "\n\n".join(part for part in (piped.rstrip("\n"), prompt) if part)
    if not text:
        raise click.UsageError("nothing to say: give a PROMPT, or text on standard input")
    return text
