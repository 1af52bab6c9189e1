"""``wit-llm:nn/embed``: offered, and answered with ``unsupported``, until a backend can."""

from __future__ import annotations

from dataclasses import dataclass

from wit_llm.errors import Unsupported
from wit_llm.registry import Loaded
from wit_llm.text.message import Usage
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface

EMBED = Interface("wit-llm:nn/embed@0.1.0")


@dataclass(frozen=True, slots=True)
class Vectors:
    """``wit-llm:nn/embed.vectors``: row-major ``[inputs, dimensions]`` FP32."""

    dimensions: int
    values: tuple[float, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Scored:
    """``wit-llm:nn/embed.scored``: natural logarithm, summed over ``tokens`` tokens."""

    logprob: float
    tokens: int


@EMBED.func("embed")
def _embed(guest: Guest, graph: Loaded, inputs: tuple[str, ...]) -> Vectors:
    raise Unsupported(f"embed: no backend of this host embeds, nor does that of graph '{graph.grant.name}'")


@EMBED.func("score")
def _score(guest: Guest, graph: Loaded, prefix: str, continuations: tuple[str, ...]) -> tuple[Scored, ...]:
    raise Unsupported(f"score: no backend of this host scores, nor does that of graph '{graph.grant.name}'")
