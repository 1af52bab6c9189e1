"""What a graph wants of a tensor, as it is written and read."""

from __future__ import annotations

import re

import pytest

from wit_llm.errors import OperatorError
from wit_llm.tensor import TensorSpec, TensorType


@pytest.mark.parametrize(
    ("text", "ty", "dimensions", "data_bytes"),
    [
        pytest.param("FP32[1, 3, 224, 224]", TensorType.FP32, (1, 3, 224, 224), 4 * 3 * 224 * 224, id="fixed"),
        pytest.param("I64[?, ?]", TensorType.I64, (None, None), None, id="free"),
        pytest.param("BF16[?, 3]", TensorType.BF16, (None, 3), None, id="partly-free"),
        pytest.param("U8[...]", TensorType.U8, None, None, id="any-rank"),
        pytest.param("FP64[]", TensorType.FP64, (), 8, id="no-axes"),
        pytest.param("FP16[0, 3]", TensorType.FP16, (0, 3), 0, id="zero-sized"),
        pytest.param("I32[4294967295]", TensorType.I32, (2**32 - 1,), 4 * (2**32 - 1), id="largest"),
    ],
)
def test_reads_what_it_writes(
    text: str, ty: TensorType, dimensions: tuple[int | None, ...] | None, data_bytes: int | None
) -> None:
    """The spelling in a manifest is the spelling in messages; a size that is fixed is known in bytes."""
    spec = TensorSpec.parse("x", text)
    assert spec == TensorSpec("x", ty, dimensions)
    assert (str(spec), spec.data_bytes) == (text, data_bytes)


def test_the_blank_after_a_comma_may_be_left_out() -> None:
    """Nobody is sent away for a blank."""
    assert TensorSpec.parse("x", "FP32[1,3,?]") == TensorSpec.parse("x", "FP32[1, 3, ?]")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("FP32", id="no-dimensions"),
        pytest.param("[1, 3]", id="no-type"),
        pytest.param("F32[1]", id="unknown-type"),
        pytest.param("fp32[1]", id="lower-case"),
        pytest.param("FP32[1, 3", id="open"),
        pytest.param("FP32[1, 3] ", id="something-behind"),
        pytest.param("FP32[1 3]", id="no-comma"),
        pytest.param("FP32[1, 3,]", id="comma-at-the-end"),
        pytest.param("FP32[-1, 3]", id="negative"),
        pytest.param("FP32[1.5]", id="fraction"),
        pytest.param("FP32[4294967296]", id="over-32-bits"),
        pytest.param("FP32[99999999999999999999]", id="over-64-bits"),
        pytest.param("FP32[..., 3]", id="part-of-any-rank"),
        pytest.param("FP32[٣]", id="other-digits"),
        pytest.param("FP32[1]\n", id="line-break"),
    ],
)
def test_refuses_any_other_spelling(text: str) -> None:
    """What is not understood is not guessed; the message has the types and an example."""
    told = (
        f"'pixels' is {text!r}, which is no tensor; write a type (FP16, FP32, FP64, BF16, U8, I32, I64) with the size "
        "of each axis, `?` where any goes, such as FP32[1, 3, ?]"
    )
    with pytest.raises(OperatorError, match=f"^{re.escape(told)}$"):
        TensorSpec.parse("pixels", text)
