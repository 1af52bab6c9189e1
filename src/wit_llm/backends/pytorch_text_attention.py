"""Sequences of different lengths in one forward pass of a transformers model, each with keys and values of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.backends.pytorch_text_cache import State

# The name by which a transformers model finds the attention below.
IMPLEMENTATION = "wit_llm"
# One row alone goes through other kernels than rows among others, which round otherwise: a reply would depend on its
# neighbours. Two cost what one does.
_FEWEST_ROWS = 2
# Arguments of attentions that do more than look; Source: those of the model files in transformers 5.23.
_OTHER_ATTENTION = ("softcap", "s_aux", "position_bias", "head_mask", "cache")


class Rows(NamedTuple):
    """
    What a layer computed of the rows of a pass.

    Args:
        layer: Its number.
        query: ``[1, query head, row, key size]``.
        key: ``[1, head, row, key size]``.
        value: ``[1, head, row, value size]``.
        scaling: Of scores; none is the inverse root of the key size.
        window: How many tokens back a token sees, itself included; none is all.
    """

    layer: int
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    scaling: float | None
    window: int | None


class Attention(Protocol):
    """What takes the place of a model's attention in one forward pass."""

    def attend(self, rows: Rows) -> torch.Tensor:
        """What each row sees: ``[1, row, query head, value size]``."""


class Piece:
    """
    Tokens of one sequence in a pass: those after the ones that its state has.

    Args:
        state: With room for them.
        token_ids: 1 or more.
    """

    def __init__(self, state: State, token_ids: Sequence[int]) -> None:
        self.state = state
        self.token_ids = token_ids
        self.past = past = len(state.token_ids)
        self.length = length = past + len(token_ids)
        # Views of every layer at once, because making one is slower than reading from it.
        self.new_keys = state.keys[:, :, :, past:length].unbind()  # [layer][1, head, new token, size]
        self.new_values = state.values[:, :, :, past:length].unbind()
        self.keys = state.keys[:, :, :, :length].unbind()  # [layer][1, head, token, size]
        self.values = state.values[:, :, :, :length].unbind()
        self._masks: dict[int | None, torch.Tensor] = {}

    def mask(self, window: int | None, groups: int) -> torch.Tensor:
        """What is added to scores: 0 where a token is seen, else minus infinity; ``[group * new token, token]``."""
        if window not in self._masks:
            keys = self.state.keys
            seen = torch.arange(self.length, device=keys.device)
            own = seen[self.past :, None]
            hidden = seen > own
            if window is not None:
                hidden |= seen <= own - window
            mask = torch.zeros(hidden.shape, dtype=keys.dtype, device=keys.device)
            self._masks[window] = mask.masked_fill_(hidden, -torch.inf).repeat(groups, 1)
        return self._masks[window]

    def look(self, query: torch.Tensor, rows: Rows) -> torch.Tensor:
        """
        What its tokens see of themselves and of those before them.

        Args:
            query: ``[1, query head, new token, key size]``.
            rows: Of the whole pass.

        Returns:
            ``[1, query head, new token, value size]``.
        """
        keys, values = self.keys[rows.layer], self.values[rows.layer]
        heads, count, groups = query.shape[1], query.shape[2], query.shape[1] // keys.shape[1]
        window = None if rows.window is None or self.length <= rows.window else rows.window
        if count > 1 and self.past == 0 and window is None:
            return scaled_dot_product_attention(
                query, keys, values, is_causal=True, scale=rows.scaling, enable_gqa=groups > 1
            )
        if count == 1 and window is not None:
            keys, values = keys[:, :, -window:], values[:, :, -window:]
        mask = None if count == 1 else self.mask(window, groups)
        # All queries of a head of keys are rows of one product.
        asked = query.reshape(1, heads // groups, groups * count, -1)
        seen = scaled_dot_product_attention(asked, keys, values, attn_mask=mask, scale=rows.scaling)
        return seen.view(1, heads, count, -1)


class Pass:
    """
    The pieces of one forward pass, in a row.

    Args:
        pieces: 1 or more, each with a state of its own.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._counts = [len(piece.token_ids) for piece in pieces]
        self._idle_rows = max(_FEWEST_ROWS - sum(self._counts), 0)

    def rows(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids and their places in their sequences, I64 ``[1, row]``; the row of each piece's last token."""
        token_ids, places, last = [0] * self._idle_rows, [0] * self._idle_rows, []
        for piece in self._pieces:
            token_ids += piece.token_ids
            places += range(piece.past, piece.length)
            last.append(len(token_ids) - 1)
        made = torch.tensor([token_ids, places], device=device)
        return made[:1], made[1:], torch.tensor(last, device=device)

    def attend(self, rows: Rows) -> torch.Tensor:
        """As ``Attention``."""
        counts, layer = [self._idle_rows, *self._counts], rows.layer
        idle, *queries = rows.query.split_with_sizes(counts, 2)
        _, *new_keys = rows.key.split_with_sizes(counts, 2)
        _, *new_values = rows.value.split_with_sizes(counts, 2)
        seen = [idle.new_zeros((1, *idle.shape[1:3], rows.value.shape[3]))] if self._idle_rows else []
        for piece, query, key, value in zip(self._pieces, queries, new_keys, new_values, strict=True):
            piece.new_keys[layer].copy_(key)
            piece.new_values[layer].copy_(value)
            seen.append(piece.look(query, rows))
        return torch.cat(seen, 2).transpose(1, 2)


class Kept(NamedTuple):
    """
    What a layer keeps of a token.

    Args:
        layer: Its number.
        sizes: Heads, elements of a key, and of a value.
        window: As ``Rows``.
    """

    layer: int
    sizes: tuple[int, int, int]
    window: int | None


class Survey:
    """A pass that looks at nothing, and notes what each layer would keep."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []

    def attend(self, rows: Rows) -> torch.Tensor:
        """As ``Attention``."""
        _, heads, count, value_size = rows.value.shape
        self.kept.append(Kept(rows.layer, (heads, rows.key.shape[3], value_size), rows.window))
        return rows.query.new_zeros((1, count, rows.query.shape[1], value_size))


def _attention(  # noqa: PLR0913 -- what transformers calls has these
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    wit_llm_attention: Attention | None = None,
    **others: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """The attention of the pass, or, for a raw compute, that of transformers."""
    unknown = [name for name in _OTHER_ATTENTION if others.get(name) is not None]
    if unknown:
        raise ValueError(f"its attention has {unknown[0]!r}")
    if wit_llm_attention is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)
    rows = Rows(cast("int", module.layer_idx), query, key, value, scaling, sliding_window)
    return wit_llm_attention.attend(rows), None


AttentionInterface.register(IMPLEMENTATION, _attention)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
