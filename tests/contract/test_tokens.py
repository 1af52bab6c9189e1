"""What every backend that generates does with a prompt: the same tokens as its own logits say, and every option."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.contract.conftest import SETTINGS, TINY, Tinies
from tests.worker.asking import SOON_S, ask, generate, prompt, row
from wit_llm.backends import openvino as openvino_backend
from wit_llm.backends.base import End, Progress, Signature, Target, TextInfo
from wit_llm.errors import BackendFailure, TooLarge
from wit_llm.options import Decoding, Sampler
from wit_llm.tensor import Admitted, TensorSpec, TensorType
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator

EOS = 2


def _rendered(question: str) -> list[int]:
    """A prompt that the model knows, as its template renders it."""
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    token_ids: list[int] = tokenizer.encode(f"<|user|>{question}<|end|><|assistant|>", add_special_tokens=False).ids
    return token_ids


PROMPTS = [_rendered("What is the capital of France?"), _rendered("What is two plus two?")]
GREEDY = Decoding(40, (EOS,))
WARM = Sampler(temperature=2.0)


def _by_hand(engine: Engine, token_ids: list[int], count: int) -> list[int]:
    """Greedy decoding as a guest does it: a raw compute of all tokens for each new one."""
    known = list(token_ids)
    while len(known) < len(token_ids) + count:
        (logits,) = engine.compute(prompt(engine, known))
        rows = np.frombuffer(logits.tensor.data, np.float32).reshape(logits.tensor.dimensions)
        known.append(int(rows[0, -1].argmax()))  # [batch, tokens, vocab]
    return known[len(token_ids) :]


def test_says_what_a_prompt_becomes(tiny: Engine) -> None:
    """A language model declares token ids in, logits out, its vocabulary and its window; no state shows."""
    row = (None, None)
    ids = [TensorSpec(name, TensorType.I64, row) for name in ("input_ids", "attention_mask", "position_ids")]
    assert tiny.info.inputs in (tuple(ids), tuple(ids[:2]))
    assert tiny.info.outputs == (TensorSpec("logits", TensorType.FP32, (None, None, 640)),)
    # How many log-probabilities a backend knows is for ``test_logprobs.py``.
    assert tiny.info.text is not None
    assert replace(tiny.info.text, max_logprobs=None) == TextInfo(640, 1024, scores=True, constraints=True)
    assert not tiny.info.any_tensors


@pytest.mark.parametrize("token_ids", PROMPTS, ids=["capital", "sum"])
def test_generates_what_raw_compute_says(tiny: Engine, token_ids: list[int]) -> None:
    """Greedy generation is the repeated argmax of the logits that raw compute gives for the same tensors."""
    generated, end = generate(tiny, token_ids, GREEDY)
    assert (generated[-1], end) == (EOS, End.STOP)
    assert generated == _by_hand(tiny, token_ids, len(generated))


def test_raw_compute_keeps_nothing(tiny: Engine) -> None:
    """The logits of a prompt do not depend on what was computed or generated before."""
    first, second = (prompt(tiny, token_ids) for token_ids in PROMPTS)
    alone = bytes(tiny.compute(first)[0].tensor.data)
    tiny.compute(second)
    generate(tiny, PROMPTS[1], GREEDY)
    assert bytes(tiny.compute(first)[0].tensor.data) == alone


@pytest.mark.slow
def test_backends_agree(tinies: Tinies) -> None:
    """The same model says the same on both backends, greedily."""
    said = [[generate(tinies[backend], token_ids, GREEDY) for token_ids in PROMPTS] for backend in SETTINGS]
    assert said[0] == said[1]


@pytest.mark.parametrize("sampler", [pytest.param(GREEDY.sampler, id="greedy"), pytest.param(WARM, id="sampled")])
def test_many_requests_do_not_change_each_other(tiny: Engine, sampler: Sampler) -> None:
    """A request among others gets the tokens that it gets alone, sampled ones too."""
    decodings = [Decoding(30, (), sampler, seed) for seed in range(6)]
    alone = [generate(tiny, PROMPTS[seed % 2], decoding)[0] for seed, decoding in enumerate(decodings)]
    heard = [ask(tiny, PROMPTS[seed % 2], decoding)[0] for seed, decoding in enumerate(decodings)]
    assert [one.wait().token_ids for one in heard] == alone


@pytest.mark.parametrize("count", [1, 2, 17, 64])
def test_stops_after_exactly_as_many_tokens(tiny: Engine, count: int) -> None:
    """Without stop tokens there are as many tokens as asked for, also past what the model ends with by itself."""
    generated, end = generate(tiny, PROMPTS[0], Decoding(count))
    assert (len(generated), end) == (count, End.LENGTH)
    assert (EOS in generated) == (count >= len(generate(tiny, PROMPTS[0], GREEDY)[0]))


def test_a_stop_token_is_the_last_and_is_reported(tiny: Engine) -> None:
    """Any token can be a stop token, the first of them ends the reply, and it counts."""
    whole, _ = generate(tiny, PROMPTS[0], GREEDY)
    assert generate(tiny, PROMPTS[0], Decoding(40, (EOS, whole[3], 600))) == (whole[:4], End.STOP)
    assert generate(tiny, PROMPTS[0], Decoding(4, (whole[3],))) == (whole[:4], End.STOP)
    assert generate(tiny, PROMPTS[0], Decoding(3, (whole[3],))) == (whole[:3], End.LENGTH)


def test_the_models_own_stop_tokens_do_not_count(tiny: Engine) -> None:
    """Only those that the request names end it, whatever the model's files say."""
    generated, end = generate(tiny, PROMPTS[0], Decoding(40, (639,)))
    assert (len(generated), end) == (40, End.LENGTH)
    assert EOS in generated


def test_seeds_repeat_and_differ(tiny: Engine) -> None:
    """A seed says the same again, another seed something else, and the largest seed is a seed."""
    seeds, dice = [0, 1, 2**32 - 1], _rendered("Roll five dice.")
    first = [generate(tiny, dice, Decoding(30, (), WARM, seed))[0] for seed in seeds]
    assert [generate(tiny, dice, Decoding(30, (), WARM, seed))[0] for seed in seeds] == first
    assert len({tuple(token_ids) for token_ids in first}) == 3


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(Sampler(temperature=2.0, top_k=1), id="top-k"),
        pytest.param(Sampler(temperature=2.0, top_p=1e-6), id="top-p"),
        pytest.param(Sampler(temperature=2.0, min_p=1.0), id="min-p"),
        pytest.param(Sampler(temperature=0.01), id="temperature"),
        pytest.param(Sampler(temperature=1e-45), id="the-least-temperature-that-is-none"),
        pytest.param(Sampler(temperature=0.0, top_k=5, top_p=0.5, min_p=0.1), id="greedy-before-all"),
    ],
)
def test_options_that_leave_one_token_are_greedy(tiny: Engine, sampler: Sampler) -> None:
    """Each option that narrows the choice narrows it to the likeliest token at its end."""
    greedy = generate(tiny, PROMPTS[0], GREEDY)
    assert generate(tiny, PROMPTS[0], replace(GREEDY, sampler=sampler, seed=3)) == greedy


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(Sampler(temperature=2.0, top_k=2), id="top-k"),
        pytest.param(Sampler(temperature=2.0, top_p=0.5), id="top-p"),
        pytest.param(Sampler(temperature=2.0, min_p=0.5), id="min-p"),
        pytest.param(Sampler(temperature=0.7), id="temperature"),
        pytest.param(Sampler(temperature=2.0, repetition_penalty=2.0), id="repetition-penalty"),
        pytest.param(Sampler(temperature=2.0, presence_penalty=2.0), id="presence-penalty"),
        pytest.param(Sampler(temperature=2.0, frequency_penalty=2.0), id="frequency-penalty"),
    ],
)
def test_every_option_changes_what_is_said(tiny: Engine, sampler: Sampler) -> None:
    """No option is ignored: with the same seeds, each one leads elsewhere than the neutral sampler."""

    def said(sampler: Sampler) -> list[list[int]]:
        heard = [ask(tiny, PROMPTS[0], Decoding(100, (), sampler, seed))[0] for seed in range(4)]
        return [one.wait().token_ids for one in heard]

    assert said(sampler) != said(WARM)


def test_no_sampler_is_the_neutral_one(tiny: Engine) -> None:
    """Where nothing is given, tokens are sampled at temperature 1, with all of the vocabulary."""
    neutral = Sampler(1.0, 1.0, 640, 0.0, 1.0, 0.0, 0.0)
    assert generate(tiny, PROMPTS[0], Decoding(30, (), Sampler(), 1)) == generate(
        tiny, PROMPTS[0], Decoding(30, (), neutral, 1)
    )


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(Sampler(temperature=0.0, repetition_penalty=2.0), id="repetition-penalty"),
        pytest.param(Sampler(temperature=0.0, presence_penalty=2.0), id="presence-penalty"),
        pytest.param(Sampler(temperature=0.0, frequency_penalty=2.0), id="frequency-penalty"),
    ],
)
def test_penalties_hold_for_greedy_too(tiny: Engine, sampler: Sampler) -> None:
    """A penalty turns a greedy reply away from the tokens that it has said."""
    plain, _ = generate(tiny, PROMPTS[0], Decoding(200))
    penalised, _ = generate(tiny, PROMPTS[0], Decoding(200, (), sampler))
    assert penalised != plain


def test_cancel_frees_the_slot(tiny_with_one_slot: Engine) -> None:
    """With one slot, a request that waits begins as soon as the live one is cancelled."""
    live, request = ask(tiny_with_one_slot, PROMPTS[0], Decoding(900))
    assert live.first.wait(SOON_S)
    waiting, _ = ask(tiny_with_one_slot, PROMPTS[1], GREEDY)
    request.cancel()
    assert live.wait().end is End.CANCELLED
    assert 0 < len(live.token_ids) < 900
    assert waiting.wait().end is End.STOP


@pytest.fixture
def openvino() -> Iterator[Engine]:
    """An engine for one test alone."""
    engine = Engine(GraphSource("tiny", "openvino", TINY))
    yield engine
    engine.close()


def test_a_worker_killed_in_mid_reply_fails_it_and_is_replaced(openvino: Engine) -> None:
    """The reply ends with a typed error, and the next one is as if nothing had been."""
    before = generate(openvino, PROMPTS[0], GREEDY)
    live, _ = ask(openvino, PROMPTS[0], Decoding(900))
    assert live.first.wait(SOON_S)
    assert openvino.pid is not None
    os.kill(openvino.pid, signal.SIGKILL)
    error = live.wait().error
    assert type(error) is BackendFailure
    assert str(error) == "the worker of graph 'tiny' died (signal 9); ask again"
    assert generate(openvino, PROMPTS[0], GREEDY) == before


@pytest.mark.slow
def test_openvino_says_when_its_cache_is_too_small(openvino: Engine) -> None:
    """What the library ends in silence is a typed error here, and harms no later request."""
    with pytest.raises(TooLarge, match="^the prompt and its reply do not fit into the KV cache of the graph$"):
        generate(openvino, PROMPTS[0] * 1700, Decoding(1))
    assert generate(openvino, PROMPTS[0], GREEDY)[1] is End.STOP


def _step_often(model: openvino_backend.LanguageModel) -> None:
    for _ in range(50):
        model.step()


def test_openvino_is_as_new_after_a_failure() -> None:
    """A pipeline that a step has broken is replaced: what came after the failure is generated as before it."""
    model = openvino_backend.load(TINY, Target.CPU, {}, Signature())
    assert isinstance(model, openvino_backend.LanguageModel)
    tensors = Admitted((row("input_ids", PROMPTS[0]),))

    def generated(request: int) -> list[int]:
        model.add(request, tensors, GREEDY)
        token_ids: list[int] = []
        while True:
            (one,) = model.step()
            assert isinstance(one, Progress)
            token_ids += one.token_ids
            if one.end is not None:
                return token_ids

    before = generated(1)
    model.add(2, tensors, GREEDY)
    model.step()
    kept = model._live[2]  # or the library would take it for cancelled
    model.add(2, tensors, GREEDY)  # which it does not survive
    with pytest.raises(BackendFailure, match="^generating failed in OpenVINO: "):
        _step_often(model)
    del kept
    model.reset()
    assert model.step() == []
    assert generated(3) == before
