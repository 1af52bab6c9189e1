"""How likely given tokens are, on every backend that scores: what its own logits say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.architecture import ROOT
from tests.contract.conftest import TINY
from wit_llm.backends import openvino as openvino_backend
from wit_llm.backends.base import Signature, Target
from wit_llm.backends.openvino_scores import score
from wit_llm.errors import TooLarge
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.tensor import Admitted, Tensor, TensorType
from wit_llm.tokenizer import Tokenizer
from wit_llm.worker.allowance import Allowance
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

PREFIX = "<|user|>What is the capital of France?<|end|><|assistant|>"
CONTINUATIONS = ["The capital of France is Paris.<|end|>", "The capital of France is Rome.", "No"]
# A piece of one token is all that goes with a vocabulary of this size.
HUGE = 1 << 24


def _rows() -> tuple[list[list[int]], int]:
    """Token ids of the prefix with each continuation, and how many of them are the prefix's."""
    tokenizer = Tokenizer.load(TINY)
    opening, *endings = tokenizer.encode_all([PREFIX, *CONTINUATIONS], special=True)
    return [opening + ending for ending in endings], len(opening)


def _by_hand(graph: Graph, row: list[int], first: int) -> npt.NDArray[np.float64]:
    """From the logits of one forward pass over the row."""
    (output,) = graph.compute(graph.prompt_tensors(row))
    logits = np.frombuffer(output.tensor.data, np.float32).reshape(output.tensor.dimensions)[0].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))  # [tokens, vocab]
    chosen: npt.NDArray[np.float64] = logprobs[np.arange(first - 1, len(row) - 1), row[first:]]
    return chosen


def _values(scores: Tensor) -> npt.NDArray[np.float32]:
    assert scores.ty is TensorType.FP32
    return np.frombuffer(scores.data, np.float32).reshape(scores.dimensions)


def _graph(engine: Engine) -> Graph:
    return Graph("tiny", engine, Limits(), ignore)


def test_scores_are_what_a_forward_pass_says(tiny: Engine) -> None:
    """Each token's, in rows of all lengths, with zeros behind them."""
    graph, (rows, first) = _graph(tiny), _rows()
    values = _values(graph.score(rows, first))
    assert values.shape == (3, max(map(len, rows)) - first)
    for row, scored in zip(rows, values, strict=True):
        expected = _by_hand(graph, row, first)
        np.testing.assert_allclose(scored[: len(expected)], expected, atol=2e-4)
        assert not scored[len(expected) :].any()


def test_a_whole_text_is_scored_from_its_second_token_on(tiny: Engine) -> None:
    """One token before all others is enough."""
    graph, (rows, _) = _graph(tiny), _rows()
    np.testing.assert_allclose(_values(graph.score(rows[:1], 1))[0], _by_hand(graph, rows[0], 1), atol=2e-4)


def test_scores_keep_nothing(tiny: Engine) -> None:
    """Neither a compute nor a score knows of a score before it."""
    graph, (rows, first) = _graph(tiny), _rows()
    before, logits = _values(graph.score(rows, first)).copy(), graph.compute(graph.prompt_tensors(rows[0]))
    graph.score([rows[1][::-1]], 2)
    assert _values(graph.score(rows, first)).tolist() == before.tolist()
    assert graph.compute(graph.prompt_tensors(rows[0])) == logits


def test_a_score_that_finds_no_memory_is_a_typed_error(tiny: Engine) -> None:
    """It has the allowance of a compute, and the next one is as if nothing had been."""
    graph, (rows, first) = _graph(tiny), _rows()
    before = _values(graph.score(rows, first)).tolist()
    long = [(rows[0] * 60)[:1000]]
    with pytest.raises(TooLarge, match="^scoring wants more memory than it may have$"):
        tiny.score(graph.admit(graph.token_tensors(long)), 1, None, Allowance(100 << 10, 1 << 20))
    assert _values(graph.score(rows, first)).tolist() == before


def test_pieces_make_no_difference_to_openvino() -> None:
    """A prefix and rows that are read token by token have the scores that they have when they are read at once."""
    model = openvino_backend.load(TINY, Target.CPU, {}, Signature())
    rows, first = _rows()
    admitted = _admitted(rows)
    whole, pieces = (_values(score(model._raw(), admitted, first, size).tensor) for size in (640, HUGE))
    np.testing.assert_allclose(pieces, whole, atol=2e-4)


def _admitted(rows: Sequence[Sequence[int]]) -> Admitted:
    """As the door would make it of rows."""
    engine = Engine(GraphSource("echo", "echo", TINY))
    graph = Graph("echo", engine, Limits(), ignore)
    ids, mask = graph.token_tensors(rows)
    engine.close()
    return Admitted((ids, mask))


SCRIPT = """
import json, sys
import torch, transformers
from array import array
from wit_llm.backends.pytorch_scores import score
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType

folder, rows, first = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
longest = max(map(len, rows))
fill = {
    "input_ids": [row + [0] * (longest - len(row)) for row in rows],
    "attention_mask": [[1] * len(row) + [0] * (longest - len(row)) for row in rows],
}
admitted = Admitted(tuple(
    NamedTensor(name, Tensor((len(rows), longest), TensorType.I64, array("q", sum(values, [])).tobytes()))
    for name, values in fill.items()
))
with torch.inference_mode():
    theirs = []
    for row in rows:
        logprobs = model(torch.tensor([row])).logits[0].log_softmax(-1)
        theirs.append([float(logprobs[at - 1, row[at]]) for at in range(first, len(row))])
ours = [
    memoryview(score(model, torch.device("cpu"), admitted, first, size).tensor.data).cast("f").tolist()
    for size in (640, 1 << 24)
]
print(json.dumps([theirs, *ours]))
"""


@pytest.mark.slow
def test_scores_are_those_of_transformers() -> None:
    """PyTorch's, read at once and token by token, are those of a forward pass that transformers makes."""
    rows, first = _rows()
    command = [sys.executable, "-c", SCRIPT, str(TINY), json.dumps(rows), str(first)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    theirs, whole, pieces = json.loads(ended.stdout.splitlines()[-1])
    for ours in (whole, pieces):
        for expected, scored in zip(theirs, np.array(ours).reshape(len(rows), -1), strict=True):
            np.testing.assert_allclose(scored[: len(expected)], expected, atol=1e-4)
