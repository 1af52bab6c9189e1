"""Scores in OpenVINO: a forward pass whose memory is the state of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

from wit_llm.backends.scoring import scores

if TYPE_CHECKING:
    import numpy.typing as npt

    from wit_llm.backends.openvino_tensors import Raw
    from wit_llm.tensor import Admitted, NamedTensor


def score(raw: Raw, admitted: Admitted, first: int, vocab_size: int) -> NamedTensor:
    """How likely tokens are, as ``Scorer`` says."""
    with raw.request("scoring") as request:
        return scores(admitted, first, vocab_size, _Forward(raw, request))


class _Forward:
    """A forward pass, as ``Forward`` says."""

    def __init__(self, raw: Raw, request: ov.InferRequest) -> None:
        self._raw = raw
        self._request = request
        self._position = 0
        self._kept: tuple[int, list[ov.Tensor]] = (0, [])

    def read(self, token_ids: npt.NDArray[np.int64]) -> None:
        """Go on."""
        start, self._position = self._position, self._position + len(token_ids)
        values = {
            "input_ids": token_ids,
            "attention_mask": np.ones(self._position, np.int64),
            "position_ids": np.arange(start, self._position),
            "token_type_ids": np.zeros(len(token_ids), np.int64),
        }
        row = {
            spec.name: ov.Tensor(np.ascontiguousarray(values[spec.name][np.newaxis])) for spec in self._raw.info.inputs
        }
        self._raw.infer(self._request, row)

    def score(self, token_ids: npt.NDArray[np.int64], following: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Go on, and look at the logits."""
        self.read(token_ids)
        logits = self._request.get_tensor(self._raw.output("logits")).data[0].astype(np.float32)  # [tokens, vocab]
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(following)), following]
        return np.asarray(chosen - np.log(np.exp(logits, out=logits).sum(axis=1)), np.float32)

    def keep(self) -> None:
        """Copy the state."""
        states = self._request.query_state() if self._position else []
        self._kept = self._position, [_copy(state.state) for state in states]

    def back(self) -> None:
        """Put the copy back; there is none of an empty state."""
        self._position, states = self._kept
        self._request.reset_state()
        if self._position:
            for state, kept in zip(self._request.query_state(), states, strict=True):
                state.state = kept


def _copy(tensor: ov.Tensor) -> ov.Tensor:
    copy = ov.Tensor(tensor.get_element_type(), tensor.get_shape())
    tensor.copy_to(copy)
    return copy
