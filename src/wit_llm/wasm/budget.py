"""``wit-llm:nn/budget``: what this guest may use, and has left."""

from __future__ import annotations

from dataclasses import dataclass

from wit_llm.errors import QuotaKind
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface

BUDGET = Interface("wit-llm:nn/budget@0.1.0")


@dataclass(frozen=True, slots=True)
class Allowance:
    """``wit-llm:nn/budget.allowance``."""

    kind: QuotaKind
    limit: int
    remaining: int
    resets_in_ms: int | None = None


@BUDGET.func("allowances")
def _allowances(guest: Guest) -> tuple[Allowance, ...]:
    limits = guest.limits
    held = [
        Allowance(QuotaKind.SESSIONS, limits.sessions, limits.sessions - guest.sessions()),
        Allowance(QuotaKind.PROMPT_BYTES, limits.prompt_bytes, limits.prompt_bytes),
    ]
    left_s = guest.time_left_s()
    if limits.deadline_s is not None and left_s is not None:
        held.append(Allowance(QuotaKind.WALL_CLOCK, round(limits.deadline_s * 1000), round(left_s * 1000)))
    return tuple(held)
