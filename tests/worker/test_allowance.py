"""What one compute may take of its process."""

from __future__ import annotations

import resource

import pytest

from wit_llm.errors import TooLarge
from wit_llm.tensor import NamedTensor, Tensor, TensorType
from wit_llm.worker.allowance import Allowance

MIB = 1 << 20


def _limit() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_DATA)


def test_memory_over_the_allowance_is_a_typed_error() -> None:
    """An allocation that goes over it fails where it is made, and the process is as before."""
    before = _limit()
    text = "^the compute wants more than 67108864 bytes of memory$"
    with pytest.raises(TooLarge, match=text), Allowance(64 * MIB, MIB).held():
        bytearray(256 * MIB)
    assert _limit() == before
    assert len(bytearray(256 * MIB)) == 256 * MIB


def test_memory_within_the_allowance_is_there() -> None:
    """What the process had before does not count."""
    held = bytearray(256 * MIB)
    before = _limit()
    with Allowance(64 * MIB, MIB).held():
        assert len(bytearray(32 * MIB)) == 32 * MIB
        assert _limit()[1] == before[1]
    assert (_limit(), len(held)) == (before, 256 * MIB)


def test_a_lower_limit_stays() -> None:
    """The operator's own limit of the process is not lifted by a generous allowance."""
    soft, hard = _limit()
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, hard))
    try:
        with Allowance(1 << 40, MIB).held():
            assert _limit() == (8 << 30, hard)
        assert _limit() == (8 << 30, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_other_failures_pass() -> None:
    """Only a lack of memory is about the allowance."""
    before = _limit()
    with pytest.raises(ValueError, match="^its own$"), Allowance(MIB, MIB).held():
        raise ValueError("its own")
    assert _limit() == before


def test_each_output_is_held_against_the_limit() -> None:
    """Just as many bytes as go to a guest go; one more does not, and is named."""

    def output(name: str, size: int) -> NamedTensor:
        return NamedTensor(name, Tensor((size,), TensorType.U8, bytes(size)))

    allowance = Allowance(MIB, 100)
    allowance.check([output("a", 100), output("b", 100)])
    with pytest.raises(TooLarge, match="^output 'b' has 101 bytes; at most 100 go to a guest$"):
        allowance.check([output("a", 100), output("b", 101)])
