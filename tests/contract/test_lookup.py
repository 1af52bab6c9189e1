"""Guessed tokens (``prompt_lookup``): a reply is what it is without them, in fewer steps, however it is chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import openvino_genai as genai
import pytest

from tests.contract.conftest import TINY, Tinies
from tests.worker.asking import ask
from wit_llm.backends.base import End
from wit_llm.backends.openvino_constraints import Constraints
from wit_llm.backends.openvino_settings import NGRAM_TOKENS, Settings
from wit_llm.errors import OperatorError
from wit_llm.grammar.constraint import automaton
from wit_llm.grammar.matcher import Vocabulary
from wit_llm.options import Decoding, Regex, Sampler
from wit_llm.tokenizer import Tokenizer
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator

EOS = 2
TOKENIZER = Tokenizer.load(TINY)
LINES: list[list[list[str]]] = json.loads((TINY / "lines.json").read_text())
ANSWERS = {said: heard for conversation in LINES for said, heard in conversation[:1]}
STORY = "Write a long story."
SETTINGS = {"prompt_lookup": "8", "prefix_caching": "false", "precision": "f32"}


@pytest.fixture(scope="module")
def guessing() -> Iterator[Engine]:
    """The embedded model, which guesses."""
    engine = Engine(GraphSource("guessing", "openvino", TINY, settings=SETTINGS))
    yield engine
    engine.close()


def _rendered(said: str) -> list[int]:
    return TOKENIZER.encode(f"<|user|>{said}<|end|><|assistant|>", special=True)


def test_a_text_that_repeats_itself_takes_half_the_steps(guessing: Engine) -> None:
    """The story is told word by word as without guesses, in half the steps."""
    heard = ask(guessing, _rendered(STORY), Decoding(200, (EOS,)))[0].wait()
    assert heard.token_ids == [*TOKENIZER.encode(ANSWERS[STORY], special=False), EOS]
    assert heard.end is End.STOP
    assert len(heard.times_ns) < len(heard.token_ids) / 2


def test_sixteen_at_once_say_what_each_says_alone(guessing: Engine) -> None:
    """Requests that guess together, with more tokens in a step than it may have, do not mix."""
    said = [STORY, *ANSWERS][:48]
    heard = [ask(guessing, _rendered(text), Decoding(200, (EOS,)))[0] for text in said]
    texts = [TOKENIZER.decode(one.wait().token_ids[:-1]) for one in heard]
    assert texts == [ANSWERS[text] for text in said]


@pytest.mark.parametrize(
    "decoding",
    [
        pytest.param(Decoding(60, (EOS,), Sampler(temperature=1.5), seed=3, logprobs=0), id="sampled"),
        pytest.param(Decoding(60, (), Sampler(temperature=0.0, repetition_penalty=1.3), logprobs=0), id="penalised"),
        pytest.param(Decoding(7, (EOS,), logprobs=0), id="cut-short"),
        pytest.param(
            Decoding(
                200, (EOS,), constraint=automaton(Regex("(On day [a-z]{3,6}, it learned a new word[.] ){5}The end[.]"))
            ),
            id="constrained",
        ),
    ],
)
def test_every_way_to_choose_chooses_the_same(guessing: Engine, tinies: Tinies, decoding: Decoding) -> None:
    """Seeds, penalties, limits and constraints count for guessed tokens as one by one, and so do likelihoods."""
    with_guesses, without = (
        ask(engine, _rendered(STORY), decoding)[0].wait() for engine in (guessing, tinies["openvino"])
    )
    assert with_guesses.error is None
    assert (with_guesses.token_ids, with_guesses.end) == (without.token_ids, without.end)
    for mine, wanted in zip(with_guesses.logprobs, without.logprobs, strict=True):
        assert mine[0].token_id == wanted[0].token_id
        assert mine[0].logprob == pytest.approx(wanted[0].logprob, abs=0.5)


def test_guesses_and_the_cache_of_prefixes_are_refused_together() -> None:
    """An operator who wants both is told why not."""
    with pytest.raises(
        OperatorError, match="^settings of backend 'openvino': prompt_lookup goes with prefix_caching=f"
    ):
        Engine(GraphSource("guessing", "openvino", TINY, settings={"prompt_lookup": "8"}))


def _likelihood(pipeline: genai.ContinuousBatchingPipeline, number: int, token_ids: list[int], tokens: int) -> float:
    """Of the first token of a reply that is made with guesses."""
    config = genai.GenerationConfig(max_new_tokens=tokens, logprobs=1, ignore_eos=True)
    config.num_assistant_tokens, config.max_ngram_size = 8, NGRAM_TOKENS
    handle = pipeline.add_request(number, ov.Tensor(np.array([token_ids])), config)
    logprobs: list[float] = []
    while handle.get_status() == genai.GenerationStatus.RUNNING:
        pipeline.step()
        while handle.can_read():
            logprobs += [logprob for output in handle.read().values() for logprob in output.generated_log_probs]
    return logprobs[0]


def test_library_still_keeps_wrong_guesses_in_its_cache_of_prefixes() -> None:
    """The reason for refusing them together: a prompt is answered by what another one guessed, where it has that."""
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching, scheduler.num_kv_blocks = True, 64
    exact = Settings(precision="f32", kv_cache_precision="f32").properties()
    tokenizer = Constraints(Vocabulary([b"a"] * 640, 640)).tokenizer
    new, old = (
        genai.ContinuousBatchingPipeline(str(TINY), tokenizer, scheduler, "CPU", prompt_lookup=True, **exact)
        for _ in range(2)
    )
    repeating = [440, 184, 385, 509, 483, 83, 581, 442, 422, 120, 554, 241] * 4 + [146, 65, 506]
    # The reply begins with the first four of these; the others follow the last of them in the prompt.
    guessed = [75, 353, 358, 307, 83, 581, 442, 422, 120, 554, 241, 440, 184]
    _likelihood(old, 0, repeating, 60)
    asked = [*repeating, *guessed, 11, 12, 13]
    assert abs(_likelihood(old, 1, asked, 1) - _likelihood(new, 1, asked, 1)) > 0.1
