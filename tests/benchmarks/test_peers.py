"""The comparison with other engines: what becomes of its rounds, and a small run without those that it installs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.architecture import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PEERS = ROOT / "benchmarks" / "peers.py"
SETTING = {"cpu": "a CPU", "cores": 2, "threads": 2}


def _run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PEERS), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=170, env=dict(environment), check=False)


def _cell(name: str, value: float | None, absent: str = "") -> dict[str, object]:
    return {"name": name, "weights": "w", "value": value, "absent": absent, "version": f"{name} 1.0"}


def _round(*cells: dict[str, object], **changed: object) -> dict[str, Any]:
    return {
        "when": "2026-11-23",
        "command": "python benchmarks/peers.py",
        "setting": SETTING,
        "shape": "small",
        "figure": "prefill",
        "title": "prefill of 512 tokens",
        "unit": "tokens/s",
        "bits": 16,
        "cells": cells,
        **changed,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where rounds are kept."""
    return tmp_path / "rounds.jsonl"


def _write(file: Path, *rounds: dict[str, Any]) -> None:
    file.write_text("".join(f"{json.dumps(made)}\n" for made in rounds))


def test_renders_rounds_of_several_runs(file: Path, environment: Mapping[str, str]) -> None:
    """Ratios are taken round by round, also where an engine has failed or was not asked for; most bits are first."""
    ours, openvino = _cell("wit-llm/openvino", 300), _cell("openvino-genai/batching", 310)
    slower = _round(_cell("wit-llm/openvino", 200), openvino, _cell("transformers", 50), _cell("llama.cpp", 160))
    gone = _cell("llama.cpp", None, "its process has ended")
    _write(
        file,
        _round(_cell("wit-llm/openvino", 40), _cell("llama.cpp", None, "not installed: no compiler"), bits=4),
        _round(ours, openvino, _cell("transformers", 100), _cell("llama.cpp", 100)),
        slower,
        _round(ours, openvino, gone, command="python benchmarks/peers.py --bits 16"),
        _round(_cell("wit-llm/openvino", 0.1), figure="prefix", title="after a prefix", unit="of the time"),
    )
    done = _run("--render", "--json", str(file), environment=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "python benchmarks/peers.py --bits 16" in lines
    prefill = "small, 16 bits, prefill of 512 tokens"
    assert f"| {prefill} | llama.cpp | 130 (106..154) | 250 (210..290) | 2.12 [1.25, 3] | ratio >= 1.7: no |" in lines
    assert (
        "| small, 16 bits, after a prefix | none | none | 0.1 (0.1..0.1) | none | ours <= 0.2 of the time: yes |"
        in lines
    )
    table = lines[lines.index("## small: prefill of 512 tokens, tokens/s") :]
    assert table[4:9] == [
        "| 16 | wit-llm/openvino | w | 3 | 300 (220..300) | 1 [1, 1] |",
        "| 16 | openvino-genai/batching | w | 3 | 310 (310..310) | 0.968 [0.645, 0.968] |",
        "| 16 | transformers | w | 2 | 75 (55..95) | 3.5 [3, 4] |",
        "| 16 | llama.cpp | w | 2 | 130 (106..154) | 2.12 [1.25, 3] |",
        "| 4 | wit-llm/openvino | w | 1 | 40 (40..40) | 1 [1, 1] |",
    ]
    assert table[9] == "| 4 | llama.cpp | w | 0 | not installed: no compiler | |"


def test_readme_has_what_was_measured() -> None:
    """Its table of ratios is that of the results."""
    readme, results = ((ROOT / path).read_text() for path in ("README.md", "benchmarks/RESULTS.md"))
    row = re.compile(r"^\| (\S+), (\d+) bits, ([^|]+) \|(?: [^|]+ \|){3} (\S+) \[", re.MULTILINE)
    ratios = {(shape, bits, title): ratio for shape, bits, title, ratio in row.findall(results)}
    titles = {
        "prefill of 512 tokens": "prefill of 512 tokens",
        "eight requests at once": "8 requests at once, 512 tokens in and 128 out",
        "decoding for one request": "decode of 64 tokens after the first, one request",
    }
    for name, title in titles.items():
        cells = [
            f"{ratios['smollm2-135m', bits, title]} ({ratios['qwen2.5-0.5b', bits, title]})"
            for bits in ("16", "8", "4")
        ]
        assert f"| {name} | {' | '.join(cells)} |\n" in readme


def test_refuses_to_mix_settings(file: Path, environment: Mapping[str, str]) -> None:
    """Rounds of two machines never stand in one table."""
    ours = _cell("wit-llm/openvino", 300)
    _write(file, _round(ours), _round(ours, setting={**SETTING, "cores": 4}))
    done = _run("--render", "--json", str(file), environment=environment)
    assert done.returncode == 1
    assert done.stderr == f"error: {file} has rounds of different settings: cores 2 and 4; measure into another file\n"


def test_says_where_rounds_are_missing(file: Path, environment: Mapping[str, str]) -> None:
    """Tables are made of what was measured, and of nothing else."""
    done = _run("--render", "--json", str(file), environment=environment)
    assert done.returncode == 1
    assert done.stderr == f"error: {file} is not there; a run without --render writes it\n"


@pytest.mark.parametrize(
    ("option", "there"),
    [
        ("--engines", "wit-llm/openvino, openvino-genai/batching, openvino-genai/pipeline, wit-llm/pytorch, "),
        ("--shapes", "smollm2-135m, qwen2.5-0.5b, small"),
        ("--bits", "16, 8, 4"),
        ("--figures", "prefill, decode, eight, prefix"),
    ],
)
def test_names_what_there_is(option: str, there: str, environment: Mapping[str, str]) -> None:
    """A name that is not known is an error with those that are."""
    done = _run(option, "nobody", environment=environment)
    assert done.returncode == 2
    assert f"argument {option}: nobody: not known; there are {there}" in done.stderr


@pytest.mark.slow
def test_small_run_checks_and_measures(file: Path, environment: Mapping[str, str]) -> None:
    """A guest and the library driven directly pass the check, and have a value for each figure."""
    options = ("--quick", "--pairs", "1", "--bits", "16", "--engines", "openvino-genai/batching")
    done = _run(*options, "--json", str(file), environment=environment)
    assert done.returncode == 0, done.stderr
    made = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["figure"] for one in made] == ["prefill", "decode", "eight", "prefix"]
    for one in made:
        assert [cell["name"] for cell in one["cells"]] == ["wit-llm/openvino", "openvino-genai/batching"]
        assert all(cell["value"] > 0 for cell in one["cells"])
