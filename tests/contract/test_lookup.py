"""Guessed tokens (``prompt_lookup``): a reply is what it is without them, in fewer steps, however it is chosen."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import openvino.opset13 as opset
import openvino_genai as genai
import pytest
from openvino.op.util import Variable, VariableInfo

from tests.backends.asked import Asked
from tests.contract.conftest import TINY, Tinies
from tests.worker.asking import ask
from wit_llm.backends import openvino
from wit_llm.backends.base import End, Signature, Target
from wit_llm.backends.openvino import LanguageModel
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
    from pathlib import Path

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


def test_forty_eight_at_once_say_what_each_says_alone(guessing: Engine) -> None:
    """Requests that guess together, more of them than have their guesses in one step, do not mix."""
    said = [STORY, *ANSWERS][:48]
    heard = [ask(guessing, _rendered(text), Decoding(200, (EOS,)))[0] for text in said]
    texts = [TOKENIZER.decode(one.wait().token_ids[:-1]) for one in heard]
    assert texts == [ANSWERS[text] for text in said]


@pytest.mark.parametrize(
    ("settings", "slots"),
    [
        pytest.param({}, 28, id="default"),
        pytest.param({"max_num_batched_tokens": "64"}, 7, id="short-steps"),
        pytest.param({"max_num_batched_tokens": "9"}, 1, id="one-by-one"),
        pytest.param({"max_num_seqs": "4", "max_num_batched_tokens": "64"}, 4, id="few"),
    ],
)
def test_as_many_go_at_once_as_have_their_guesses_in_a_step(settings: dict[str, str], slots: int) -> None:
    """With as many as the graph says it has room for, all stories come as they are, however few tokens a step has."""
    graph = openvino.load(TINY, Target.CPU, {**SETTINGS, **settings}, Signature())
    assert isinstance(graph, LanguageModel)
    assert graph.slots == slots
    said = [STORY, *ANSWERS]
    heard = Asked(graph).replies([_rendered(text) for text in said], Decoding(200, (EOS,)))
    assert [TOKENIZER.decode(token_ids[:-1]) for token_ids in heard] == [ANSWERS[text] for text in said]


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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"prompt_lookup": "8"}, "prompt_lookup goes with prefix_caching=false only", id="prefixes"),
        pytest.param({**SETTINGS, "cache_size_gb": "1"}, "prompt_lookup goes without cache_size_gb only", id="size"),
        pytest.param(
            {**SETTINGS, "max_num_batched_tokens": "8"},
            "prompt_lookup=8 and the token before them are more than max_num_batched_tokens=8",
            id="steps",
        ),
    ],
)
def test_what_does_not_go_with_guesses_is_refused(settings: dict[str, str], told: str) -> None:
    """An operator who wants both is told why not."""
    with pytest.raises(OperatorError, match=f"^settings of backend 'openvino': {told}"):
        Engine(GraphSource("guessing", "openvino", TINY, settings=settings))


def test_a_model_that_cannot_forget_a_guess_is_refused(tmp_path: Path) -> None:
    """A state that is not a token's own, as recurrent layers have it, would keep what was guessed wrongly."""
    folder = shutil.copytree(TINY, tmp_path / "recurrent")
    model = ov.Core().read_model(TINY / "openvino_model.xml")
    info = VariableInfo()
    info.variable_id, info.data_shape, info.data_type = "conv", ov.PartialShape([1, 4, 8]), ov.Type.f32
    variable = Variable(info)
    state = opset.read_value(opset.constant(np.zeros((1, 4, 8), np.float32)), variable)
    model.add_variables([variable])
    model.add_sinks([opset.assign(state, variable)])
    ov.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    with pytest.raises(OperatorError, match="prompt_lookup goes with models only .* 'conv' of the shape .1,4,8.$"):
        openvino.load(folder, Target.CPU, SETTINGS, Signature())


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


@pytest.mark.parametrize(
    ("blocks", "tokens"), [pytest.param(64, 64, id="short-steps"), pytest.param(6, 256, id="small-cache")]
)
def test_library_still_says_what_it_had_no_room_to_look_at(blocks: int, tokens: int) -> None:
    """The reason for slots, and for a cache that grows: guesses that had to wait are part of the reply."""
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching, scheduler.num_kv_blocks, scheduler.max_num_batched_tokens = False, blocks, tokens
    exact = Settings(precision="f32", kv_cache_precision="f32").properties()
    tokenizer = Constraints(Vocabulary([b"a"] * 640, 640)).tokenizer
    pipeline = genai.ContinuousBatchingPipeline(str(TINY), tokenizer, scheduler, "CPU", prompt_lookup=True, **exact)
    config = genai.GenerationConfig(max_new_tokens=200, eos_token_id=EOS, stop_token_ids={EOS})
    config.num_assistant_tokens, config.max_ngram_size = 2 if blocks == 6 else 8, NGRAM_TOKENS
    said = [STORY, *ANSWERS]
    handles = [
        pipeline.add_request(number, ov.Tensor(np.array([_rendered(text)])), config) for number, text in enumerate(said)
    ]
    while pipeline.has_non_finished_requests():
        pipeline.step()
    heard = [handle.read_all()[0].generated_ids for handle in handles]
    wanted = [[*TOKENIZER.encode(ANSWERS[text], special=False), EOS] for text in said]
    assert 0 < sum(one != other for one, other in zip(heard, wanted, strict=True)) < len(said)


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
