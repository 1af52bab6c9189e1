"""Model folders that more than one benchmark measures."""

from __future__ import annotations

import argparse
from pathlib import Path

from measure import BENCH

from wit_llm.backends.config import read_config


def random_ir() -> Path:
    """The 135M shape as an fp16 IR, made in a minute unless it is there."""
    folder = BENCH / "random-llama-135m"
    if not folder.exists():
        from random_llama import make  # which imports torch

        make(folder)
    return folder


def random_source() -> Path:
    """The 135M shape as transformers has it, made in a minute unless it is there."""
    from random_llama import make_source  # which imports torch

    return make_source(BENCH / "random-llama-135m-transformers")


def add_ir_option(options: argparse.ArgumentParser) -> None:
    """What ``ir`` wants to know."""
    options.add_argument(
        "--model", type=Path, metavar="FOLDER", help="another IR; default is the 135M shape, made once"
    )


def ir(arguments: argparse.Namespace) -> Path:
    """The one that is measured."""
    folder: Path | None = arguments.model
    return folder or random_ir()


def add_folder_options(options: argparse.ArgumentParser) -> None:
    """What ``folders_by_backend`` wants to know."""
    options.add_argument(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="another folder, with IR and safetensors; default is the 135M shape, made once",
    )
    options.add_argument("--backend", choices=list(_MADE), help="this one alone; default both")


def folders_by_backend(arguments: argparse.Namespace) -> dict[str, Path]:
    """What backends load: one folder that has IR and safetensors, or the 135M shape for each."""
    backends = [arguments.backend] if arguments.backend else list(_MADE)
    return {backend: arguments.model or _MADE[backend]() for backend in backends}


def read_vocab_size(folder: Path) -> int:
    """How many tokens the model has."""
    config = read_config(folder)
    if config is None:
        raise SystemExit(f"error: {folder} has no config.json")
    return config.text_info().vocab_size


_MADE = {"openvino": random_ir, "pytorch": random_source}
