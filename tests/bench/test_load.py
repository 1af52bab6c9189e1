"""What is asked: made-up prompts of an exact length, requests of a file, arrivals."""

from __future__ import annotations

import json
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from wit_llm.bell import Bell
from wit_llm.bench.load import Prompts, arrivals, read_requests
from wit_llm.errors import OperatorError
from wit_llm.limits import Limits
from wit_llm.text.message import Setup
from wit_llm.text.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Driver
    from wit_llm.text.model import Model


def _model(driver: Driver, graph: str) -> Model:
    return driver.host([graph]).registry.load(graph).model


@pytest.mark.parametrize(("graph", "tokens"), [("tiny", 16), ("tiny", 300), ("echo", 50)])
def test_made_up_prompts_have_exactly_as_many_tokens(driver: Driver, graph: str, tokens: int) -> None:
    """Each is as long as was asked for with the template around it, and no two are alike."""
    model = _model(driver, graph)
    prompts = Prompts(model, prompt_tokens=tokens, output_tokens=9, seed=0)
    requests = [prompts.request() for _ in range(20)]
    session = Session(model, Setup(), Bell(), Limits())
    assert {session.measure(request.turn, request.options) for request in requests} == {tokens}
    assert len({request.prompt for request in requests}) == len({request.id for request in requests}) == 20
    assert {(request.max_output_tokens, request.ignore_eos) for request in requests} == {(9, True)}


def test_seed_decides_on_the_prompts(driver: Driver) -> None:
    """The same seed makes the same texts, another one others."""
    model = _model(driver, "echo")
    first, again, other = (Prompts(model, prompt_tokens=40, output_tokens=1, seed=n).request() for n in (1, 1, 2))
    assert first == again
    assert first.prompt != other.prompt


@pytest.mark.parametrize(
    ("prompt_tokens", "told"),
    [
        pytest.param(
            1000, "graph 'tiny' has a window of 1024 tokens, too few for a prompt of 1000 and a reply of 64", id="long"
        ),
        pytest.param(
            3,
            "a prompt of 3 tokens: the chat template of graph 'tiny' makes 4 of the shortest; ask for as many at least",
            id="short",
        ),
    ],
)
def test_a_length_that_cannot_be_is_refused(driver: Driver, prompt_tokens: int, told: str) -> None:
    """Before anything is measured, with the numbers."""
    with pytest.raises(OperatorError) as raised:
        Prompts(_model(driver, "tiny"), prompt_tokens=prompt_tokens, output_tokens=64, seed=0)
    assert str(raised.value) == told


def test_arrivals_are_a_poisson_process_of_the_seed() -> None:
    """Gaps are exponential, with the mean that the rate says, and the same for the same seed."""
    times = arrivals(50, 5_000, 7)
    gaps_ms = [(later - earlier) / 1e3 for earlier, later in pairwise(times)]
    assert times == sorted(times)
    assert statistics.mean(gaps_ms) == pytest.approx(20, rel=0.06)
    assert statistics.pstdev(gaps_ms) == pytest.approx(20, rel=0.1)
    assert arrivals(50, 5_000, 7) == times != arrivals(50, 5_000, 8)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param(['{"id": "a", "raw": "x"}'] * 2, "line 2: the id 'a' is an earlier line's", id="id"),
        pytest.param(
            ['{"id": "a", "raw": "x", "at_us": 0}'],
            "line 1: at_us is for the guest alone; arrivals are made by --rate here",
            id="at",
        ),
        pytest.param([], "line 1: Expecting value: line 1 column 1 (char 0)", id="empty"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path, lines: list[str], told: str) -> None:
    """Replies are known by their requests' ids, and the command makes arrivals itself."""
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(OperatorError) as raised:
        read_requests(file)
    assert str(raised.value) == f"{file}: {told}"


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Every key arrives, and what is not there stays open."""
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    written = {"id": "1", "messages": talk, "expected": "Yo", "max_output_tokens": 3, "ignore_eos": True}
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps(written))
    (request,) = read_requests(file)
    assert [(line.role, line.content) for line in request.messages or ()] == [("system", "Be brief."), ("user", "Hi")]
    assert (request.expected, request.max_output_tokens, request.ignore_eos) == ("Yo", 3, True)
