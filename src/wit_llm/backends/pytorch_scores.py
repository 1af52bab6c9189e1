"""Scores in PyTorch: a forward pass of a causal LM, with a cache of its own for memory."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING

import torch
import transformers

from wit_llm.backends.pytorch_values import failures
from wit_llm.backends.scoring import scores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wit_llm.tensor import Admitted, NamedTensor


def score(
    model: transformers.PreTrainedModel, device: torch.device, admitted: Admitted, first: int, vocab_size: int
) -> NamedTensor:
    """How likely tokens are, as ``Scorer`` says."""
    with torch.inference_mode(), failures("scoring"):
        return scores(admitted, first, vocab_size, _Forward(model, device))


class _Forward:
    """A forward pass, as ``Forward`` says."""

    def __init__(self, model: transformers.PreTrainedModel, device: torch.device) -> None:
        self._model = model
        self._device = device
        # Without it the logits of all that is read are made, to look at none of them.
        self._last_only = (
            {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        )
        self._cache = self._kept = transformers.DynamicCache(config=model.config)
        self._position = self._kept_position = 0

    def read(self, token_ids: npt.NDArray[np.int64]) -> None:
        """Go on."""
        self._advance(token_ids, **self._last_only)

    def score(self, token_ids: npt.NDArray[np.int64], following: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Go on, and look at the logits."""
        logprobs = self._advance(token_ids).float().log_softmax(-1)  # [tokens, vocab]
        chosen = torch.tensor(following, device=self._device).unsqueeze(-1)
        values: npt.NDArray[np.float32] = logprobs.gather(-1, chosen).squeeze(-1).cpu().numpy()
        return values

    def keep(self) -> None:
        """Copy the cache."""
        self._kept, self._kept_position = copy.deepcopy(self._cache), self._position

    def back(self) -> None:
        """Go on from a copy of the copy."""
        self._cache, self._position = copy.deepcopy(self._kept), self._kept_position

    def _advance(self, token_ids: npt.NDArray[np.int64], **options: int) -> torch.Tensor:
        self._position += len(token_ids)
        output = self._model(
            input_ids=torch.tensor(token_ids, device=self._device).unsqueeze(0),
            attention_mask=torch.ones((1, self._position), dtype=torch.int64, device=self._device),
            past_key_values=self._cache,
            use_cache=True,
            **options,
        )
        logits: torch.Tensor = output.logits[0]
        return logits
