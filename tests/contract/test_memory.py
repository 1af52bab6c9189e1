"""Little in, much out: what a compute may take of its worker, and that the worker outlives it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.contract.conftest import Graphs, on
from tests.contract.test_tensors import tensor_of
from wit_llm.errors import TooLarge
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.allowance import Allowance
from wit_llm.worker.client import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wit_llm.backends.base import Target

ALLOWANCE = Allowance(memory_bytes=512 << 20, tensor_bytes=16 << 20)
NO_MEMORY = "^computing wants more memory than it may have$"


def _peak_bytes(pid: int) -> int:
    """Most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def _numbers(count: int) -> Admitted:
    return Admitted((NamedTensor("x", Tensor((count,), TensorType.FP32, bytes(4 * count))),))


def _until(number: int) -> Admitted:
    return Admitted((NamedTensor("n", tensor_of(TensorType.I64, [number])),))


@pytest.fixture
def square(library: str, graphs: Graphs, target: Target) -> Iterator[Engine]:
    """The products of all pairs of n numbers: n in, n times n out."""
    engine = Engine(graphs.source(library, "square", on(target, library)))
    yield engine
    engine.close()


def test_a_huge_output_is_refused_before_it_is_there(square: Engine) -> None:
    """128 KB that would become 4 GiB are a typed error, cost no memory, and the same worker goes on."""
    small = (NamedTensor("y", tensor_of(TensorType.FP32, np.zeros((10, 10)))),)
    assert square.compute(_numbers(10), None, ALLOWANCE) == small
    pid = square.pid
    assert pid is not None
    before = _peak_bytes(pid)
    for _ in range(3):
        with pytest.raises(TooLarge, match=NO_MEMORY):
            square.compute(_numbers(1 << 15), None, ALLOWANCE)
        # With the dimensions of before, and no more than those: what failed leaves nothing behind.
        assert square.compute(_numbers(10), None, ALLOWANCE) == small
    assert square.pid == pid
    assert _peak_bytes(pid) - before < 64 << 20


def test_what_failed_does_not_decide_what_comes_next(square: Engine) -> None:
    """An inference after a failed one has its own dimensions and reads its own input, and no memory beyond it."""
    ones = NamedTensor("x", tensor_of(TensorType.FP32, np.ones(100)))
    (first,) = square.compute(Admitted((ones,)))
    with pytest.raises(TooLarge, match=NO_MEMORY):
        square.compute(_numbers(8192), None, Allowance(64 << 20, 1 << 30))
    # By now there is memory for what failed, which would be computed in the place of this.
    (again,) = square.compute(Admitted((ones,)))
    assert first.tensor == again.tensor == tensor_of(TensorType.FP32, np.ones((100, 100)))


def test_an_output_over_the_limit_is_not_sent(square: Engine) -> None:
    """What there is memory for, and no room for with the guest, is named with its size."""
    assert square.compute(_numbers(2048), None, ALLOWANCE)[0].tensor.data_bytes == ALLOWANCE.tensor_bytes
    with pytest.raises(TooLarge, match="^output 'y' has 16793604 bytes; at most 16777216 go to a guest$"):
        square.compute(_numbers(2049), None, ALLOWANCE)


@pytest.mark.parametrize("library", ["openvino", pytest.param("torchscript", marks=pytest.mark.slow)])
def test_a_size_that_only_the_values_say_is_refused_too(library: str, graphs: Graphs, target: Target) -> None:
    """Eight bytes that name a length of 4 GiB are a typed error, and so is a length that no machine has."""
    engine = Engine(graphs.source(library, "count", on(target, library)))
    pid = engine.pid
    three = (NamedTensor("y", tensor_of(TensorType.I64, [0, 1, 2])),)
    assert engine.compute(_until(3), None, ALLOWANCE) == three
    for number in (1 << 29, (1 << 31) - 1):
        with pytest.raises(TooLarge, match=NO_MEMORY):
            engine.compute(_until(number), None, ALLOWANCE)
        assert engine.compute(_until(3), None, ALLOWANCE) == three
    assert engine.pid == pid
    engine.close()
