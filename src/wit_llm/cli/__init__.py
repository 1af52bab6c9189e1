"""The command: results on stdout, everything else on stderr, and a failure is one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wit_llm import __version__
from wit_llm.cli.attached import INTERRUPTED
from wit_llm.cli.bench import bench
from wit_llm.cli.chat import chat
from wit_llm.cli.conformance import conformance
from wit_llm.cli.convert import convert
from wit_llm.cli.doctor import doctor
from wit_llm.cli.graphs import graphs
from wit_llm.cli.run import run
from wit_llm.errors import BackendFailure, OperatorError, WitLLMError

if TYPE_CHECKING:
    from typing import IO

__all__ = ["main"]


class Failure(click.ClickException):
    """What went wrong, in one line."""

    def __init__(self, exc: Exception) -> None:
        super().__init__("; ".join(line.strip() for line in _sentence(exc).splitlines() if line.strip()))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"{click.style('error:', fg='red')} {self.message}", file=file, err=file is None)


def _sentence(exc: Exception) -> str:
    """What an exception says to somebody who does not know our code."""
    if isinstance(exc, BackendFailure) and isinstance(exc.__cause__, OperatorError):
        return str(exc.__cause__)  # a guest may not read this; the operator has to
    if isinstance(exc, WitLLMError):
        return str(exc)
    if isinstance(exc, OSError):
        return f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)
    return f"{type(exc).__name__}: {exc} (a defect of wit-llm: `wit-llm --debug …` shows where)"


class Commands(click.Group):
    """The group of all commands, whose failures are one line each."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's signature
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as exc:
            if ctx.params["debug"]:
                raise
            raise Failure(exc) from exc


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wit-llm", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
def main(*, debug: bool) -> None:
    """
    Run WebAssembly components and give them machine learning: tensors and prompts on one graph.

    \b
    Examples:
      wit-llm chat "What is the capital of Japan?"
      wit-llm graphs tiny
    """


main.add_command(run)
main.add_command(chat)
main.add_command(graphs)
main.add_command(doctor)
main.add_command(convert)
main.add_command(conformance)
main.add_command(bench)
