"""``wit-llm bench``: a graph's speed through guests and without, and nothing about replies that are wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import Command
from wit_llm import OperatorError, __version__
from wit_llm.bench.plot import check_plot

QUICK = ("--repeats", "1", "--prompt-tokens", "20", "--output-tokens", "8")


def test_json_has_every_figure_of_both_ways(command: Command) -> None:
    """Rates, times and the cost of the sandbox at each load, and what they were taken on."""
    ended = command("bench", "echo", "--concurrency", "1,3", *QUICK, "--json")
    assert (ended.status, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["graph"]["name"] == report["graph"]["backend"] == "echo"
    assert report["requests"] == {"prompt_tokens": 20, "output_tokens": 8, "same_prompt": False}
    assert report["versions"]["wit-llm"] == __version__
    assert report["machine"]["cores"] >= 1
    assert [(load["concurrency"], load["requests"]) for load in report["loads"]] == [(1, 2), (3, 6)]
    rates = {"prefill_tokens_per_s", "decode_tokens_per_s", "output_tokens_per_s"}
    times = {"ttft_ms", "itl_ms", "tpot_ms", "e2el_ms"}
    for load in report["loads"]:
        assert set(load["guest"]) == set(load["direct"]) == rates | times
        assert load["guest"]["output_tokens_per_s"]["median"] > 0
        assert 0 < load["guest"]["ttft_ms"]["p50"] <= load["guest"]["e2el_ms"]["p50"]
        assert load["sandbox"]["output_ratio"]["median"] == pytest.approx(
            load["guest"]["output_tokens_per_s"]["median"] / load["direct"]["output_tokens_per_s"]["median"]
        )
        assert load["same_again"] == load["asked_again"] > 0


def test_table_and_picture(command: Command, tmp_path: Path) -> None:
    """For people there are lines, and a picture in the format that its name says."""
    ended = command("bench", "echo", "--rate", "50,200", "--num-requests", "4", *QUICK, "--plot", "rates.svg")
    assert (ended.status, ended.stderr) == (0, "")
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert [line[0] for line in lines[:4]] == ["graph:", "requests:", "machine:", "versions:"]
    ways = [(line[0], line[2]) for line in lines if line[1:2] == ["requests/s"] and line[2] in {"guest", "direct"}]
    assert ways == [("50", "guest"), ("50", "direct"), ("200", "guest"), ("200", "direct")]
    assert ET.parse(tmp_path / "rates.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 -- our own
    assert "<!-- time to first text, ms -->" in (tmp_path / "rates.svg").read_text()


def test_a_wrong_answer_is_told_instead_of_a_rate(command: Command, tmp_path: Path) -> None:
    """One reply that is not the expected one, and there are no figures."""
    right = {"id": "right", "prompt": "Hello!", "expected": "Hello!"}
    wrong = {"id": "wrong", "prompt": "Hello!", "expected": "Goodbye!"}
    (tmp_path / "requests.jsonl").write_text(f"{json.dumps(right)}\n{json.dumps(wrong)}\n")
    ended = command("bench", "echo", "--requests", "requests.jsonl", "--repeats", "1", "--concurrency", "2")
    told = "guest, concurrency 1: request 'wrong' expects 'Goodbye!', and the reply is 'Hello!'"
    assert ended == (1, "", f"error: {told}\n")


def test_requests_of_a_file_are_evaluated(command: Command, tmp_path: Path) -> None:
    """A file's requests run as they are, several at once, and their expected answers are met by the real model."""
    asked = {"What is the capital of Japan?": "The capital of Japan is Tokyo.", "Hello!": "Hello! How can I help you?"}
    lines = [json.dumps({"id": prompt, "prompt": prompt, "expected": asked[prompt]}) for prompt in asked]
    (tmp_path / "requests.jsonl").write_text("\n".join(lines))
    ended = command("bench", "tiny", "--requests", "requests.jsonl", "--repeats", "2", "--concurrency", "2", "--json")
    assert (ended.status, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["requests"] == {"file": "requests.jsonl"}
    assert [(load["requests"], load["same_again"]) for load in report["loads"]] == [(2, 12)]


def test_one_prompt_for_all(command: Command) -> None:
    """With one prompt every reply is compared with every other."""
    ended = command("bench", "echo", "--same-prompt", "--concurrency", "2", *QUICK, "--json")
    (load,) = json.loads(ended.stdout)["loads"]
    assert load["same_again"] == load["asked_again"] == 4 * 4


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        pytest.param(["echo", "--rate", "1", "--concurrency", "1"], 2, "two kinds of load", id="loads"),
        pytest.param(["echo", "--concurrency", "1,0"], 2, "0 is not in the range 1<=x<=1024", id="zero"),
        pytest.param(["echo", "--rate", "fast"], 2, "'fast' is not a valid float", id="rate"),
        pytest.param(["echo", "--plot", "rates.pdf"], 2, "--plot writes .png and .svg, got 'rates.pdf'", id="format"),
        pytest.param(["echo", "--requests", "f", "--prompt-tokens", "3"], 2, "FILE has its own", id="file"),
        pytest.param(["echo", "--requests", "g"], 2, "does not exist", id="no-file"),
        pytest.param(["nobody"], 1, "there is no graph 'nobody'", id="graph"),
        pytest.param(["echo", "--prompt-tokens", "4090"], 1, "has a window of 4096 tokens, too few", id="window"),
        pytest.param(["echo", "--requests", "f"], 1, "f: line 1: Expecting value", id="line"),
    ],
)
def test_what_cannot_be_measured_is_said(
    command: Command, tmp_path: Path, arguments: list[str], status: int, told: str
) -> None:
    """Options that do not go together, and graphs, lengths and files that are not there."""
    (tmp_path / "f").touch()
    ended = command("bench", *arguments)
    assert (ended.status, ended.stdout) == (status, "")
    assert told in " ".join(ended.stderr.split())


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OperatorError) as raised:
        check_plot()
    assert str(raised.value) == "--plot wants matplotlib; run: pip install 'wit-llm[bench]'"
