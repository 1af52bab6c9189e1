"""Log-probabilities of tokens, and tokens that were there already: what backends tell of them, and that it is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.contract.conftest import SETTINGS, SLOW_TO_IMPORT, TINY, on
from tests.worker.asking import Heard, ask, prompt
from wit_llm.backends.base import Likelihood
from wit_llm.options import Decoding, Sampler
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from wit_llm.backends.base import Target

# What the model has never seen, so that it is not sure.
PROMPT = [5, 300, 17, 222, 91, 400]
EXACT = {"openvino": {"precision": "f32", "kv_cache_precision": "f32"}, "pytorch": {"precision": "f32"}}
RIVALS = {"openvino": 0, "pytorch": 20}
# OpenVINO's pipeline rounds activations to eight bits where the weights have those, as the embedded ones have.
OFF_BY = {"openvino": 0.1, "pytorch": 1e-3}


@pytest.fixture(scope="module", params=["openvino", SLOW_TO_IMPORT])
def exact(request: pytest.FixtureRequest, target: Target) -> Iterator[Engine]:
    """The embedded model in f32."""
    backend = request.param
    settings = {**SETTINGS[backend], **EXACT[backend]}
    engine = Engine(GraphSource(backend, backend, TINY, on(target, backend), settings))
    yield engine
    engine.close()


@pytest.fixture
def rivals(exact: Engine) -> int:
    """How many it says that it can tell of."""
    assert exact.info.text is not None
    assert exact.info.text.max_logprobs is not None
    return exact.info.text.max_logprobs


def _said(engine: Engine, decoding: Decoding, token_ids: list[int] = PROMPT) -> Heard:
    heard = ask(engine, token_ids, decoding)[0].wait()
    assert heard.error is None
    return heard


def _by_hand(engine: Engine, token_ids: list[int]) -> npt.NDArray[np.float64]:
    """The model's log-probabilities after each token that follows the prompt, ``[token, vocab]``."""
    (logits,) = engine.compute(prompt(engine, [*PROMPT, *token_ids]))
    rows = np.frombuffer(logits.tensor.data, np.float32).reshape(logits.tensor.dimensions)[0]
    rows = rows[len(PROMPT) - 1 : -1].astype(np.float64)
    rows -= rows.max(-1, keepdims=True)
    logprobs: npt.NDArray[np.float64] = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    return logprobs


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(Sampler(temperature=0.0), id="greedy"),
        pytest.param(Sampler(temperature=2.0, top_p=0.9, top_k=50), id="sampled"),
        pytest.param(Sampler(temperature=0.0, repetition_penalty=2.0, frequency_penalty=1.5), id="penalised"),
    ],
)
def test_logprobs_are_those_of_a_forward_pass(exact: Engine, rivals: int, sampler: Sampler) -> None:
    """Each token has the model's own log-probability, whatever the sampler did, and so have its likeliest rivals."""
    asked = min(3, rivals)
    heard = _said(exact, Decoding(20, (), sampler, seed=5, logprobs=asked))
    wanted, off_by = _by_hand(exact, heard.token_ids), OFF_BY[exact._source.backend]
    assert [likelihoods[0].token_id for likelihoods in heard.logprobs] == heard.token_ids
    assert [len(likelihoods) for likelihoods in heard.logprobs] == [1 + asked] * 20
    for row, (own, *others) in zip(wanted, heard.logprobs, strict=True):
        assert own.logprob == pytest.approx(row[own.token_id], rel=off_by, abs=off_by)
        best = [int(token_id) for token_id in np.argsort(-row) if token_id != own.token_id][:asked]
        assert [one.token_id for one in others] == best
        assert [one.logprob for one in others] == pytest.approx(row[best], rel=off_by, abs=off_by)


def test_a_backend_says_how_many_rivals_it_knows(exact: Engine, rivals: int) -> None:
    """OpenVINO tells of the chosen token alone; so many as a backend says, it tells of."""
    assert rivals == RIVALS[exact._source.backend]
    (likelihoods,) = _said(exact, Decoding(1, logprobs=rivals)).logprobs
    assert len(likelihoods) == 1 + rivals


def test_logprobs_change_nothing_and_come_only_where_they_are_asked_for(exact: Engine, rivals: int) -> None:
    """The same tokens with and without; requests beside each other each have their own."""
    decodings = [Decoding(12, (), Sampler(temperature=2.0), 3, logprobs=asked) for asked in (None, 0, rivals)]
    alone = [_said(exact, decoding) for decoding in decodings]
    together = [ask(exact, PROMPT, decoding)[0] for decoding in decodings]
    assert [one.wait().token_ids for one in together] == [alone[0].token_ids] * 3
    assert [[len(one) for one in heard.logprobs] for heard in together] == [[], [1] * 12, [1 + rivals] * 12]


@pytest.mark.slow
def test_pytorch_tells_of_tokens_that_were_there_in_the_same_scope() -> None:
    """A second turn finds what the first one computed; another scope finds nothing, and is told nothing."""
    engine = Engine(GraphSource("tiny", "pytorch", TINY, settings=SETTINGS["pytorch"]))
    first = _said(engine, Decoding(9, cache_scope=1))
    again = [*PROMPT, *first.token_ids, 7]
    heard = [_said(engine, Decoding(9, cache_scope=scope), again) for scope in (1, 2)]
    engine.close()
    assert first.cached_tokens == 0
    assert [one.cached_tokens for one in heard] == [len(again) - 2, 0]  # the reply's last token was never read
    assert heard[0].token_ids == heard[1].token_ids


def test_openvino_does_not_tell_of_tokens_that_were_there() -> None:
    """Where the library does not say it, nothing is said."""
    engine = Engine(GraphSource("tiny", "openvino", TINY))
    heard = [_said(engine, Decoding(2)) for _ in range(2)]
    engine.close()
    assert [one.cached_tokens for one in heard] == [None, None]


@pytest.mark.parametrize("backend", ["echo", "echo-worker"])
def test_an_echo_is_certain(backend: str) -> None:
    """There is one token to choose from."""
    engine = Engine(GraphSource("tiny", backend, TINY))
    heard = _said(engine, Decoding(3, logprobs=0))
    engine.close()
    assert heard.logprobs == [(Likelihood(token_id, 0.0),) for token_id in PROMPT[:3]]
