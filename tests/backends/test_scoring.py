"""How rows are read to score their tokens, whatever library reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from wit_llm.backends.scoring import scores
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType

Ids = npt.NDArray[np.int64]


class Reader:
    """A model in which a token is as likely as the sum of those before it and its own number say."""

    def __init__(self) -> None:
        self.known: list[int] = []
        self.kept: list[int] = []
        self.pieces: list[int] = []

    def read(self, token_ids: Ids) -> None:
        """Go on."""
        self.pieces.append(len(token_ids))
        self.known += token_ids.tolist()

    def score(self, token_ids: Ids, following: Ids) -> npt.NDArray[np.float32]:
        """Go on, token by token."""
        self.pieces.append(len(token_ids))
        values = []
        for token_id, after in zip(token_ids.tolist(), following.tolist(), strict=True):
            self.known.append(token_id)
            values.append(-sum(self.known) - after / 100)
        return np.array(values, np.float32)

    def keep(self) -> None:
        """Remember."""
        self.kept = list(self.known)

    def back(self) -> None:
        """Go back."""
        self.known = list(self.kept)


def _admitted(rows: list[list[int]]) -> Admitted:
    longest = max(map(len, rows))
    ids = np.array([row + [0] * (longest - len(row)) for row in rows])
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return Admitted(
        tuple(
            NamedTensor(name, Tensor(values.shape, TensorType.I64, values.tobytes()))
            for name, values in (("input_ids", ids), ("attention_mask", mask))
        )
    )


@pytest.mark.parametrize(
    ("vocab_size", "pieces"),
    [
        pytest.param(640, [2, 3, 1, 3], id="whole"),
        # 64 MiB of logits hold two tokens of such a vocabulary
        pytest.param(1 << 23, [2, 2, 1, 1, 2, 1], id="two-at-once"),
        pytest.param(1 << 40, [1] * 9, id="one-at-once"),
    ],
)
def test_every_token_is_scored_after_all_before_it(vocab_size: int, pieces: list[int]) -> None:
    """What rows share is read once, each row alone after it, in pieces as large as the vocabulary allows."""
    rows = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 7], [1, 2, 3, 8, 9, 10]]
    reader = Reader()
    scored = scores(_admitted(rows), 3, vocab_size, reader)
    expected = [
        [-sum(row[:at]) - row[at] / 100 if at < len(row) else 0.0 for at in range(3, 6)] for row in rows
    ]  # [rows, tokens - first]
    assert (scored.name, scored.tensor.dimensions, scored.tensor.ty) == ("logprobs", (3, 3), TensorType.FP32)
    np.testing.assert_allclose(np.frombuffer(scored.tensor.data, np.float32).reshape(3, 3), expected, rtol=1e-6)
    assert reader.pieces == pieces


def test_one_token_before_all_is_enough() -> None:
    """The shortest prefix is one token, and then nothing is shared."""
    reader = Reader()
    scored = scores(_admitted([[5, 6], [5, 7]]), 1, 10, reader)
    np.testing.assert_allclose(np.frombuffer(scored.tensor.data, np.float32), [-5.06, -5.07])
    assert reader.pieces == [1, 1]
