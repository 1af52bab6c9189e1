"""Options of a turn as the WIT has them, their closed ranges, and what an engine is told of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.automaton import Automaton

STOP_STRINGS = 16
STOP_BYTES = 128
# Logits are not known to so few digits that a lower temperature could leave anything to chance, and what is divided by
# much less is infinite in FP32.
_COLDEST = 1e-6


class Preset(Enum):
    """``wit-llm:nn/types.preset``, in the order of the WIT."""

    DETERMINISTIC = "deterministic"
    FOCUSED = "focused"
    BALANCED = "balanced"
    CREATIVE = "creative"


@dataclass(frozen=True, slots=True)
class Sampler:
    """``wit-llm:nn/types.sampler``: none is neutral."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance: temperature 0, or as good as that."""
        return self.temperature is not None and self.temperature < _COLDEST

    def check(self) -> None:
        """
        Compare each number with its range.

        Raises:
            InvalidArgument: Names the field, its range and what came.
        """
        for name, low, high, ends in _RANGES:
            value = getattr(self, name)
            if value is None:
                continue
            # Comparisons with NaN are false, so that it is in no range.
            above = value >= low if ends[0] == "[" else value > low
            below = value <= high if ends[1] == "]" else value < high
            if not (above and below):
                wanted = f"{ends[0]}{low:g}, {high:g}{ends[1]}"
                raise InvalidArgument(f"sampler.{name.replace('_', '-')} must be in {wanted}, got {value:g}")


# name, lowest, highest, and which of them are inside
_RANGES = (
    ("temperature", 0.0, 2.0, "[]"),
    ("top_p", 0.0, 1.0, "(]"),
    ("top_k", 1, math.inf, "[)"),
    ("min_p", 0.0, 1.0, "[)"),
    ("repetition_penalty", 0.1, 2.0, "[]"),
    ("presence_penalty", -2.0, 2.0, "[]"),
    ("frequency_penalty", -2.0, 2.0, "[]"),
)

PRESETS = {
    Preset.DETERMINISTIC: Sampler(temperature=0.0),
    Preset.FOCUSED: Sampler(temperature=0.3, top_p=0.9),
    Preset.BALANCED: Sampler(temperature=0.7, top_p=0.95),
    Preset.CREATIVE: Sampler(temperature=1.0, min_p=0.05),
}


@dataclass(frozen=True, slots=True)
class HostDefault:
    """Sample as the model's own files say."""


@dataclass(frozen=True, slots=True)
class ByPreset:
    """Sample as a documented preset says."""

    preset: Preset


@dataclass(frozen=True, slots=True)
class Exact:
    """Sample by these numbers."""

    sampler: Sampler


Sampling = HostDefault | ByPreset | Exact


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """Output that validates against a schema, draft 2020-12."""

    schema: str


@dataclass(frozen=True, slots=True)
class Regex:
    """Output that matches as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Output that is one of these."""

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Output that a GBNF grammar derives."""

    grammar: str


Constraint = JsonSchema | Regex | Choice | Grammar


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str
    parameters_json_schema: str


@dataclass(frozen=True, slots=True)
class AutoTool:
    """The model decides whether it calls."""


@dataclass(frozen=True, slots=True)
class NoTool:
    """The model must not call."""


@dataclass(frozen=True, slots=True)
class RequiredTool:
    """The model must call one of the tools."""


@dataclass(frozen=True, slots=True)
class OnlyTool:
    """The model must call this one."""

    name: str


ToolChoice = AutoTool | NoTool | RequiredTool | OnlyTool


@dataclass(frozen=True, slots=True)
class Options:
    """``wit-llm:nn/types.options``: every field empty means as the host likes it."""

    max_output_tokens: int | None = None
    sampling: Sampling = field(default_factory=HostDefault)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=AutoTool)
    logprobs: int | None = None
    deadline_ms: int | None = None
    ignore_eos: bool = False
    extra: tuple[tuple[str, str], ...] = ()

    def check(self) -> None:
        """
        Compare each field with its range, and with what is there.

        Raises:
            InvalidArgument: Names the field, its range and what came.
            Unsupported: Names an option that no backend here has yet.
        """
        if self.max_output_tokens == 0:
            raise InvalidArgument("max-output-tokens must be at least 1, got 0")
        if self.deadline_ms == 0:
            raise InvalidArgument("deadline-ms must be at least 1, got 0")
        if isinstance(self.sampling, Exact):
            self.sampling.sampler.check()
        _check_stop(self.stop)
        for key, _ in self.extra:
            raise InvalidArgument(f"extra: unknown key {key[:80]!r}; this backend knows none")
        if self.constraint is not None and self.ignore_eos:
            raise InvalidArgument(
                "ignore-eos goes on past the end, and a constraint has an end that nothing may follow"
            )


def _check_stop(stop: tuple[str, ...]) -> None:
    if len(stop) > STOP_STRINGS:
        raise InvalidArgument(f"stop takes at most {STOP_STRINGS} strings, got {len(stop)}")
    for text in stop:
        if not 1 <= len(text.encode()) <= STOP_BYTES:
            raise InvalidArgument(f"a stop string has 1 to {STOP_BYTES} bytes, got {len(text.encode())}")


@dataclass(frozen=True, slots=True)
class Decoding:
    """
    What an engine is told of one request: every default resolved.

    Args:
        max_new_tokens: Tokens at most, 1 or more.
        stop_token_ids: Tokens that end the reply, each counted and reported; empty to go on past them.
        sampler: How to choose.
        seed: Of this request's own random numbers.
        logprobs: Rivals of each chosen token to tell of, at most as many as ``TextInfo.max_logprobs``; none is not to
            tell of the chosen one either.
        cache_scope: Requests with the same number may begin with each other's state; with another one, neither they nor
            what is told of them depends on these.
        constraint: What the reply may say; only where the graph's ``TextInfo.constraints`` says so, and there are stop
            tokens: they come where it may end, and have to where it must.
    """

    max_new_tokens: int
    stop_token_ids: tuple[int, ...] = ()
    sampler: Sampler = field(default_factory=lambda: PRESETS[Preset.DETERMINISTIC])
    seed: int = 0
    logprobs: int | None = None
    cache_scope: int = 0
    constraint: Automaton | None = None
