"""
Every error, in one tree; each class carries its wasi-nn code and its case of ``wit-llm:nn/types.error``.

::

    WitLLMError
    ├── OperatorError            what the person who runs the host has to mend; never shown to a guest
    ├── GuestTrapped             how a guest ended that did not end by itself
    ├── WrongReply               what a benchmark got is not what it asked for
    └── NNError                  what a guest is told, as a value
        ├── InvalidArgument      invalid-argument       invalid
        ├── InvalidEncoding      invalid-encoding       invalid
        ├── DeadlinePassed       timeout                timeout
        ├── BackendFailure       runtime-error          backend
        ├── Unsupported          unsupported-operation  unsupported
        │   └── NotPromptable    unsupported-operation  not-promptable
        ├── TooLarge             too-large              invalid
        │   └── Overflow         too-large              overflow
        ├── QuotaExceeded        too-large              quota
        ├── Busy                 runtime-error          busy
        ├── NotFound             not-found              invalid
        └── Denied               security               denied

A message says what was asked, what was found, and the way out; a guest's message holds no path of the host and nothing
of another guest.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class ErrorCode(Enum):
    """``wasi:nn/errors.error-code``, in the order of the WIT."""

    INVALID_ARGUMENT = "invalid-argument"
    INVALID_ENCODING = "invalid-encoding"
    TIMEOUT = "timeout"
    RUNTIME_ERROR = "runtime-error"
    UNSUPPORTED_OPERATION = "unsupported-operation"
    TOO_LARGE = "too-large"
    NOT_FOUND = "not-found"
    SECURITY = "security"
    UNKNOWN = "unknown"


class QuotaKind(Enum):
    """``wit-llm:nn/types.quota-kind``, in the order of the WIT."""

    TOKENS_PER_CALL = "tokens-per-call"
    TOKENS_TOTAL = "tokens-total"
    TOKENS_PER_MINUTE = "tokens-per-minute"
    SESSIONS = "sessions"
    CONCURRENCY = "concurrency"
    PROMPT_BYTES = "prompt-bytes"
    WALL_CLOCK = "wall-clock"


class WitLLMError(Exception):
    """Root of all errors that this package raises on purpose."""


class OperatorError(WitLLMError):
    """A manifest, a graph folder, a component or an installation that the operator has to mend."""


class GuestTrapped(WitLLMError):
    """A guest that was ended: its own fault, a limit, its deadline, or a fault of the host at its expense."""


class WrongReply(WitLLMError):
    """A reply that is not what it should be, so that nothing is said of its speed."""


class NNError(WitLLMError):
    """An error that is the guest's to handle: returned to it as a value, never a trap."""

    code: ClassVar[ErrorCode] = ErrorCode.UNKNOWN
    case: ClassVar[str] = "backend"


class InvalidArgument(NNError):
    """The guest asked for something that means nothing: wrong bytes, names, ranges, states."""

    code = ErrorCode.INVALID_ARGUMENT
    case = "invalid"


class InvalidEncoding(NNError):
    """Bytes or a folder that are not what their encoding says."""

    code = ErrorCode.INVALID_ENCODING
    case = "invalid"


class DeadlinePassed(NNError):
    """A call that had to be given up because its time was over."""

    code = ErrorCode.TIMEOUT
    case = "timeout"


class BackendFailure(NNError):
    """The backend failed on valid input, or its process died."""

    code = ErrorCode.RUNTIME_ERROR
    case = "backend"


class Unsupported(NNError):
    """A backend, target, type or option that is not there; the message names what is."""

    code = ErrorCode.UNSUPPORTED_OPERATION
    case = "unsupported"


class NotPromptable(Unsupported):
    """Text asked of a graph that takes tensors only."""

    case = "not-promptable"


class TooLarge(NNError):
    """Over a limit of bytes, elements, handles or output."""

    code = ErrorCode.TOO_LARGE
    case = "invalid"


class Overflow(TooLarge):
    """
    A prompt that leaves no room in the window for one token.

    Args:
        requested: Tokens of the prompt.
        available: Tokens a prompt may have.
        window: Tokens the model can hold.
    """

    case = "overflow"

    def __init__(self, requested: int, available: int, window: int) -> None:
        super().__init__(f"the prompt has {requested} tokens; the window of {window} leaves {available} for a prompt")
        self.requested = requested
        self.available = available
        self.window = window


class QuotaExceeded(NNError):
    """
    An allowance that is used up.

    Args:
        kind: Which allowance.
        limit: Its size, in the unit of its kind.
        retry_after_ms: Milliseconds until another try makes sense; none where waiting does not help.
    """

    code = ErrorCode.TOO_LARGE
    case = "quota"

    def __init__(self, kind: QuotaKind, limit: int, retry_after_ms: int | None = None) -> None:
        super().__init__(f"the allowance of {kind.value} is {limit} and used up")
        self.kind = kind
        self.limit = limit
        self.retry_after_ms = retry_after_ms


class Busy(NNError):
    """The queue is full; ``retry_after_ms`` is known or none."""

    code = ErrorCode.RUNTIME_ERROR
    case = "busy"

    def __init__(self, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class NotFound(NNError):
    """A graph name that is unknown, or known and not granted: the same to the guest."""

    code = ErrorCode.NOT_FOUND
    case = "invalid"


class Denied(NNError):
    """Something that the operator did not grant."""

    code = ErrorCode.SECURITY
    case = "denied"
