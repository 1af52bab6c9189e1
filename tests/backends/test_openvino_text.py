"""Text through openvino-genai: who enters the pipeline with whom, and what its prefix cache is left with."""

from __future__ import annotations

import pytest

from tests.backends.asked import EOS, TURNS, Asked
from tests.contract.conftest import TINY
from wit_llm.backends import openvino
from wit_llm.backends.base import End, Signature, Target
from wit_llm.backends.openvino import LanguageModel
from wit_llm.options import Decoding

ALL = [token_id for turn in TURNS for token_id in turn]
BLOCK = 32


def _load(**settings: str) -> Asked[LanguageModel]:
    graph = openvino.load(TINY, Target.CPU, {"precision": "f32", **settings}, Signature())
    assert isinstance(graph, LanguageModel)
    return Asked(graph)


@pytest.fixture(scope="module")
def graph() -> LanguageModel:
    """The embedded model, which reads a prompt of some length in parts that are no whole blocks."""
    return _load(max_num_batched_tokens="70").graph


@pytest.fixture
def asked(graph: LanguageModel) -> Asked[LanguageModel]:
    """The same, without anything left of earlier tests."""
    graph.reset()
    return Asked(graph)


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_prompt_that_is_cancelled_while_it_is_read_spoils_nothing(asked: Asked[LanguageModel], steps: int) -> None:
    """Whoever asks the same next hears what would have been said, as likely as it would have been."""
    prompt, decoding = ALL[:400], Decoding(20, (), logprobs=0)
    wanted = asked.add(prompt, decoding)
    asked.finish(wanted)
    asked.graph.reset()
    for first in range(3):
        asked.add([5 + first, 9, 11], Decoding(400, ()))
    while len(asked.step()) < 3:
        pass
    cancelled = asked.add(prompt, decoding)
    for _ in range(steps):
        asked.step()
    read = bool(asked.token_ids[cancelled])
    asked.graph.cancel(cancelled)
    asked.step()
    assert asked.ends[cancelled] is End.CANCELLED
    again = asked.add(prompt, decoding)
    asked.finish(again)
    assert read is (steps >= 6)
    assert asked.token_ids[again] == asked.token_ids[wanted]
    assert asked.logprobs[again] == pytest.approx(asked.logprobs[wanted], abs=1e-3)


def test_a_graph_goes_on_after_its_only_request_was_cancelled_while_its_prompt_was_read(
    asked: Asked[LanguageModel],
) -> None:
    """There is nobody then for whom the pipeline would be stepped."""
    wanted = asked.reply(TURNS[0], Decoding(20, (EOS,)))
    cancelled = asked.add(ALL[:400], Decoding(20, ()))
    asked.step()
    asked.graph.cancel(cancelled)
    asked.step()
    assert asked.ends[cancelled] is End.CANCELLED
    assert asked.reply(TURNS[0], Decoding(20, (EOS,))) == wanted


def test_requests_that_differ_early_have_their_first_tokens_in_one_step(asked: Asked[LanguageModel]) -> None:
    """Among them are some that begin alike, for a few tokens."""
    numbers = [asked.add([40 + place // 4, 50, 60 + place, 70], Decoding(5, ())) for place in range(8)]
    assert asked.step() == numbers


def test_requests_that_begin_alike_for_a_block_follow_each_other(asked: Asked[LanguageModel]) -> None:
    """The second then goes on from what the first has computed."""
    numbers = [asked.add([*ALL[:BLOCK], 60 + place], Decoding(5, ())) for place in range(3)]
    assert [asked.step() for _ in numbers] == [numbers[:1], numbers[:2], numbers]


def test_requests_that_go_on_from_one_short_prompt_follow_each_other(asked: Asked[LanguageModel]) -> None:
    """Where it ended, inside a block, they must not meet; those that share less may."""
    asked.reply(ALL[:3], Decoding(2, ()))
    alike = [asked.add([*ALL[:3], 60 + place], Decoding(5, ())) for place in range(2)]
    assert asked.step() == alike[:1]
    assert asked.step() == alike
    less = [asked.add([*ALL[:2], 60 + place], Decoding(5, ())) for place in range(2)]
    assert asked.step() == [*alike, *less]


def test_without_a_prefix_cache_all_enter_at_once() -> None:
    """There is nothing then in which they could meet."""
    asked = _load(prefix_caching="false")
    numbers = [asked.add(ALL[:BLOCK], Decoding(5, ())) for _ in range(3)]
    assert asked.step() == numbers
