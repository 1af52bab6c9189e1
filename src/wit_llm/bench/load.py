"""
What is asked: requests from a file, or made-up ones of a given length, and when they arrive.

A file has a line of JSON for each request, as the benchmark guest reads them; wit-llm/README.md says what it holds.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, convert
from msgspec.json import encode

from wit_llm.bell import Bell
from wit_llm.errors import OperatorError
from wit_llm.limits import Limits
from wit_llm.options import ByPreset, Options, Preset
from wit_llm.text.message import Message, Messages, Raw, Role, Say, Setup, Text, Turn
from wit_llm.text.model import Model
from wit_llm.text.session import Session

_TRIES = 100
_FILLERS = (".", ",", " a", " I", "1", " of", "x")
_SYLLABLES = (
    "ba be bi bo da de di do fa fe ga go ka ki ko la le li lo ma me mi mo na ne ni no pa pe ra re ri ro".split()
)


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a request."""

    role: Literal["system", "user", "assistant"]
    content: str


class Request(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One request, answered greedily.

    Args:
        id: Its own in a file.
        prompt: One user message; or else ``messages``, or ``raw`` text without a chat template.
        expected: The whole reply that is right; unset where nothing is.
        max_output_tokens: Unset is what the window leaves.
        ignore_eos: Go on past the end token.
        at_us: When it arrives, after the start of all; unset is as soon as its client is free.
    """

    id: str
    prompt: str | UnsetType = UNSET
    messages: Annotated[tuple[Line, ...], Meta(min_length=1)] | UnsetType = UNSET
    raw: str | UnsetType = UNSET
    expected: str | UnsetType = UNSET
    max_output_tokens: Annotated[int, Meta(ge=1, lt=1 << 32)] | UnsetType = UNSET
    ignore_eos: bool = False
    at_us: Annotated[int, Meta(ge=0, le=1 << 50)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if [self.prompt, self.messages, self.raw].count(UNSET) != 2:  # noqa: PLR2004 -- of the three
            raise ValueError("it has one of 'prompt', 'messages' and 'raw'")

    @property
    def turn(self) -> Turn:
        """What a session is asked."""
        if isinstance(self.prompt, str):
            return Say(self.prompt)
        if isinstance(self.raw, str):
            return Raw(self.raw)
        lines = self.messages or ()
        return Messages(tuple(Message(Role(line.role), (Text(line.content),)) for line in lines))

    @property
    def options(self) -> Options:
        """How it is answered."""
        return Options(
            max_output_tokens=self.max_output_tokens or None,
            sampling=ByPreset(Preset.DETERMINISTIC),
            ignore_eos=self.ignore_eos,
        )


def read_requests(path: Path) -> list[Request]:
    """
    The requests of a file.

    Raises:
        OperatorError: It cannot be read, or a line is no request; names the line.
    """
    try:
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as exc:
        raise OperatorError(f"{path}: {exc.strerror}") from exc
    requests: dict[str, Request] = {}
    for number, line in enumerate(lines, 1):
        try:
            request = convert(json.loads(line.decode(), object_pairs_hook=_object), Request)
            encode(request)  # which is what a guest reads, and does not go with half a surrogate pair
        except ValueError as exc:
            raise OperatorError(f"{path}: line {number}: {exc}") from exc
        if requests.setdefault(request.id, request) is not request:
            raise OperatorError(f"{path}: line {number}: the id {request.id!r} is an earlier line's")
        if request.at_us is not UNSET:
            raise OperatorError(
                f"{path}: line {number}: at_us is for the guest alone; arrivals are made by --rate here"
            )
    return list(requests.values())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that has each key once."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def arrivals(rate: float, count: int, seed: object) -> list[int]:
    """
    When requests arrive that know nothing of each other, a Poisson process.

    Args:
        rate: Of them in a second.
        count: How many.
        seed: Another one, other times.

    Returns:
        Microseconds after the start of all, ascending.
    """
    rng = random.Random(repr(seed))  # noqa: S311 -- no secret
    times, at_s = [], 0.0
    for _ in range(count):
        at_s += rng.expovariate(rate)
        times.append(round(at_s * 1e6))
    return times


class Prompts:
    """
    Made-up requests whose prompts have exactly so many tokens, template and all; none is made twice.

    Args:
        model: Whose tokens these are.
        prompt_tokens: Of each prompt.
        output_tokens: Of each reply.
        seed: Another one, other texts.

    Raises:
        OperatorError: Prompt and reply do not fit into the model's window, or there is no room for a text.
    """

    def __init__(self, model: Model, *, prompt_tokens: int, output_tokens: int, seed: int) -> None:
        if prompt_tokens + output_tokens > model.window:
            raise OperatorError(
                f"graph '{model.name}' has a window of {model.window} tokens, "
                f"too few for a prompt of {prompt_tokens} and a reply of {output_tokens}"
            )
        self._session = Session(model, Setup(), Bell(), Limits())
        self._bare = model.template is None
        self._prompt_tokens = prompt_tokens
        self._output_tokens = output_tokens
        self._rng = random.Random(seed)  # noqa: S311 -- no secret
        self._given: set[str] = set()
        least = self._tokens("a")
        if least > prompt_tokens:
            raise OperatorError(
                f"a prompt of {prompt_tokens} tokens: the chat template of graph '{model.name}' "
                f"makes {least} of the shortest; ask for as many at least"
            )

    def request(self) -> Request:
        """
        A new one.

        Raises:
            OperatorError: No text of that many tokens was found.
        """
        for _ in range(_TRIES):
            text = self._text()
            if text and text not in self._given:
                self._given.add(text)
                return self._request(f"made-up {len(self._given)}", text)
        raise OperatorError(f"no new text of {self._prompt_tokens} tokens was found in {_TRIES} tries")

    def _request(self, name: str, text: str) -> Request:
        prompt, raw = (UNSET, text) if self._bare else (text, UNSET)
        return Request(id=name, prompt=prompt, raw=raw, max_output_tokens=self._output_tokens, ignore_eos=True)

    def _text(self) -> str:
        """Words as many as fit, and then what is short, as long as it fits; empty where that is not exact."""
        words = [self._word() for _ in range(self._prompt_tokens)]
        low, high = 1, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._tokens(" ".join(words[:middle])) <= self._prompt_tokens
            low, high = (middle, high) if fits else (low, middle - 1)
        text = " ".join(words[:low])
        tokens = self._tokens(text)
        for filler in self._rng.choices(_FILLERS, k=2 * len(_FILLERS)):
            if tokens >= self._prompt_tokens:
                break
            longer = self._tokens(text + filler)
            if longer <= self._prompt_tokens:
                text, tokens = text + filler, longer
        return text if tokens == self._prompt_tokens else ""

    def _word(self) -> str:
        return "".join(self._rng.choices(_SYLLABLES, k=self._rng.randint(1, 4)))

    def _tokens(self, text: str) -> int:
        return self._session.measure(self._request("", text).turn)
