"""Settings of a graph, as the operator wrote them, made into what a backend declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

Declared = TypeVar("Declared", bound=msgspec.Struct)


def parse(backend: str, declared: type[Declared], settings: Mapping[str, str]) -> Declared:
    """
    Read each setting as its declared type.

    Raises:
        OperatorError: A name that is not declared (lists those that are), or text that is not of its type.
    """
    known = declared.__struct_fields__
    for name in settings:
        if name not in known:
            there = f"known: {', '.join(known)}" if known else "it has none"
            raise OperatorError(f"setting {name!r} of backend {backend!r} is unknown; {there}")
    try:
        return msgspec.convert(dict(settings), declared, strict=False)
    except msgspec.ValidationError as error:
        raise OperatorError(f"settings of backend {backend!r}: {error}") from error
