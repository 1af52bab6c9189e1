"""onnxruntime-genai's Generator, where requests at once are one batch: its scheduler for many wants a GPU."""

from __future__ import annotations

import json
import time
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np
import onnxruntime_genai as og
from engines.line import Answer, Done, Work


def version() -> str:
    """What it is, with its version."""
    return f"onnxruntime-genai {version_of('onnxruntime-genai')}, onnxruntime {version_of('onnxruntime')}"


def start(model: Path, *, threads: int) -> Answer:
    """Load the model."""
    config = og.Config(str(model))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    loaded = og.Model(config)

    def answer(work: Work) -> Done:
        """Do the batch, token by token."""
        count, prompt_tokens = len(work.prompts), len(work.prompts[0])
        length = prompt_tokens + work.reply_tokens
        prompts = np.array(work.prompts, np.int32)
        began = time.perf_counter()
        params = og.GeneratorParams(loaded)
        # A reply of the least length has no end token.
        params.set_search_options(do_sample=False, batch_size=count, max_length=length, min_length=length)
        generator = og.Generator(loaded, params)
        generator.append_tokens(prompts if count > 1 else prompts[0])
        generator.generate_next_token()
        first = time.perf_counter()
        while not generator.is_done():
            generator.generate_next_token()
        ended = time.perf_counter()
        replies = [generator.get_sequence(row).tolist()[prompt_tokens:] for row in range(count)]
        return Done(replies, first - began, ended - began)

    return answer
