"""transformers' `generate`, where requests at once are one batch."""

from __future__ import annotations

import time
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import torch
from engines.line import Answer, Done, Work
from transformers import AutoModelForCausalLM
from transformers.generation.streamers import BaseStreamer
from transformers.utils.logging import disable_progress_bar


def version() -> str:
    """What it is, with its version."""
    return f"transformers {version_of('transformers')}, torch {version_of('torch')}"


class _FirstToken(BaseStreamer):
    """Notes when the first token was there; it is given the prompt before."""

    def __init__(self) -> None:
        self._calls = 0
        self.at = 0.0

    def put(self, _token_ids: torch.Tensor) -> None:
        """Called with the prompt, and at each token."""
        self._calls += 1
        if self._calls == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing is left to do."""


def start(model: Path, *, threads: int, dtype: str) -> Answer:
    """Load the model."""
    torch.set_num_threads(threads)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
    loaded.generation_config.eos_token_id = None

    def answer(work: Work) -> Done:
        """Do the batch; a streamer is allowed for one request alone."""
        streamer = _FirstToken() if len(work.prompts) == 1 else None
        began = time.perf_counter()
        ids = torch.tensor(work.prompts)
        with torch.inference_mode():
            rows = loaded.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=work.reply_tokens,
                do_sample=False,
                pad_token_id=0,
                streamer=streamer,
            )
        ended = time.perf_counter()
        replies = rows[:, ids.shape[1] :].tolist()
        return Done(replies, (streamer.at if streamer else ended) - began, ended - began)

    return answer
