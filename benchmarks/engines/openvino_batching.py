"""openvino-genai's ContinuousBatchingPipeline driven directly, by the properties that our own backend gives it."""

from __future__ import annotations

import time
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_genai as genai
from engines.line import Answer, Done, Work

from wit_llm.backends.openvino_settings import Settings

CACHE_GB = 1


def version() -> str:
    """What it is, with its version."""
    return f"openvino-genai {version_of('openvino-genai')}"


def start(model: Path, *, threads: int) -> Answer:
    """Load the model."""
    settings = Settings(num_threads=threads, cache_size_gb=CACHE_GB)
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = CACHE_GB
    scheduler.enable_prefix_caching = settings.prefix_caching
    scheduler.max_num_batched_tokens = settings.max_num_batched_tokens
    scheduler.max_num_seqs = settings.max_num_seqs
    pipeline = genai.ContinuousBatchingPipeline(str(model), scheduler, "CPU", settings.of_replies("CPU"))
    number = 0

    def answer(work: Work) -> Done:
        """Add all requests, and step until none is left."""
        nonlocal number
        config = genai.GenerationConfig()
        config.max_new_tokens = work.reply_tokens
        config.ignore_eos = True
        replies: list[list[int]] = [[] for _ in work.prompts]
        first = 0.0
        began = time.perf_counter()
        handles = []
        for prompt in work.prompts:
            number += 1
            handles.append(pipeline.add_request(number, ov.Tensor(np.array([prompt], np.int64)), config))
        while pipeline.has_non_finished_requests():
            pipeline.step()
            for handle, reply in zip(handles, replies, strict=True):
                while handle.can_read():
                    for output in handle.read().values():
                        reply.extend(output.generated_ids)
                    first = first or time.perf_counter()
        ended = time.perf_counter()
        return Done(replies, first - began, ended - began)

    return answer
