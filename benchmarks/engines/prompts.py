"""Prompts of made-up words, as text and as the token ids that it is with its template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from engines.line import Work
from made_up import words
from transformers import AutoTokenizer


class Prompts:
    """
    Prompts that were not there before.

    Token ids are those of transformers, so that ours are compared with somebody else's.

    Args:
        folder: Of the model, as transformers has it.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        # Of those that are a token each, it takes as many as there are to be tokens.
        self._words = [word for word in words(5_000, seed=1) if len(self._tokenizer.encode(f" {word}")) == 1]
        self._rng = np.random.default_rng(0)
        self._around = len(self._ids("")) + 1  # the dot

    def work(self, requests: int, prompt_tokens: int, reply_tokens: int) -> Work:
        """Requests at once, each with a prompt of its own."""
        return self._work([self._text(prompt_tokens - self._around) for _ in range(requests)], reply_tokens)

    def alike(self, shared_tokens: int, own_tokens: int) -> list[Work]:
        """Two works of a request and a token, whose prompts begin alike."""
        shared = self._text(shared_tokens - self._around)
        return [self._work([shared + self._text(own_tokens)], 1) for _ in range(2)]

    def _text(self, count: int) -> str:
        return "".join(f" {word}" for word in self._rng.choice(self._words, count))

    def _work(self, texts: list[str], reply_tokens: int) -> Work:
        texts = [f".{text}" for text in texts]
        return Work([self._ids(text) for text in texts], texts, reply_tokens)

    def _ids(self, text: str) -> list[int]:
        messages = [{"role": "user", "content": text}]
        encoded: Mapping[str, list[int]] = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True
        )
        return encoded["input_ids"]
