"""How tests ask a graph for tokens without an engine: step by step, on the thread of the test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Generic, TypeVar

from tokenizers import Tokenizer

from tests.contract.conftest import TINY
from tests.worker.asking import row
from wit_llm.backends.base import End, Generator, Lost
from wit_llm.tensor import Admitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wit_llm.options import Decoding

EOS = 2
LINES: list[list[list[str]]] = json.loads((TINY / "lines.json").read_text())

Graph = TypeVar("Graph", bound=Generator)


def _turns() -> list[list[int]]:
    """The prompt of every turn that the embedded model knows, with what was said before it."""
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    prompts = []
    for conversation in LINES:
        text = ""
        for said, heard in conversation:
            text += f"<|user|>{said}<|end|><|assistant|>"
            prompts.append(tokenizer.encode(text, add_special_tokens=False).ids)
            text += f"{heard}<|end|>"
    return prompts


TURNS = _turns()


class Asked(Generic[Graph]):
    """A graph whose requests are numbered, and stepped until they have ended."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._number = 0
        self.token_ids: dict[int, list[int]] = {}
        self.ends: dict[int, End] = {}
        self.lost: dict[int, str] = {}
        self.logprobs: dict[int, list[float]] = {}

    def add(self, token_ids: Sequence[int], decoding: Decoding) -> int:
        """Begin a request; its number."""
        self._number += 1
        self.token_ids[self._number] = []
        self.logprobs[self._number] = []
        self.graph.add(self._number, Admitted((row("input_ids", token_ids),)), decoding)
        return self._number

    def step(self) -> list[int]:
        """One step; the requests that got a token."""
        got = []
        for one in self.graph.step():
            if isinstance(one, Lost):
                self.lost[one.request] = str(one.error)
                continue
            self.token_ids[one.request] += one.token_ids
            self.logprobs[one.request] += [chosen.logprob for chosen, *_ in one.logprobs]
            got += [one.request] * len(one.token_ids)
            if one.end is not None:
                self.ends[one.request] = one.end
        return got

    def finish(self, *numbers: int) -> list[list[int]]:
        """Step until these have ended; their tokens."""
        while not self.ends.keys() >= set(numbers):
            assert not self.lost.keys() & set(numbers), self.lost
            self.step()
        return [self.token_ids[number] for number in numbers]

    def reply(self, token_ids: Sequence[int], decoding: Decoding) -> list[int]:
        """A whole reply."""
        return self.finish(self.add(token_ids, decoding))[0]

    def replies(self, prompts: Iterable[Sequence[int]], decoding: Decoding) -> list[list[int]]:
        """Replies to prompts that are live at once, as many as there are slots for."""
        numbers = []
        for token_ids in prompts:
            while len(self.token_ids) - len(self.ends) >= self.graph.slots:
                self.step()
            numbers.append(self.add(token_ids, decoding))
        return self.finish(*numbers)
