"""``wit-llm convert``: a transformers folder becomes one that OpenVINO loads."""

from __future__ import annotations

from pathlib import Path

import click

from wit_llm.cli.grants import EMBEDDED


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", "_to", type=click.Choice(["openvino"]), required=True, help="The format to make.")
@click.option(
    "--weights",
    type=click.Choice(["fp16", "int8", "int4"]),
    default="int8",
    show_default=True,
    help="How weights are stored: int8 is nearly as good as fp16, int4 is small and loses some.",
)
def convert(source: Path, out: Path, *, _to: str, weights: str) -> None:
    """
    Convert a transformers folder for OpenVINO.

    OUT is made, and can be granted, computed with and prompted. SOURCE is a Llama, Mistral, Qwen2 or Qwen3 with its
    weights in safetensors, or the embedded model tiny; tokenizer, chat template and defaults come along. Nothing is
    downloaded, nothing is overwritten, and no code of the model's is run. int8 and int4 need `pip install
    'wit-llm[convert]'`.

    \b
    Examples:
      wit-llm convert tiny tiny-int4 --to openvino --weights int4
      wit-llm chat -m tiny-int4 "What is the capital of Japan?"
    """
    from wit_llm.convert.compress import WeightFormat
    from wit_llm.convert.folder import convert as run
    from wit_llm.registry import embedded

    folder = embedded(str(source)).path if str(source) in EMBEDDED and not source.exists() else source
    made = run(folder, out, WeightFormat(weights))
    million, mb = made.parameters / 1e6, 1e6
    click.echo(
        f"{out}: {made.family}, {million:,.1f} million parameters, "
        f"{made.source_bytes / mb:,.1f} MB of weights in {folder} are {made.bytes / mb:,.1f} MB in {weights}"
    )
    click.echo(f"with it came {', '.join(made.copied)}")
    if not made.promptable:
        click.echo(f"it cannot be prompted: {folder} has no tokenizer.json", err=True)
