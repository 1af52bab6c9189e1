"""
How long does the first token of a second turn take, against that of the first turn of 1,000 tokens before it?

Each round is a conversation of its own, of words that were never said before, held by the packaged chat guest on each
backend: a prompt of 1,000 tokens, a reply, and a short question more. Time counts from the host's entry into `start`
to the first token's id, so that rendering and encoding the whole conversation anew are in it. Bar: a quarter.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from folders import add_folder_options, folders_by_backend
from measure import CACHE, Bar, Of, Report, Row, parser

from wit_llm import Grant, Host
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.tokenizer import Tokenizer

BAR = Bar(Of.RATIO, at_most=0.25)
FIRST_TOKENS = 1000
SECOND_TOKENS = 16
REPLY_TOKENS = 16
QUICK_TOKENS = 100


class Conversations:
    """
    First and second turns of made-up words.

    Args:
        folder: Whose tokenizer counts.
        first_tokens: Of a first turn, without what the template adds.
    """

    def __init__(self, folder: Path, first_tokens: int) -> None:
        from made_up import words

        self._tokenizer = Tokenizer.load(folder)
        self._words = words(5_000, seed=1)
        self._rng = np.random.default_rng(0)
        self._first_tokens = first_tokens

    def turns(self) -> list[str]:
        """Those of a conversation that was not held before."""
        return [self._text(self._first_tokens), self._text(SECOND_TOKENS)]

    def _text(self, tokens: int) -> str:
        words = self._rng.choice(self._words, tokens).tolist()
        while len(self._tokenizer.encode(" ".join(words), special=False)) > tokens:
            words.pop()
        return " ".join(words)


def first_token_ms(host: Host, turns: list[str]) -> tuple[float, float]:
    """Of the second turn and of the first."""
    arguments = ["--ignore-eos", "--max-output-tokens", str(REPLY_TOKENS), "--stats", "model"]
    outcome = host.run(CHAT_GUEST, arguments, stdin="".join(f"{turn}\n" for turn in turns).encode())
    if outcome.exit_code:
        raise RuntimeError(outcome.stderr.decode())
    # Between them are notes that the replies were cut short.
    first, second = (json.loads(line) for line in outcome.stderr.splitlines() if line.startswith(b"{"))
    if second["prompt_tokens"] <= first["prompt_tokens"] + REPLY_TOKENS // 2:
        raise RuntimeError(f"the second prompt has {second['prompt_tokens']} tokens; the first is not in it")
    return second["first_token_us"] / 1e3, first["first_token_us"] / 1e3


def main() -> int:
    """Measure each backend."""
    options = parser(__doc__)
    add_folder_options(options)
    arguments = options.parse_args()
    first_tokens = QUICK_TOKENS if arguments.quick else FIRST_TOKENS
    report = Report(__doc__, arguments, {"first_tokens": first_tokens, "second_tokens": SECOND_TOKENS})
    for backend, folder in folders_by_backend(arguments).items():
        conversations = Conversations(folder, first_tokens)
        with Host([Grant("model", folder, backend=backend)], cache_dir=CACHE / "wit-llm") as host:
            first_token_ms(host, conversations.turns())
            pairs = [first_token_ms(host, conversations.turns()) for _ in range(report.pairs)]
        report.add(Row(f"first token of a second turn, {backend}", "ms", "the first turn's", pairs, BAR))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
