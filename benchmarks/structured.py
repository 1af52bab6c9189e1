"""
How fast does a reply come under a JSON schema, against one of the same model that may say what it likes?

Both are greedy replies of as many tokens to the same prompt, one after the other in the same worker, on each backend:
an array of records with strings, numbers, enumerations and lists, and whatever a model with random weights makes up.
The rate is that behind the first token. Bar: 90 %. Beside it, for information: how long the first token takes where the
worker has not seen the schema before, and how long a neighbour, who may say what it likes, has to wait for a token at
most meanwhile, against a schema that the worker has seen.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from folders import add_folder_options, folders_by_backend
from measure import Bar, Of, Report, Row, in_turns, parser

from wit_llm.bell import Bell
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.options import ByPreset, JsonSchema, Options, Preset
from wit_llm.text.message import Say, Setup
from wit_llm.text.model import Model
from wit_llm.text.session import Session
from wit_llm.worker.client import Engine, GraphSource

BAR = Bar(Of.RATIO, at_least=0.9)
PROMPT_WORDS = 16
REPLY_TOKENS = 128
QUICK_REPLY_TOKENS = 32
# More than a neighbour says while a schema enters, and those that it has said before.
NEIGHBOURS_TOKENS = 2000
EARLIER_TOKENS = 8
# More than a reply of that length can hold, so that none ends by itself.
RECORDS = 64


class Timed(NamedTuple):
    """
    A reply.

    Args:
        tokens_per_s: Behind the first token.
        first_ms: Until the first token.
    """

    tokens_per_s: float
    first_ms: float


def schema(number: int) -> JsonSchema:
    """Records that no other round has asked for: their first name is its own."""
    record = {
        "type": "object",
        "properties": {
            f"name {number}": {"type": "string", "maxLength": 24},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "kind": {"enum": ["person", "place", "thing"]},
            "scores": {"type": "array", "items": {"type": "number"}, "maxItems": 4},
            "note": {"type": ["string", "null"]},
        },
        "required": [f"name {number}", "age", "kind", "scores"],
    }
    return JsonSchema(json.dumps({"type": "array", "items": record, "minItems": RECORDS}))


class Replies:
    """
    Replies of one model, with a constraint and without.

    Args:
        engine: What computes.
        folder: Its tokenizer and template.
        reply_tokens: Of each.
    """

    def __init__(self, engine: Engine, folder: Path, reply_tokens: int) -> None:
        from made_up import words

        self._words = words(5_000, seed=1)
        self._model = Model.open(Graph("model", engine, Limits(), ignore), folder, "model", "sha256:0")
        self._tokens = reply_tokens

    def held(self, number: int, *, seen: bool) -> Timed:
        """By a schema of the round's own, or by one that all rounds share."""
        constraint = schema(-1 if seen else number)
        return self._reply(number, Options(self._tokens, ByPreset(Preset.DETERMINISTIC), constraint=constraint))

    def free(self, number: int) -> Timed:
        """Past all ends."""
        return self._reply(number, Options(self._tokens, ByPreset(Preset.DETERMINISTIC), ignore_eos=True))

    def gap_ms(self, number: int, *, seen: bool, apart: int = 0) -> float:
        """
        A neighbour's longest time without a token, from before such a reply until its first token.

        Args:
            number: Of the round.
            seen: As for ``held``.
            apart: Numbers of schemas that other rounds have made known.
        """
        options = Options(NEIGHBOURS_TOKENS, ByPreset(Preset.DETERMINISTIC), ignore_eos=True)
        neighbour = Session(self._model, Setup(), Bell(), Limits()).start(self._prompt(number + 500), options)
        heard_s, ready = [], threading.Event()

        def listen() -> None:
            while not neighbour.next().finished:
                heard_s.append(time.perf_counter())
                if len(heard_s) == EARLIER_TOKENS:
                    ready.set()

        listener = threading.Thread(target=listen)
        listener.start()
        ready.wait()
        began_s = time.perf_counter()
        ended_s = began_s + self.held(number + apart, seen=seen).first_ms / 1e3
        neighbour.stop()
        listener.join()
        return max(later - before for before, later in pairwise(heard_s) if later > began_s and before < ended_s) * 1e3

    def _prompt(self, number: int) -> Say:
        return Say(" ".join(np.random.default_rng(number + 1_000).choice(self._words, PROMPT_WORDS)))

    def _reply(self, number: int, options: Options) -> Timed:
        reply = Session(self._model, Setup(), Bell(), Limits()).ask(self._prompt(number), options)
        timing, tokens = reply.summary.timing, reply.summary.usage.generated_tokens
        if tokens != self._tokens or timing.first_token_us is None:
            raise RuntimeError(f"a reply has {tokens} tokens, not {self._tokens}: {reply.text[-80:]!r}")
        if options.constraint is not None and not reply.text.startswith('[{"name '):
            raise RuntimeError(f"a reply does not begin as the schema says: {reply.text[:80]!r}")
        return Timed((tokens - 1) / (timing.total_us - timing.first_token_us) * 1e6, timing.first_token_us / 1e3)


def main() -> int:
    """Measure each backend."""
    options = parser(__doc__)
    add_folder_options(options)
    arguments = options.parse_args()
    reply_tokens = QUICK_REPLY_TOKENS if arguments.quick else REPLY_TOKENS
    report = Report(__doc__, arguments, {"prompt_words": PROMPT_WORDS, "reply_tokens": reply_tokens})
    for backend, folder in folders_by_backend(arguments).items():
        with closing(Engine(GraphSource("model", backend, folder))) as engine:
            replies = Replies(engine, folder, reply_tokens)
            pairs = list(in_turns(partial(replies.held, seen=True), replies.free, report.pairs))
            rates = [(held.tokens_per_s, free.tokens_per_s) for held, free in pairs]
            report.add(Row(f"decode rate under a schema, {backend}", "tokens/s", "without", rates, BAR))
            pairs = list(in_turns(partial(replies.held, seen=False), replies.free, report.pairs))
            firsts = [(held.first_ms, free.first_ms) for held, free in pairs]
            report.add(Row(f"first token under a new schema, {backend}", "ms", "without", firsts))
            unseen = partial(replies.gap_ms, seen=False, apart=report.pairs + 1)
            gaps = in_turns(unseen, partial(replies.gap_ms, seen=True), report.pairs)
            report.add(Row(f"neighbour's longest gap, new schema, {backend}", "ms", "seen", list(gaps)))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
