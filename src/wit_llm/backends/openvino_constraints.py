"""
OpenVINO: constraints, prepared beside the pipeline that holds replies to them.

openvino-genai 2026.4.1 prepares a constraint that it has not seen when a request with it is sampled for the first time,
inside a step of all requests. What was prepared belongs to the ``Tokenizer``; so a second pipeline, of a model that
computes nothing, prepares it for the first one, on another thread. ``benchmarks/structured.py`` has what that is
worth.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import openvino_genai as genai
from openvino import opset15 as op

from wit_llm.backends.base import Lost
from wit_llm.backends.openvino_grammar import ebnf, prepared_bytes
from wit_llm.backends.openvino_tensors import failures
from wit_llm.errors import NNError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wit_llm.grammar.automaton import Automaton
    from wit_llm.grammar.matcher import Vocabulary
    from wit_llm.options import Decoding

# Replies come first: the engine prepares with eight threads, and would have most of a small machine.
_NICE = 10


@dataclass(frozen=True, slots=True)
class Held:
    """A request before it enters the pipeline; its token ids are I64 ``[tokens]``."""

    request: int
    input_ids: NDArray[np.int64]
    decoding: Decoding


class Gate:
    """
    Where requests under constraints enter a pipeline: one after the other, each when its constraint is prepared.

    The library guards nothing of this. While it prepares a constraint, no other one may be, no request under one may
    have its first token sampled; and no request at all, until one of the pipeline's has had its first token.

    Args:
        constraints: Of the pipeline.
        most_bytes: What they may take, about, for as long as there is the pipeline.
    """

    def __init__(self, constraints: Constraints, most_bytes: int) -> None:
        self._constraints = constraints
        self._most_bytes = most_bytes
        self._kept: dict[Automaton, int] = {}
        self._unprepared: set[Automaton] = set()
        self._preparing: tuple[Automaton, Preparation] | None = None
        self._held: deque[tuple[Automaton, Held]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def preparing(self) -> bool:
        """Whether a constraint is being prepared."""
        return self._preparing is not None

    def has_room(self, constraint: Automaton) -> bool:
        """Whether the pipeline has the constraint, or may have another one."""
        taken = sum(self._kept.values())
        return (
            constraint in self._kept or not taken or taken + self._constraints.bytes_of(constraint) <= self._most_bytes
        )

    def add(self, held: Held, constraint: Automaton) -> None:
        """Let a request wait; there is room for its constraint."""
        if constraint not in self._kept:
            self._kept[constraint] = self._constraints.bytes_of(constraint)
            self._unprepared.add(constraint)
        self._held.append((constraint, held))

    def cancel(self, request: int) -> bool:
        """Let it wait no longer; whether it did."""
        for one in self._held:
            if one[1].request == request:
                self._held.remove(one)
                return True
        return False

    def pull(self, wait_s: float, *, entering: bool) -> tuple[Held | None, list[Lost]]:
        """
        The request that may enter now, and those that never may.

        Args:
            wait_s: How long to wait for a constraint that is being prepared.
            entering: Another one enters the pipeline, so that nothing else may.
        """
        if self._preparing is not None:
            constraint, preparation = self._preparing
            if not preparation.over(wait_s):
                return None, []
            self._preparing = None
            self._unprepared.discard(constraint)
            if preparation.error is not None:
                return None, self._give_up(constraint, preparation.error)
        if entering or not self._held:
            return None, []
        constraint, held = self._held[0]
        if constraint not in self._unprepared:
            self._held.popleft()
            return held, []
        self._preparing = (constraint, self._constraints.prepare(constraint))
        return None, []

    def _give_up(self, constraint: Automaton, error: NNError) -> list[Lost]:
        del self._kept[constraint]
        lost = [one for one in self._held if one[0] == constraint]
        for one in lost:
            self._held.remove(one)
        return [Lost(held.request, error) for _, held in lost]


class Constraints:
    """
    What the replies of one pipeline may be held to.

    Args:
        vocabulary: Of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocab_size = vocabulary.size
        self._longest = vocabulary.longest
        with tempfile.TemporaryDirectory(prefix="wit-llm-") as folder:
            ov.save_model(_vocabulary_model(vocabulary.tokens), f"{folder}/openvino_detokenizer.xml")
            self.tokenizer = genai.Tokenizer(folder)

    def bytes_of(self, constraint: Automaton) -> int:
        """What the library keeps of one, about."""
        return prepared_bytes(constraint, self._vocab_size)

    def prepare(self, constraint: Automaton) -> Preparation:
        """Begin to prepare one."""
        return Preparation(self, ebnf(constraint, self._longest))

    @cached_property
    def pipeline(self) -> genai.LLMPipeline:
        """The second one."""
        with tempfile.TemporaryDirectory(prefix="wit-llm-") as folder:
            ov.save_model(_idle_model(self._vocab_size), f"{folder}/openvino_model.xml")
            return genai.LLMPipeline(folder, self.tokenizer, "CPU", ATTENTION_BACKEND="SDPA", INFERENCE_NUM_THREADS=1)


class Preparation:
    """A constraint that is being prepared, on a thread of its own."""

    def __init__(self, constraints: Constraints, grammar: str) -> None:
        self.error: NNError | None = None
        self._constraints = constraints
        self._grammar = grammar
        self._thread = threading.Thread(target=self._run, name="constraint", daemon=True)
        self._thread.start()

    def over(self, wait_s: float = 0) -> bool:
        """Whether it is done, or has failed; waits as long as that for it."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        config = genai.GenerationConfig()
        config.max_new_tokens = 1
        config.eos_token_id = 0
        config.stop_token_ids = {0}
        config.structured_output_config = genai.StructuredOutputConfig(grammar=self._grammar)
        try:
            with failures("preparing a constraint"):
                pipeline = self._constraints.pipeline
                # Not before: threads that OpenVINO starts meanwhile would be slow for replies, too.
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
                pipeline.generate(ov.Tensor(np.zeros((1, 1), np.int64)), config)
        except NNError as error:
            self.error = error


def _vocabulary_model(tokens: Sequence[bytes]) -> ov.Model:
    """
    A detokenizer from which the library reads the vocabulary, and nothing else.

    It takes what each token says from the constants of the node that is called VocabDecoder. Nothing is ever
    detokenized here, so that what the node computes does not matter.
    """
    ends = np.cumsum([len(token) for token in tokens], dtype=np.int32)  # [token]
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int32)  # [token]
    characters = np.frombuffer(b"".join(tokens), np.uint8).astype(np.int32)  # [byte]
    token_ids = op.parameter([-1, -1], np.int64, name="token_ids")
    flat = op.reshape(op.convert(token_ids, "i32"), op.constant(np.array([-1])), special_zero=False)
    decoder = op.concat([flat, *map(op.constant, (begins, ends, characters))], 0)
    decoder.set_friendly_name("VocabDecoder")
    return ov.Model([op.result(decoder)], [token_ids])


def _idle_model(vocab_size: int) -> ov.Model:
    """A language model to which all tokens are as likely."""
    inputs = [
        op.parameter(dimensions, ty, name=name)
        for name, dimensions, ty in (
            ("input_ids", [-1, -1], np.int64),
            ("attention_mask", [-1, -1], np.int64),
            ("beam_idx", [-1], np.int32),
        )
    ]
    for one in inputs:
        one.output(0).get_tensor().set_names({one.get_friendly_name()})
    dimensions = op.concat([op.shape_of(inputs[0], "i64"), op.constant(np.array([vocab_size]))], 0)
    logits = op.broadcast(op.constant(np.float32(0)), dimensions)
    logits.output(0).get_tensor().set_names({"logits"})
    return ov.Model([op.result(logits)], inputs)
