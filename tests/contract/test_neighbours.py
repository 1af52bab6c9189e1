"""Requests that run together share weights and a cache, and nothing else."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.conftest import SETTINGS, TINY
from wit_llm.backends.table import BACKENDS
from wit_llm.bell import Bell
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.text.message import Message, Messages, Role, Say, Setup, Text
from wit_llm.text.model import Model
from wit_llm.text.session import Session
from wit_llm.worker.client import Engine, GraphSource

LINES: list[list[list[str]]] = json.loads((TINY / "lines.json").read_text())
FOLLOW_UPS = [conversation for conversation in LINES if len(conversation) > 1]
SINGLES = [conversation[0] for conversation in LINES if len(conversation) == 1]


@pytest.mark.parametrize("backend", ["openvino", pytest.param("pytorch", marks=pytest.mark.slow)])
def test_chats_that_branch_from_one_another_at_the_same_time_do_not_mix(backend: str) -> None:
    """
    Sixteen guests at once continue the same few chats, each with another question, and each has its own answer.

    Beginnings that are alike end inside a block of the engine's cache, where two requests that enter it together must
    not meet.
    """
    assert backend in BACKENDS
    engine = Engine(GraphSource("tiny", backend, TINY, settings=SETTINGS[backend]))
    model = Model.open(Graph("tiny", engine, Limits(), ignore), TINY, "tiny", "digest")
    questions = [(first, ask) for first in (c[0] for c in FOLLOW_UPS[:8]) for ask in SINGLES[:8]]
    questions += [(c[0], c[1]) for c in FOLLOW_UPS] * 2
    wrong: list[tuple[str, str, str]] = []

    def talk(case: tuple[list[str], list[str]]) -> None:
        (said, heard), (question, answer) = case
        session = Session(model, Setup(), Bell(), Limits())
        session.append([Message(Role.USER, (Text(said),)), Message(Role.ASSISTANT, (Text(heard),))])
        got = session.ask(Say(question)).text
        if got != answer:
            wrong.append((said, question, got))

    try:
        for first in (c[0] for c in FOLLOW_UPS):
            Session(model, Setup(), Bell(), Limits()).ask(
                Messages((Message(Role.USER, (Text(first[0]),)),)),
            )
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(talk, questions * 2))
    finally:
        engine.close()
    assert wrong == []
