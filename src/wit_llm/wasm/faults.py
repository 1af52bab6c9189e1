"""How an ``NNError`` reaches a guest: by the error type that the function declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wasmtime import component as wit

from wit_llm.errors import NNError, QuotaKind
from wit_llm.wasm.abi import Lower, Mismatch, boxed, lowerer, put_case

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class _Overflow:
    requested: int
    available: int
    window: int


@dataclass(frozen=True, slots=True)
class _Quota:
    kind: QuotaKind
    limit: int
    retry_after_ms: int | None


# The payload of each case of `wit-llm:nn/types.error` that is more than a text.
_PAYLOADS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "overflow": (_Overflow, lambda e: _Overflow(e.requested, e.available, e.window)),
    "quota": (_Quota, lambda e: _Quota(e.kind, e.limit, e.retry_after_ms)),
    "busy": (int | None, lambda e: e.retry_after_ms),
}


def error_lowerer(ty: wit.ValType, where: str) -> Lower:
    """
    Build the function that writes an ``NNError`` as a function's error type.

    Raises:
        Mismatch: The error type is none of wasi-nn's resource, ``wit-llm:nn``'s variant and a string.
    """
    if isinstance(ty, wit.OwnType):
        return lowerer(ty, NNError, where)
    if isinstance(ty, wit.String):
        write = lowerer(ty, str, where)
        return lambda handles, context, error, val: write(handles, context, str(error), val)
    if isinstance(ty, wit.VariantType):
        return _variant(ty, where)
    raise Mismatch(f"{where}: its error type")


def _variant(ty: wit.VariantType, where: str) -> Lower:
    cases = {}
    for name, payload in ty.cases:
        hint, read = _PAYLOADS.get(name, (str, str))
        if payload is None:
            raise Mismatch(f"{where}: error case {name}")
        cases[name] = (name.encode(), lowerer(payload, hint, f"{where}.{name}"), read)

    def lower(handles: Any, context: Any, error: NNError, val: Any) -> None:
        name, write, read = cases[error.case]
        put_case(val, name, boxed(write, handles, context, read(error)))

    return lower
