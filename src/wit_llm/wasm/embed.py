"""``wit-llm:nn/embed``: vectors of texts, and how likely continuations are."""

from __future__ import annotations

from wit_llm.registry import Loaded
from wit_llm.text.message import Scored, Vectors
from wit_llm.text.scoring import score
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface

EMBED = Interface("wit-llm:nn/embed@0.1.0")


@EMBED.func("embed")
def _embed(guest: Guest, graph: Loaded, inputs: tuple[str, ...]) -> Vectors:
    return graph.embedder.embed(inputs, guest.limits, guest.time_left_s)


@EMBED.func("score")
def _score(guest: Guest, graph: Loaded, prefix: str, continuations: tuple[str, ...]) -> tuple[Scored, ...]:
    return score(graph.model, prefix, continuations, guest.limits, guest.time_left_s)
