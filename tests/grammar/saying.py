"""How tests ask what a constraint lets through: text by text, or by saying anything at random that it allows."""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from wit_llm.grammar.constraint import automaton
from wit_llm.grammar.matcher import Machine, Matchers, Vocabulary
from wit_llm.options import Constraint
from wit_llm.tokenizer import Tokenizer

_BYTES = Vocabulary([bytes([byte]) for byte in range(256)], 256)
_SAID_TOKENS = 400


def allows(constraint: Constraint, text: str) -> bool:
    """Whether a whole text satisfies it."""
    machine = Machine(automaton(constraint), _BYTES)
    return machine.may_end(machine.after(machine.start, text.encode()))


def begins(constraint: Constraint, text: str) -> bool:
    """Whether something that satisfies it begins so."""
    machine = Machine(automaton(constraint), _BYTES)
    return machine.after(machine.start, text.encode()) != 0


@cache
def tiny() -> Vocabulary:
    """The vocabulary of the embedded model."""
    folder = Path(str(files("wit_llm"))) / "embedded" / "tiny"
    tokenizer = Tokenizer.load(folder)
    return Vocabulary(tokenizer.spoken(), tokenizer.vocab_size)


def said(constraint: Constraint, seed: int, hurry: float = 0.3) -> str | None:
    """
    Tokens of ``tiny`` that the constraint lets through, drawn at random up to an end; none where that does not come.

    Args:
        constraint: What it satisfies.
        seed: Of the draw.
        hurry: How likely it ends where it may, and chooses a short token.
    """
    vocabulary, draw = tiny(), random.Random(seed)
    matcher = Matchers(vocabulary).matcher(automaton(constraint))
    data = b""
    for _ in range(_SAID_TOKENS):
        allowed = np.flatnonzero(matcher.mask())
        if matcher.may_end and (not len(allowed) or draw.random() < hurry):
            return data.decode()
        closing = [token for token in allowed if vocabulary.tokens[token] in (b'"', b"}", b"]", b'"}')]
        token_id = int(draw.choice(closing if closing and draw.random() < hurry else list(allowed)))
        assert matcher.accept(token_id)
        data += vocabulary.tokens[token_id]
    return None
