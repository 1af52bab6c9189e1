"""What a conversation is made of: records of ``wit-llm:nn``, fields and cases in the order of the WIT."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar, cast

from wit_llm.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Role(Enum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, a sound: bytes of a kind."""

    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A model's wish to call a tool; ``id`` is unique in the session."""

    id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool gave for the call of that ``id``."""

    id: str
    content: str
    is_error: bool


Part = Text | Reasoning | Media | Call | Outcome


_P = TypeVar("_P", bound=Part)
_RUNS = (Text, Reasoning)  # a union would be made anew at each call


def merged(parts: Sequence[_P]) -> tuple[_P, ...]:
    """Parts in which no text follows a text and no reasoning a reasoning, and none of these is empty."""
    if len(parts) == 1 and not _is_empty(parts[0]):
        return (parts[0],)
    kept: list[_P] = []
    for kind, run in groupby((part for part in parts if not _is_empty(part)), type):
        if issubclass(kind, _RUNS):
            # At once: thousands of tokens, added one by one, would copy the text thousands of times.
            text = "".join(part.text for part in cast("Iterable[Text]", run))
            kept.append(cast("_P", kind(text)))
        else:
            kept += run
    return tuple(kept)


def _is_empty(part: Part) -> bool:
    return isinstance(part, _RUNS) and not part.text


@dataclass(frozen=True, slots=True)
class Message:
    """What one role said."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its text parts in a row."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        """Its reasoning parts in a row."""
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def strings(self) -> list[str]:
        """All that is text in its parts."""
        values = [getattr(part, field.name) for part in self.parts for field in fields(part)]
        return [value for value in values if isinstance(value, str)]


@dataclass(frozen=True, slots=True)
class Say:
    """One user message."""

    text: str


@dataclass(frozen=True, slots=True)
class Messages:
    """Several messages; none asks for an answer to what the history ends with."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Resume:
    """Messages of which the last, the assistant's, is continued; none continues the last reply."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Raw:
    """Text without a template, standing alone."""

    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids, standing alone."""

    token_ids: tuple[int, ...]


Turn = Say | Messages | Resume | Raw | Tokens


class FinishReason(Enum):
    """Why a reply ended."""

    STOP = "stop"
    STOP_STRING = "stop-string"
    LENGTH = "length"
    CONTEXT_FULL = "context-full"
    TOOL_CALLS = "tool-calls"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a turn, as the WIT counts them; ``cached_tokens`` is none where the engine does not tell."""

    prompt_tokens: int
    cached_tokens: int | None
    generated_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class Vectors:
    """``wit-llm:nn/embed.vectors``: row-major FP32 ``[inputs, dimensions]``."""

    dimensions: int
    values: memoryview
    usage: Usage


@dataclass(frozen=True, slots=True)
class Scored:
    """``wit-llm:nn/embed.scored``: natural logarithm, summed over ``tokens`` tokens."""

    logprob: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds from the entry into ``start``; ``first_token_us`` is none where no token came."""

    queued_us: int
    first_token_us: int | None
    total_us: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A reply in numbers."""

    reason: FinishReason
    matched_stop: str | None
    usage: Usage
    timing: Timing
    seed: int
    model_digest: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have been chosen; ``bytes``, since it can be half a character."""

    token: int
    bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Logprobs:
    """The chosen token first, then its rivals; natural logarithm."""

    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Prefill:
    """Prompt tokens processed so far, and in all."""

    done: int
    total: int


# Text and reasoning are whole characters, in order, and never empty.
Event = Text | Reasoning | Call | Logprobs | Prefill


@dataclass(frozen=True, slots=True)
class Batch:
    """News of a reply."""

    events: tuple[Event, ...]
    finished: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """The same, text only."""

    text: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn run to its end."""

    text: str
    message: Message
    summary: Summary


@dataclass(frozen=True, slots=True)
class Context:
    """Tokens of preamble and history as rendered, tokens the model can hold, turns dropped to stay below."""

    used: int
    window: int
    dropped_turns: int


class OverflowPolicy(Enum):
    """What happens to a prompt that leaves too little room."""

    FAIL = "fail"
    DROP_OLDEST_TURNS = "drop-oldest-turns"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a session starts from."""

    preamble: tuple[Message, ...] = ()
    defaults: Options | None = None
    on_overflow: OverflowPolicy = OverflowPolicy.FAIL
