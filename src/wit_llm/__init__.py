"""
A host that runs WebAssembly components and gives them machine learning: tensors and prompts on one graph.

Everything named here loads when it is first used, so that ``import wit_llm`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wit_llm.errors import (
        BackendFailure,
        Busy,
        DeadlinePassed,
        Denied,
        GuestTrapped,
        InvalidArgument,
        InvalidEncoding,
        NNError,
        NotFound,
        NotPromptable,
        OperatorError,
        Overflow,
        QuotaExceeded,
        TooLarge,
        Unsupported,
        WitLLMError,
    )
    from wit_llm.host import Host, Outcome, Running
    from wit_llm.limits import Limits
    from wit_llm.registry import Grant

__all__ = [
    "BackendFailure",
    "Busy",
    "DeadlinePassed",
    "Denied",
    "Grant",
    "GuestTrapped",
    "Host",
    "InvalidArgument",
    "InvalidEncoding",
    "Limits",
    "NNError",
    "NotFound",
    "NotPromptable",
    "OperatorError",
    "Outcome",
    "Overflow",
    "QuotaExceeded",
    "Running",
    "TooLarge",
    "Unsupported",
    "WitLLMError",
    "__version__",
]
__version__ = "0.1.0"

_ELSEWHERE = {
    "Grant": "wit_llm.registry",
    "Host": "wit_llm.host",
    "Limits": "wit_llm.limits",
    "Outcome": "wit_llm.host",
    "Running": "wit_llm.host",
}


def __getattr__(name: str) -> object:
    """What ``__all__`` lists, from the module that has it; the errors unless the table says otherwise."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "wit_llm.errors")), name)


def __dir__() -> list[str]:
    return __all__
