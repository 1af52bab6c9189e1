"""llama.cpp by its own batches: a request is a sequence, and a step has one token of each that is live."""

from __future__ import annotations

import ctypes
import time
from importlib.metadata import version as version_of
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
from engines.line import Answer, Done, Work

BATCH_TOKENS = 2048  # as its programs have it; they are computed 512 at a time
# What a context is rounded up to, so that a few do for all works.
CONTEXT_STEP = 256


def version() -> str:
    """What it is, with its version."""
    return f"llama-cpp-python {version_of('llama-cpp-python')}"


class _Context:
    """
    A context for some requests at once, and the batch that is filled for its steps.

    Args:
        model: That is loaded.
        sequences: How many requests.
        tokens: Of each, with its reply.
        threads: Of the CPU.
    """

    def __init__(self, model: lib.llama_model_p, sequences: int, tokens: int, threads: int) -> None:
        params = lib.llama_context_default_params()
        params.n_ctx = sequences * tokens
        params.n_seq_max = sequences
        params.n_batch = BATCH_TOKENS
        params.n_threads = params.n_threads_batch = threads
        self._context = lib.llama_init_from_model(model, params)
        if not self._context:
            raise RuntimeError(f"llama.cpp makes no context of {sequences} times {tokens} tokens")
        self._memory = lib.llama_get_memory(self._context)
        self._vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self._batch = lib.llama_batch_init(BATCH_TOKENS, 0, 1)

    def clear(self) -> None:
        """Forget all requests."""
        lib.llama_memory_clear(self._memory, False)  # noqa: FBT003 -- the C function's own: not the data

    def add(self, token: int, position: int, sequence: int, *, last: bool) -> None:
        """Put a token into the batch; the logits after it are wanted where it is the last that is known."""
        batch, at = self._batch, self._batch.n_tokens
        batch.token[at] = token
        batch.pos[at] = position
        batch.n_seq_id[at] = 1
        batch.seq_id[at][0] = sequence
        batch.logits[at] = last
        batch.n_tokens = at + 1

    @property
    def full(self) -> bool:
        """Whether the batch has no room left."""
        return bool(self._batch.n_tokens == BATCH_TOKENS)

    def decode(self) -> list[tuple[int, int]]:
        """Compute the batch and empty it: of each token that logits were wanted after, its sequence and the best."""
        if not self._batch.n_tokens:
            return []
        if status := lib.llama_decode(self._context, self._batch):
            raise RuntimeError(f"llama_decode of {self._batch.n_tokens} tokens: status {status}")
        best = []
        for at in range(self._batch.n_tokens):
            if self._batch.logits[at]:
                pointer = lib.llama_get_logits_ith(self._context, at)
                logits = np.ctypeslib.as_array(pointer, (self._vocab_size,))  # [vocab] f32
                best.append((self._batch.seq_id[at][0], int(logits.argmax())))
        self._batch.n_tokens = 0
        return best


def start(model: Path, *, threads: int) -> Answer:
    """Load the model; its log is kept quiet."""
    silent = lib.llama_log_callback(lambda _level, _text, _data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    loaded = lib.llama_model_load_from_file(str(model).encode(), lib.llama_model_default_params())
    if not loaded:
        raise RuntimeError(f"llama.cpp does not load {model.name}")
    contexts: dict[tuple[int, int], _Context] = {}

    def answer(work: Work) -> Done:
        """Have it done by a context of its size; making one is not counted."""
        _ = silent  # which the library calls as long as it lives
        tokens = -(-(len(work.prompts[0]) + work.reply_tokens) // CONTEXT_STEP) * CONTEXT_STEP
        size = len(work.prompts), tokens
        if size not in contexts:
            contexts[size] = _Context(loaded, *size, threads)
        return _done(contexts[size], work)

    return answer


def _done(context: _Context, work: Work) -> Done:
    """Read all prompts in full batches, then decode all replies in step."""
    prompt_tokens = len(work.prompts[0])
    replies: list[list[int]] = [[] for _ in work.prompts]
    began = time.perf_counter()
    context.clear()
    made: list[tuple[int, int]] = []
    for sequence, prompt in enumerate(work.prompts):
        for position, token in enumerate(prompt):
            context.add(token, position, sequence, last=position == prompt_tokens - 1)
            if context.full:
                made += context.decode()
    made += context.decode()
    first = time.perf_counter()
    for sequence, token in made:
        replies[sequence].append(token)
    for position in range(prompt_tokens, prompt_tokens + work.reply_tokens - 1):
        for sequence, token in made:
            context.add(token, position, sequence, last=True)
        made = context.decode()
        for sequence, token in made:
            replies[sequence].append(token)
    ended = time.perf_counter()
    return Done(replies, first - began, ended - began)
