"""``wit-llm:nn/models``: what this guest was granted."""

from __future__ import annotations

from wit_llm.registry import Entry
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface

MODELS = Interface("wit-llm:nn/models@0.1.0")


@MODELS.func("list-granted")
def _list_granted(guest: Guest) -> tuple[Entry, ...]:
    return tuple(guest.registry.entries())
