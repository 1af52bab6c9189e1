"""openvino-genai's LLMPipeline with a KV cache in the model's own state, where requests at once are one batch."""

from __future__ import annotations

import time
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_genai as genai
from engines.line import Answer, Done, Work


def version() -> str:
    """What it is, with its version."""
    return f"openvino-genai {version_of('openvino-genai')}"


class _FirstToken(genai.StreamerBase):  # type: ignore[misc]
    """Notes when the first token was there."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    def write(self, _token_ids: int | list[int]) -> genai.StreamingStatus:
        """Called at each token."""
        self.at = self.at or time.perf_counter()
        return genai.StreamingStatus.RUNNING

    def end(self) -> None:
        """Nothing is left to do."""


def start(model: Path, *, threads: int) -> Answer:
    """Load the model."""
    pipeline = genai.LLMPipeline(str(model), "CPU", {"INFERENCE_NUM_THREADS": threads, "ATTENTION_BACKEND": "SDPA"})

    def answer(work: Work) -> Done:
        """Do the batch; of more than one request the library streams nothing, so that all come at the end."""
        config = genai.GenerationConfig()
        config.max_new_tokens = work.reply_tokens
        config.ignore_eos = True
        ids = np.array(work.prompts, np.int64)
        began = time.perf_counter()
        inputs = genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        if len(ids) == 1:
            streamer = _FirstToken()
            made = pipeline.generate(inputs, config, streamer)
            ended = time.perf_counter()
            return Done(made.tokens, streamer.at - began, ended - began)
        made = pipeline.generate(inputs, config)
        ended = time.perf_counter()
        return Done(made.tokens, ended - began, ended - began)

    return answer
