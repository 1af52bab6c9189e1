"""``wit-llm convert`` on the command line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from tests.contract.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command


def test_what_is_converted_can_be_chatted_with(command: Command, tmp_path: Path) -> None:
    """Two lines, pasted one after the other: the folder is made, and answers."""
    out = tmp_path / "tiny-fp16"
    made = command("convert", "tiny", str(out), "--to", "openvino", "--weights", "fp16")
    size = f"{(out / 'openvino_model.bin').stat().st_size / 1e6:,.1f}"
    assert made == (
        0,
        (
            f"{out}: llama, 0.9 million parameters, 1.7 MB of weights in {TINY} are {size} MB in fp16\n"
            "with it came README.md, chat_template.jinja, config.json, generation_config.json, tokenizer.json, "
            "tokenizer_config.json\n"
        ),
        "",
    )
    assert command("chat", "-m", str(out), "What is the capital of Japan?") == (
        0,
        "The capital of Japan is Tokyo.\n",
        "",
    )


def test_a_model_without_a_tokenizer_is_said_to_be_one(command: Command, tmp_path: Path) -> None:
    """It is converted, and what it lacks is said on stderr."""
    source = tmp_path / "bare"
    source.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(TINY / name, source)
    made = command("convert", str(source), str(tmp_path / "out"), "--to", "openvino", "--weights", "fp16")
    assert (made.status, made.stdout.splitlines()[1]) == (0, "with it came config.json")
    assert made.stderr == f"it cannot be prompted: {source} has no tokenizer.json\n"


def test_a_refusal_is_one_line(command: Command, tmp_path: Path) -> None:
    """A family that is not converted is named, with those that are."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    (tmp_path / "model.safetensors").touch()
    ended = command("convert", str(tmp_path), str(tmp_path / "out"), "--to", "openvino")
    text = (
        f"error: {tmp_path} is a model of the family 'mamba'; converted are llama, mistral, qwen2, qwen3; others "
        "become an IR by `optimum-cli export openvino` in an environment of its own\n"
    )
    assert ended == (1, "", text)
