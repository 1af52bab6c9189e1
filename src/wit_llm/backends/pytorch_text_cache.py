"""Keys and values that attention keeps: of sequences that grow, and of those that others may begin with."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

# Room grows by doubling, so that copies are rare, from what a short reply does not outgrow.
_FEWEST_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Layout:
    """
    What a model keeps of a token.

    Args:
        layers: How many keep something.
        heads: Of keys and of values; there are as many heads of queries, or a multiple.
        key_size: Elements of one head.
        value_size: Elements of one head.
        dtype: Of the elements.
        device: Where they lie.
    """

    layers: int
    heads: int
    key_size: int
    value_size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """Of one token in all layers."""
        return self.layers * self.heads * (self.key_size + self.value_size) * self.dtype.itemsize


class State:
    """
    Keys and values of one sequence, and room for more.

    Args:
        layout: What is kept of a token.
        token_ids: Whose keys and values are there, from the sequence's beginning.
        keys: ``[layer, 1, head, room, key size]``.
        values: ``[layer, 1, head, room, value size]``.
        scope: Whose sequence it is.
    """

    def __init__(
        self, layout: Layout, token_ids: array[int], keys: torch.Tensor, values: torch.Tensor, scope: int
    ) -> None:
        self.layout = layout
        self.scope = scope
        self.token_ids = token_ids
        self.keys = keys
        self.values = values

    @classmethod
    def empty(cls, layout: Layout, room: int, scope: int) -> State:
        """Of no token."""

        def made(size: int) -> torch.Tensor:
            return torch.empty((layout.layers, 1, layout.heads, room, size), dtype=layout.dtype, device=layout.device)

        return cls(layout, array("q"), made(layout.key_size), made(layout.value_size), scope)

    @property
    def data_bytes(self) -> int:
        """With the room that is still empty."""
        return self.keys.shape[3] * self.layout.token_bytes

    def beginning(self, count: int, room: int) -> State:
        """A copy of the first tokens, with room for as many as it is said."""
        copy = State.empty(self.layout, max(room, count), self.scope)
        copy.token_ids = self.token_ids[:count]
        copy.keys[:, :, :, :count] = self.keys[:, :, :, :count]
        copy.values[:, :, :, :count] = self.values[:, :, :, :count]
        return copy

    def reserve(self, count: int) -> None:
        """Have room for so many tokens in all."""
        room = self.keys.shape[3]
        if count > room:
            grown = self.beginning(len(self.token_ids), max(count, 2 * room, _FEWEST_TOKENS))
            self.keys, self.values = grown.keys, grown.values

    def alike(self, token_ids: array[int]) -> int:
        """How many tokens both begin with."""
        count = min(len(self.token_ids), len(token_ids))
        mine, other = (np.frombuffer(ids.tobytes(), np.int64)[:count] for ids in (self.token_ids, token_ids))
        differ = np.flatnonzero(mine != other)
        return int(differ[0]) if len(differ) else count


class PrefixCache:
    """
    States of sequences that are over, for sequences that begin alike; what was used last stays longest.

    The keys and values of a token depend on it and on those before it alone: who begins with the same tokens has the
    same ones. Even so nobody begins with those of another scope, or how long a prompt takes would tell of others' ones.

    Args:
        most_bytes: Of all that is kept; 0 keeps nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: list[State] = []

    def begin(self, token_ids: array[int], scope: int, live: Iterable[State]) -> State | None:
        """
        A state of the first tokens, for one sequence alone; none where nothing is known of them.

        At least the last token is left to be computed, or else there would be nothing to choose the next one by.

        Args:
            token_ids: Of the sequence, 1 or more.
            scope: Whose it is.
            live: States in use, which may be copied from.
        """
        if not self._most_bytes:
            return None
        wanted = token_ids[:-1]
        known = [(state.alike(wanted), state) for state in (*self._kept, *live) if state.scope == scope]
        count, found = max(known, key=lambda one: one[0], default=(0, None))
        if found is None or count == 0:
            return None
        if found in self._kept:
            self._kept.remove(found)
            if count == len(found.token_ids):
                return found
            self._kept.append(found)
        return found.beginning(count, len(token_ids) + _FEWEST_TOKENS)

    def keep(self, state: State) -> None:
        """Take a state that is no longer in use."""
        if state.token_ids:
            self._kept.append(state)
        while sum(one.data_bytes for one in self._kept) > self._most_bytes:
            self._kept.pop(0)

    def clear(self) -> None:
        """Forget all of it."""
        self._kept.clear()
