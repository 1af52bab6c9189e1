"""Settings of a graph, as the operator wrote them, made into what a backend declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

Declared = TypeVar("Declared", bound=msgspec.Struct)


def parse(backend: str, declared: type[Declared], settings: Mapping[str, str]) -> Declared:
    """
    Read each setting as its declared type.

    Raises:
        OperatorError: A name that is not declared or a word that is no choice (lists those that are), or text that is
            not of its type.
    """
    known = declared.__struct_fields__
    for name in settings:
        if name not in known:
            there = f"known: {', '.join(known)}" if known else "it has none"
            raise OperatorError(f"setting {name!r} of backend {backend!r} is unknown; {there}")
    try:
        return msgspec.convert(dict(settings), declared, strict=False)
    except msgspec.ValidationError as error:
        raise OperatorError(f"settings of backend {backend!r}: {error}{_choice(declared, str(error))}") from error


def _choice(declared: type[msgspec.Struct], error: str) -> str:
    """What may be chosen, where an error is about a setting that is one of several words."""
    for name, hint in get_type_hints(declared).items():
        words = [word for ty in (hint, *get_args(hint)) if get_origin(ty) is Literal for word in get_args(ty)]
        if words and error.endswith(f"`$.{name}`"):
            return f"; it is one of {', '.join(words)}"
    return ""
