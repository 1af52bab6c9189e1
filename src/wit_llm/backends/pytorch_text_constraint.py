"""PyTorch: the tokens that a constraint lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from wit_llm.errors import BackendFailure, NNError

if TYPE_CHECKING:
    from wit_llm.grammar.matcher import Matcher


class ConstraintMask:
    """
    What the next token of one reply may be, as ``Mask``.

    Args:
        matcher: Of the reply.
        stop_token_ids: They come where the reply may end.
    """

    def __init__(self, matcher: Matcher, stop_token_ids: tuple[int, ...]) -> None:
        self._matcher = matcher
        self._stop_token_ids = list(stop_token_ids)
        self.error: NNError | None = None

    def apply(self, logits: torch.Tensor) -> None:
        """As ``Mask``."""
        try:
            allowed = torch.from_numpy(self._matcher.mask())  # [vocab]
        except NNError as error:
            self.error = error
            return
        allowed[self._stop_token_ids] = self._matcher.may_end
        if not allowed.any():
            self.error = BackendFailure("no token of the model's vocabulary goes on with what the constraint allows")
            return
        logits.masked_fill_(~allowed.to(logits.device), -torch.inf)

    def took(self, token_id: int) -> None:
        """As ``Mask``."""
        if self.error is not None or token_id in self._stop_token_ids:
            return
        try:
            self._matcher.accept(token_id)
        except NNError as error:
            self.error = error
