"""An engine that says what the test wants, when it wants, behind the real door."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tests.text.echo_folder import END, files
from wit_llm.backends.base import End, GraphInfo, TextInfo
from wit_llm.bell import Bell
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.options import Sampler
from wit_llm.text.formats.table import Formats
from wit_llm.text.message import Message, Role, Setup, Text
from wit_llm.text.model import Model
from wit_llm.text.session import Session
from wit_llm.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wit_llm.errors import NNError
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted
    from wit_llm.worker.client import Engine
    from wit_llm.worker.line import Listener

TOKENIZER = Tokenizer(files()["tokenizer.json"])
# A role's letter and what it said, in a row, so that token counts can be read off the text.
ROWS = "{% for m in messages %}{{ m.role[0] }}{{ m.content }};{% endfor %}{% if add_generation_prompt %}>{% endif %}"


class Told:
    """A source whose news the test brings itself."""

    def enter(self, bell: Bell, *, fetches: bool) -> None:
        """Nobody has to be told."""

    def leave(self, bell: Bell) -> None:
        """The same."""

    def fetch(self, timeout_s: float) -> None:
        """There is nothing to fetch."""


@dataclass
class Asked:
    """A request as the engine got it, and what a test lets the engine say."""

    token_ids: list[int]
    decoding: Decoding
    listener: Listener
    cancelled: threading.Event = field(default_factory=threading.Event)
    source: Told = field(default_factory=Told)

    def cancel(self) -> None:
        """As ``worker.client.Request``: asks, and does not wait."""
        self.cancelled.set()

    @property
    def text(self) -> str:
        """The prompt."""
        return TOKENIZER.decode(self.token_ids)

    def say(self, text: str) -> None:
        """Give a text's bytes, a token each, in one step."""
        self.listener.tokens(tuple(text.encode()), None, time.monotonic_ns())

    def give(self, token_ids: Sequence[int], end: End | None = None) -> None:
        """Give token ids, in one step."""
        self.listener.tokens(token_ids, end, time.monotonic_ns())

    def end(self, text: str = "", end: End = End.STOP) -> None:
        """Give the last of it."""
        stop = (END,) if end is End.STOP else ()
        self.listener.tokens((*text.encode(), *stop), end, time.monotonic_ns())

    def fail(self, error: NNError) -> None:
        """Give up."""
        self.listener.failed(error)


class ScriptedEngine:
    """
    Says nothing by itself.

    Args:
        window: Tokens of a prompt and its reply together.
        constraints: Replies can be held to them.
        speak: Handed each request before ``generate`` returns, as a quick engine may speak.
    """

    def __init__(self, window: int, speak: Callable[[Asked], None], *, constraints: bool = False) -> None:
        self.info = GraphInfo((), (), TextInfo(320, window, max_logprobs=2, constraints=constraints), any_tensors=True)
        self.asked: list[Asked] = []
        self.error: NNError | None = None
        self.speak = speak

    def generate(self, admitted: Admitted, decoding: Decoding, listener: Listener) -> Asked:
        """As ``worker.client.Engine``."""
        if self.error is not None:
            raise self.error
        token_ids = memoryview(admitted["input_ids"].data).cast("B").cast("q").tolist()
        asked = Asked(token_ids, decoding, listener)
        self.asked.append(asked)
        self.speak(asked)
        return asked


class Table:
    """
    A session with a scripted engine.

    Args:
        template: The chat template; none for a model without one.
        setup: Of the session.
        window: Of the model.
        speak: As ``ScriptedEngine``.
        limits: Of the guest.
        sampler: The model's own.
        bell: The guest's.
        stop_token_ids: Of the model.
        tokenizer: The model's; of that for each byte a token, as ``echo_folder.tokenizer`` makes it.
        special_tokens: What the template knows of it.
        formats: What the operator says of its replies.
        constraints: Replies can be held to them; the scripted engine does what the test says all the same.
    """

    def __init__(  # noqa: PLR0913 -- all that a test may want otherwise
        self,
        template: str | None = ROWS,
        *,
        setup: Setup | None = None,
        window: int = 4096,
        speak: Callable[[Asked], None] = lambda _: None,
        limits: Limits | None = None,
        sampler: Sampler | None = None,
        bell: Bell | None = None,
        constraints: bool = False,
        stop_token_ids: tuple[int, ...] = (END,),
        tokenizer: Tokenizer = TOKENIZER,
        special_tokens: Mapping[str, str] | None = None,
        formats: Formats | None = None,
    ) -> None:
        formats = formats or Formats()
        self.engine = ScriptedEngine(window, speak, constraints=constraints)
        self.model = Model(
            graph=Graph("graph", cast("Engine", self.engine), Limits(), ignore),
            name="graph",
            digest="sha256:0",
            window=window,
            tokenizer=tokenizer,
            template=template,
            tool_template=template,
            special_tokens=special_tokens or {},
            sampler=sampler or Sampler(temperature=0.0),
            stop_token_ids=stop_token_ids,
            family=None if template is None else formats.family(template),
            reasoning=None if template is None else formats.marks(template),
        )
        self.session = Session(self.model, setup or Setup(), bell or Bell(), limits or Limits())

    @property
    def asked(self) -> Asked:
        """The newest request."""
        return self.engine.asked[-1]


def message(role: str, text: str) -> Message:
    """A message as sessions make them: no part where nothing was said."""
    return Message(Role(role), (Text(text),) if text else ())


def row(messages: Sequence[Message]) -> str:
    """Messages as the template ``ROWS`` writes them."""
    return "".join(f"{m.role.value[0]}{m.text};" for m in messages)
