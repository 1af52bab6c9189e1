"""Which rows go together, and how many there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wit_llm.errors import NNError, QuotaExceeded, TooLarge
from wit_llm.limits import Limits
from wit_llm.text.batches import batches, check_texts, check_tokens


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_each_row_is_in_one_batch_that_is_not_too_large(lengths: list[int], most: int) -> None:
    """No batch has more tokens than it may with its padding, unless one row alone has; none could take the next row."""
    made = list(batches(lengths, most))
    assert sorted(position for batch in made for position in batch) == list(range(len(lengths)))
    for batch in made:
        longest = lengths[batch[0]]
        assert longest == max(lengths[position] for position in batch)
        assert len(batch) * longest <= most or len(batch) == 1
    for batch in made[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > most


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        pytest.param(["a", "b", "c"], None, id="as-many-as-may-be"),
        pytest.param(["", "", "", ""], TooLarge, id="too-many"),
        pytest.param(["ü" * 4, "", ""], QuotaExceeded, id="too-large"),
    ],
)
def test_texts_are_counted_before_they_are_read(texts: list[str], error: type[NNError] | None) -> None:
    """Their number, and their bytes together with what comes along."""
    limits = Limits(texts=3, prompt_bytes=8)
    if error is None:
        check_texts(texts, limits, "12345")
        return
    with pytest.raises(error):
        check_texts(texts, limits, "1")


def test_tokens_are_counted_together() -> None:
    """The last one that may be is let through."""
    check_tokens(10, Limits(text_tokens=10))
    with pytest.raises(QuotaExceeded, match="^the allowance of tokens-per-call is 10 and used up$"):
        check_tokens(11, Limits(text_tokens=10))
