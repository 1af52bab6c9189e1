"""A constraint of any kind as an automaton."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.builder import build
from wit_llm.grammar.expression import Either, text
from wit_llm.grammar.gbnf import read_grammar
from wit_llm.grammar.json_schema import read_schema
from wit_llm.grammar.network import too_large
from wit_llm.grammar.reading import MAX_BYTES
from wit_llm.grammar.regex import read_regex
from wit_llm.options import Choice, Constraint, Grammar, JsonSchema, Regex

if TYPE_CHECKING:
    from wit_llm.grammar.automaton import Automaton
    from wit_llm.grammar.expression import Expression


# Each has some hundred kilobytes at most.
@lru_cache(maxsize=32)
def automaton(constraint: Constraint) -> Automaton:
    """
    What a reply may say.

    Raises:
        InvalidArgument: The constraint means nothing, or is too large.
        Unsupported: It says something that cannot be enforced.
    """
    try:
        return build(_rules(constraint))
    except RecursionError:
        raise too_large() from None


def _rules(constraint: Constraint) -> dict[str, Expression]:
    match constraint:
        case JsonSchema(schema):
            return read_schema(schema)
        case Regex(pattern):
            return {"root": read_regex(pattern)}
        case Grammar(grammar):
            return read_grammar(grammar)
        case Choice(choices):
            return {"root": _one_of(choices)}


def _one_of(choices: tuple[str, ...]) -> Expression:
    if not choices:
        raise InvalidArgument("choice: there is nothing to choose from")
    size = sum(len(one.encode(errors="surrogatepass")) for one in choices)
    if size > MAX_BYTES:
        raise InvalidArgument(f"choice: all strings together have at most {MAX_BYTES} bytes, got {size}")
    for number, one in enumerate(choices):
        try:
            one.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(f"choice: string {number} has half a surrogate pair") from None
        if "\0" in one:
            raise InvalidArgument(f"choice: string {number} has a NUL, which is never said")
    return Either(tuple(map(text, choices)))
