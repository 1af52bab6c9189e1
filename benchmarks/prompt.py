"""
What does a prompt through the packaged chat guest cost, against openvino-genai driven directly?

Both get the same token ids and have the same IR, scheduler and number of tokens to make; the end token is ignored.
Each is a process of its own, because a step of OpenVINO's holds the GIL of its process, and only one of them computes
at a time; both start anew after some pairs. Ours counts from the host's entry into `start`, so that template,
tokenizer, door and channel are in it; the other counts from the request with ready token ids. Every prompt is new to
both, so that no prefix cache helps. Bars: the first token's id of a 16-token prompt is there at most 2 ms later, and
the decode rate is at least 97 %.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from folders import add_ir_option, ir
from measure import CACHE, Bar, Of, Report, Row, in_turns, parser
from sides import Line, Side, portions

if TYPE_CHECKING:
    import openvino_genai as genai

    from wit_llm import Host

FIRST_TOKEN_BAR = Bar(Of.DIFFERENCE, at_most=2)
DECODE_BAR = Bar(Of.RATIO, at_least=0.97)
PROMPT_TOKENS = 16
REPLY_TOKENS = 128
QUICK_REPLY_TOKENS = 16
# A first token is quick to measure, and a difference wants more pairs than a ratio.
FIRST_TOKEN_ROUNDS = 3
CACHE_GB = 1


class Question(NamedTuple):
    """A prompt as text and as the token ids that it is with its template, and how many tokens to make."""

    text: str
    token_ids: list[int]
    reply_tokens: int


class Reply(NamedTuple):
    """
    What one side answered.

    Args:
        tokens: How many were made.
        first_ms: Until the first token's id was there.
        total_ms: Until the last one's was.
        whole_ms: With all that is around it: for ours, a guest's whole life.
        text: Control tokens left out.
    """

    tokens: int
    first_ms: float
    total_ms: float
    whole_ms: float
    text: str

    @property
    def tokens_per_s(self) -> float:
        """The rate after the first token."""
        return (self.tokens - 1) / (self.total_ms - self.first_ms) * 1e3


def host(folder: Path) -> Host:
    """Of ours."""
    from wit_llm import Grant, Host

    grant = Grant("model", folder, backend="openvino", settings={"cache_size_gb": str(CACHE_GB)})
    return Host([grant], cache_dir=CACHE / "wit-llm")


def guest_arguments(question: Question) -> list[str]:
    """What the packaged guest is told."""
    tokens = str(question.reply_tokens)
    return ["--ignore-eos", "--max-output-tokens", tokens, "--stats", "model", question.text]


def ours(line: Line, folder: Path) -> None:
    """Answer each question by a run of the packaged guest."""
    from wit_llm.cli.packaged import CHAT_GUEST

    with host(folder) as our_host:
        while (question := line.recv()) is not None:
            began = time.perf_counter()
            outcome = our_host.run(CHAT_GUEST, guest_arguments(question))
            whole_ms = (time.perf_counter() - began) * 1e3
            if outcome.exit_code:
                raise RuntimeError(outcome.stderr.decode())
            stats = json.loads(outcome.stderr.splitlines()[-1])
            if stats["prompt_tokens"] != len(question.token_ids):
                raise RuntimeError(f"a prompt of {len(question.token_ids)} tokens became {stats['prompt_tokens']}")
            text = outcome.stdout.decode().removesuffix("\n")
            first_ms, total_ms = stats["first_token_us"] / 1e3, stats["total_us"] / 1e3
            line.send(Reply(stats["generated_tokens"], first_ms, total_ms, whole_ms, text))


def pipeline(folder: Path) -> genai.ContinuousBatchingPipeline:
    """The library's own, set up as ours is."""
    import openvino_genai as genai

    from wit_llm.backends.openvino_settings import Settings

    settings = Settings(cache_size_gb=CACHE_GB)  # what our own backend makes its scheduler from
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = settings.cache_size_gb
    scheduler.enable_prefix_caching = settings.prefix_caching
    scheduler.max_num_batched_tokens = settings.max_num_batched_tokens
    return genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", settings.of_replies("CPU"))


def request(engine: genai.ContinuousBatchingPipeline, number: int, question: Question) -> genai.GenerationHandle:
    """A question, put to the library."""
    import openvino as ov
    import openvino_genai as genai

    config = genai.GenerationConfig()
    config.max_new_tokens = question.reply_tokens
    config.ignore_eos = True
    return engine.add_request(number, ov.Tensor(np.array([question.token_ids], np.int64)), config)


def direct(line: Line, folder: Path) -> None:
    """Answer each question by a request of openvino-genai's, stepped until it is finished."""
    from openvino_genai import GenerationStatus
    from tokenizers import Tokenizer

    engine = pipeline(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    number = 0
    while (question := line.recv()) is not None:
        number += 1
        token_ids: list[int] = []
        first = 0.0
        began = time.perf_counter()
        handle = request(engine, number, question)
        while handle.get_status() == GenerationStatus.RUNNING:
            engine.step()
            while handle.can_read():
                for output in handle.read().values():
                    token_ids += output.generated_ids
                first = first or time.perf_counter()
        total_ms = (time.perf_counter() - began) * 1e3
        line.send(Reply(len(token_ids), (first - began) * 1e3, total_ms, total_ms, tokenizer.decode(token_ids)))


class Asked(Protocol):
    """Where questions come from."""

    def question(self, number: int, reply_tokens: int) -> Question:
        """The question of a round; both sides get the same."""


class Questions:
    """
    Prompts of made-up words, each new to whom it is put to.

    Token ids are those of transformers, so that ours are compared with somebody else's.

    Args:
        folder: The model's.
    """

    def __init__(self, folder: Path) -> None:
        from made_up import words
        from transformers import AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._words = words(5_000, seed=1)
        self._rng = np.random.default_rng(0)
        self._asked: dict[tuple[int, int], Question] = {}

    def question(self, number: int, reply_tokens: int) -> Question:
        """The question of a round; both sides get the same."""
        if (number, reply_tokens) not in self._asked:
            self._asked[number, reply_tokens] = self._new(reply_tokens)
        return self._asked[number, reply_tokens]

    def _new(self, reply_tokens: int) -> Question:
        while True:
            text = " ".join(self._rng.choice(self._words, self._rng.integers(1, PROMPT_TOKENS)))
            messages = [{"role": "user", "content": text}]
            encoded: Mapping[str, list[int]] = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_dict=True
            )
            if len(encoded["input_ids"]) == PROMPT_TOKENS:
                return Question(text, encoded["input_ids"], reply_tokens)


def put(side: Side, questions: Asked, reply_tokens: int, number: int) -> Reply:
    """Put the question of a round, and wait for the answer."""
    reply: Reply = side.answer(questions.question(number, reply_tokens))
    if reply.tokens != reply_tokens:
        raise RuntimeError(f"{side.name} made {reply.tokens} tokens of {reply_tokens}")
    return reply


def _rounds(
    sides: tuple[Side, Side], questions: Questions, reply_tokens: int, numbers: range
) -> list[tuple[Reply, Reply]]:
    """The same questions to both sides in turns, and the same answers."""
    left, right = (partial(put, side, questions, reply_tokens) for side in sides)
    rounds = list(in_turns(left, right, len(numbers), first=numbers.start, warm_ups=2))
    for a, b in rounds:
        if a.text != b.text:
            raise RuntimeError(f"the answers differ: {a.text!r} is ours, {b.text!r} the other")
    return rounds


def main() -> int:
    """Measure first tokens, then whole replies."""
    options = parser(__doc__)
    add_ir_option(options)
    arguments = options.parse_args()
    reply_tokens = QUICK_REPLY_TOKENS if arguments.quick else REPLY_TOKENS
    folder = ir(arguments)
    sizes = {"model": folder.name, "prompt_tokens": PROMPT_TOKENS, "reply_tokens": reply_tokens}
    report = Report(__doc__, arguments, sizes)
    questions = Questions(folder)
    first: list[tuple[Reply, Reply]] = []
    whole: list[tuple[Reply, Reply]] = []
    for numbers in portions(report.pairs):
        with closing(Side.start(ours, folder)) as left, closing(Side.start(direct, folder)) as right:
            sides = left, right
            many = range(numbers.start * FIRST_TOKEN_ROUNDS, numbers.stop * FIRST_TOKEN_ROUNDS)
            first += _rounds(sides, questions, 1, many)
            whole += _rounds(sides, questions, reply_tokens, numbers)
    report.add(Row("first token's id", "ms", "direct", [(a.first_ms, b.first_ms) for a, b in first], FIRST_TOKEN_BAR))
    report.add(
        Row("decode rate", "tokens/s", "direct", [(a.tokens_per_s, b.tokens_per_s) for a, b in whole], DECODE_BAR)
    )
    report.add(Row("a guest's whole run", "ms", "direct", [(a.whole_ms, b.whole_ms) for a, b in whole]))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
