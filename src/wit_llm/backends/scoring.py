"""How likely given tokens are: a forward pass over each row in pieces, whose logits are never all there at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from wit_llm.tensor import NamedTensor, Tensor, TensorType

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from wit_llm.tensor import Admitted

# Of the logits of one piece, in FP32; a library has some more copies of that size for a moment.
_LOGITS_BYTES = 64 << 20


class Forward(Protocol):
    """A forward pass over one row that remembers what it has read."""

    def read(self, token_ids: npt.NDArray[np.int64]) -> None:
        """Go on by these tokens, ``[tokens]``."""

    def score(self, token_ids: npt.NDArray[np.int64], following: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Go on by these tokens; natural logarithm of the probability of what follows each of them, ``[tokens]``."""

    def keep(self) -> None:
        """Remember this place."""

    def back(self) -> None:
        """Go back to that place."""


def scores(admitted: Admitted, first: int, vocab_size: int, forward: Forward) -> NamedTensor:
    """
    What ``Scorer.score`` gives: FP32 ``[rows, tokens - first]``.

    What the rows share is read once, but for its last token, whose logits are those of each row's first score.
    """
    input_ids = _rows(admitted, "input_ids")  # [rows, tokens]
    lengths = _rows(admitted, "attention_mask").sum(axis=1).tolist()
    piece = max(1, _LOGITS_BYTES // (4 * vocab_size))
    values = np.zeros((input_ids.shape[0], input_ids.shape[1] - first), np.float32)
    for start, end in _pieces(0, first - 1, piece):
        forward.read(input_ids[0, start:end])
    forward.keep()
    for row, length in enumerate(lengths):
        if row:
            forward.back()
        for start, end in _pieces(first - 1, length - 1, piece):
            scored = forward.score(input_ids[row, start:end], input_ids[row, start + 1 : end + 1])
            values[row, start + 1 - first : end + 1 - first] = scored
    return NamedTensor("logprobs", Tensor(values.shape, TensorType.FP32, values.reshape(-1).view(np.uint8).data))


def _rows(admitted: Admitted, name: str) -> npt.NDArray[np.int64]:
    tensor = admitted[name]
    return np.frombuffer(tensor.data, np.int64).reshape(tensor.dimensions)


def _pieces(start: int, end: int, piece: int) -> Iterator[tuple[int, int]]:
    return ((at, min(at + piece, end)) for at in range(start, end, piece))
