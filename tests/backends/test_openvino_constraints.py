"""OpenVINO's engine says of large vocabularies what an automaton lets through, and is ready in time."""

from __future__ import annotations

import json
import time

import numpy as np
import openvino as ov
import openvino_genai as genai
import pytest

from wit_llm.backends.openvino_constraints import Constraints
from wit_llm.backends.openvino_grammar import ebnf
from wit_llm.grammar.constraint import automaton
from wit_llm.grammar.matcher import Matchers, Vocabulary
from wit_llm.options import Constraint, JsonSchema, Regex

# Some seconds on a quiet machine with two cores.
MOST_S = 30
STOP = 0
LENGTHS = (7, 20, 50, 64, 100, 255, 500, 1000, 5000, 100_000)
RECORD = {
    "type": "object",
    "properties": {f"p{length}": {"type": "string", "maxLength": length} for length in LENGTHS},
    "required": [f"p{length}" for length in LENGTHS],
}
COUNTED: dict[str, Constraint] = {
    "ten-lengths": JsonSchema(json.dumps(RECORD)),
    "lists": JsonSchema(
        json.dumps({"type": "array", "items": {"type": "string", "minLength": 3, "maxLength": 30}, "maxItems": 200})
    ),
    "regex": Regex("[A-Za-z ,]{40,300}[.!]( [^.]{1,17}[.]){0,9}"),
}


def _vocabulary(size: int) -> Vocabulary:
    """Random tokens of about the lengths of real ones; what ends a reply says nothing."""
    rng = np.random.default_rng(size)
    letters = list("etaoinshrdlucmfwypvbgkjqxz ETAOIN.,éüж日本")
    marks = ['"', '",', '": "', '"]', '."', '", "', "\\", "\\n", ". ", " " * 40, "." * 128]
    tokens = [b"", *(bytes([byte]) for byte in range(256)), *map(str.encode, marks)]
    lengths = rng.gamma(4, 1.6, size).clip(2, 40).astype(int)
    tokens += ["".join(rng.choice(letters, length)).encode() for length in lengths[: size - len(tokens)]]
    return Vocabulary(tokens, size)


@pytest.mark.parametrize(
    "size", [2_000, *(pytest.param(size, marks=pytest.mark.slow) for size in (32_000, 50_000, 128_000, 152_000))]
)
def test_what_is_counted_is_exact_and_ready_in_time(size: int) -> None:
    """However large vocabulary and counts are, each token that comes fits, also next to the last that may."""
    vocabulary = _vocabulary(size)
    constraints, matchers = Constraints(vocabulary), Matchers(vocabulary)
    for name, constraint in COUNTED.items():
        held = automaton(constraint)
        began = time.monotonic()
        preparation = constraints.prepare(held)
        assert preparation.over(MOST_S), name
        assert preparation.error is None
        for seed in range(3):
            config = genai.GenerationConfig()
            config.max_new_tokens = 100
            config.eos_token_id, config.stop_token_ids = STOP, {STOP}
            config.do_sample, config.rng_seed = True, seed
            config.structured_output_config = genai.StructuredOutputConfig(grammar=ebnf(held, vocabulary.longest))
            said = constraints.pipeline.generate(ov.Tensor(np.zeros((1, 1), np.int64)), config).tokens[0]
            matcher = matchers.matcher(held)
            ended = said[-1] == STOP
            assert all(map(matcher.accept, said[:-1] if ended else said)), name
            assert matcher.may_end or not ended
        assert time.monotonic() - began < MOST_S, name
