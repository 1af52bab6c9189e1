"""A conversation with a model: what was said, rendered anew and encoded whole at each turn."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wit_llm.errors import InvalidArgument, NNError, Overflow, QuotaExceeded, QuotaKind
from wit_llm.options import PRESETS, ByPreset, Decoding, Exact, Options
from wit_llm.text.filling import check_calls
from wit_llm.text.formats.reply import ReplyReader
from wit_llm.text.generation import Generation, Plan
from wit_llm.text.history import History
from wit_llm.text.message import (
    Call,
    Context,
    FinishReason,
    Message,
    Messages,
    OverflowPolicy,
    Raw,
    Reply,
    Resume,
    Role,
    Say,
    Text,
    Tokens,
)
from wit_llm.text.tools import CallIds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wit_llm.bell import Bell
    from wit_llm.limits import Limits
    from wit_llm.options import Sampler, Tool
    from wit_llm.text.message import Setup, Turn
    from wit_llm.text.model import Model, Wish

# What a part costs that says nothing.
_PART_BYTES = 64


class _Prompt(NamedTuple):
    """
    What a turn comes to.

    Args:
        token_ids: All of them.
        history: With the turn, its reply still to come; none for a turn that stands alone.
        joined: The reply continues the last message.
        wish: What the turn asks of the reply.
        reasons: The reply goes on inside reasoning.
    """

    token_ids: list[int]
    wish: Wish
    history: History | None = None
    joined: bool = False
    reasons: bool = False


@dataclass(frozen=True, slots=True)
class _Live:
    """A turn whose reply is being produced."""

    generation: Generation
    prompt: _Prompt


def check_prompt_bytes(messages: Iterable[Message], limits: Limits, tools: Iterable[Tool] = ()) -> None:
    """
    Look at the size of messages and tools before anything is tokenised; a part, or a tool, counts as at least 64 bytes.

    Raises:
        QuotaExceeded: They are larger than a guest's prompt may be.
    """
    if sum(map(_size_bytes, messages)) + sum(map(_tool_bytes, tools)) > limits.prompt_bytes:
        raise QuotaExceeded(QuotaKind.PROMPT_BYTES, limits.prompt_bytes)


def _size_bytes(message: Message) -> int:
    # Or else empty messages could be kept without number.
    size = sum(len(text.encode(errors="surrogatepass")) for text in message.strings)
    return max(size, _PART_BYTES * len(message.parts), _PART_BYTES)


def _tool_bytes(tool: Tool) -> int:
    return max(sum(map(len, map(str.encode, (tool.name, tool.description, tool.parameters_json_schema)))), _PART_BYTES)


class Session:
    """
    ``wit-llm:nn/prompt.session``, for one guest's thread.

    Args:
        model: Who answers.
        setup: What every turn is preceded by, and what holds where it says nothing.
        bell: The guest's.
        limits: The guest's; how many sessions and generations there are is counted elsewhere.

    Raises:
        InvalidArgument: A default is out of its range.
        Unsupported: The preamble cannot be rendered by this model, or a default option is not supported.
        QuotaExceeded: The preamble is larger than a prompt may be.
    """

    def __init__(self, model: Model, setup: Setup, bell: Bell, limits: Limits) -> None:
        if setup.defaults is not None:
            model.check_options(setup.defaults)
        check_prompt_bytes(setup.preamble, limits, () if setup.defaults is None else setup.defaults.tools)
        model.wish(setup.defaults or Options())
        model.check(setup.preamble)
        check_calls(setup.preamble)
        self._model = model
        self._setup = setup
        self._bell = bell
        self._limits = limits
        self._history = History()
        self._call_ids = CallIds()
        self._live: _Live | None = None
        self._counted: tuple[History, int] | None = None

    def start(self, turn: Turn, options: Options | None = None) -> Generation:
        """
        Begin a reply.

        Raises:
            InvalidArgument: One is being produced already, an option is out of its range, or the turn means nothing.
            Unsupported: An option, a part or a kind of turn that is not there.
            QuotaExceeded: The turn with its history is larger than a prompt may be.
            Overflow: The prompt leaves no room for one token.
            NNError: As the graph says.
        """
        began_ns = time.monotonic_ns()
        options = self._resolve(options)
        self._settle()
        prompt = self._prompt(turn, options)
        window, prompt_tokens = self._model.window, len(prompt.token_ids)
        room = window - prompt_tokens
        if room < 1:
            raise Overflow(prompt_tokens, window - 1, window)
        wanted = options.max_output_tokens or window
        plan = Plan(
            prompt_tokens=prompt_tokens,
            at_length=FinishReason.LENGTH if wanted <= room else FinishReason.CONTEXT_FULL,
            stop=options.stop,
            seed=secrets.randbits(32) if options.seed is None else options.seed,
            model_digest=self._model.digest,
            began_ns=began_ns,
            deadline_ns=None if options.deadline_ms is None else began_ns + options.deadline_ms * 1_000_000,
        )
        decoding = Decoding(
            max_new_tokens=min(wanted, room),
            stop_token_ids=() if options.ignore_eos else self._model.stop_token_ids,
            sampler=self._sampler(options),
            seed=plan.seed,
            logprobs=options.logprobs,
            cache_scope=self._bell.guest,
            constraint=prompt.wish.held,
        )
        decoder = self._model.decoder(prompt.wish, marked=prompt.history is not None)
        generation = Generation(plan, decoder, self._reader(prompt), self._bell)
        graph = self._model.graph
        generation.attach(graph.generate(graph.prompt_tensors(prompt.token_ids), decoding, generation))
        self._live = _Live(generation, prompt)
        return generation

    def ask(self, turn: Turn, options: Options | None = None) -> Reply:
        """
        Begin a reply and wait for its end.

        Raises:
            NNError: As ``start``, or what the engine failed with.
        """
        generation = self.start(turn, options)
        try:
            while not generation.next().finished:
                pass
            return Reply(generation.text, generation.message(), generation.summary())
        finally:
            generation.close()

    def append(self, messages: Sequence[Message]) -> Context:
        """
        Add messages without asking for a reply.

        Raises:
            InvalidArgument: A reply is being produced.
            Unsupported: A part that is not text, or a model without a chat template.
            QuotaExceeded: The history would be larger than a prompt may be.
        """
        self._settle()
        history = self._history.with_appended(messages)
        self._check(messages, history)
        self._history = history
        return self.context()

    def measure(self, turn: Turn, options: Options | None = None) -> int:
        """
        Count the tokens of the prompt that ``start`` would send.

        Raises:
            NNError: As ``start``; but a reply may be in the making, and no prompt has too many tokens.
        """
        options = self._resolve(options)
        self._settle(live=True)
        token_ids = self._prompt(turn, options).token_ids
        self._model.graph.check_token_ids(token_ids)
        return len(token_ids)

    def context(self) -> Context:
        """
        How full the model's window is.

        Where the template refuses what there is so far (a system message alone, say), the texts themselves are counted.
        """
        self._settle(live=True)
        if self._counted is None or self._counted[0] is not self._history:
            self._counted = (self._history, self._count(self._history))
        return Context(self._counted[1], self._model.window, self._history.dropped_turns)

    def history(self) -> tuple[Message, ...]:
        """What the model would see, without the preamble."""
        self._settle(live=True)
        return self._history.messages

    def fork(self) -> Session:
        """An independent copy, as the session was before a reply in the making."""
        self._settle(live=True)
        copy = Session(self._model, self._setup, self._bell, self._limits)
        copy._history = self._history
        copy._call_ids = CallIds(self._call_ids.count)
        return copy

    def mark(self) -> int:
        """How many messages were added so far, dropped ones included."""
        self._settle(live=True)
        return self._history.mark

    def rewind(self, mark: int) -> Context:
        """
        Keep that many messages.

        Raises:
            InvalidArgument: There are fewer, turns were dropped since, or a reply is being produced.
        """
        self._settle()
        self._history = self._history.rewound(mark)
        return self.context()

    def close(self) -> None:
        """End the session, and a reply in the making as cancelled."""
        self.interrupt()

    def interrupt(self) -> int:
        """Stop the reply in the making; returns how many that are. From any thread."""
        live = self._live
        if live is None or live.generation.over:
            return 0
        live.generation.stop()
        return 1

    # ------------------------------------------------------------ turns

    def _settle(self, *, live: bool = False) -> None:
        """
        Keep the last turn, or take it back, as soon as that is known.

        Raises:
            InvalidArgument: It is not known yet, and the caller cannot live with that.
        """
        if self._live is None:
            return
        generation, prompt = self._live.generation, self._live.prompt
        kept = generation.kept
        if kept is None:
            if not live:
                raise InvalidArgument("a reply of this session is being produced: finish, stop or drop it first")
            return
        if kept and prompt.history is not None:
            self._history = prompt.history.with_reply(generation.parts, joined=prompt.joined)
        self._live = None

    def _resolve(self, options: Options | None) -> Options:
        if options is not None:
            self._model.check_options(options)
            return options
        return self._setup.defaults if self._setup.defaults is not None else self._model.defaults

    def _sampler(self, options: Options) -> Sampler:
        match options.sampling:
            case Exact(sampler):
                return sampler
            case ByPreset(preset):
                return PRESETS[preset]
        return self._model.sampler

    def _prompt(self, turn: Turn, options: Options) -> _Prompt:
        """What a turn comes to; changes nothing."""
        check_prompt_bytes((), self._limits, options.tools)
        wish = self._model.wish(options)
        match turn:
            case Tokens() | Raw() if wish.tools is not None:
                raise InvalidArgument("tools go into the chat template, and a turn of raw text or of tokens has none")
            case Tokens(token_ids):
                prompt = _Prompt(list(token_ids), wish)
            case Raw(text):
                check_prompt_bytes([_message(text)], self._limits)
                prompt = _Prompt(self._model.tokenizer.encode(text, special=True, bos=True), wish)
            case Say(text):
                prompt = self._chat_prompt((_message(text),), options, wish)
            case Messages(messages):
                prompt = self._chat_prompt(messages, options, wish)
            case Resume(messages):
                prompt = self._chat_prompt(messages, options, wish, resumed=True)
        if not prompt.token_ids:
            raise InvalidArgument("the prompt has no token; a turn of this kind needs some text")
        return prompt

    def _chat_prompt(
        self, messages: Sequence[Message], options: Options, wish: Wish, *, resumed: bool = False
    ) -> _Prompt:
        _ = self._model.chat
        whole = self._history.with_turn(messages)
        self._check(messages, whole, options.tools)
        last = (messages or self._history.messages or (None,))[-1]
        if resumed and (last is None or last.role is not Role.ASSISTANT):
            raise InvalidArgument(
                "only the assistant's message can be continued, and the last one is not the assistant's"
            )
        if resumed and last is not None and any(isinstance(part, Call) for part in last.parts):
            raise InvalidArgument("a message that calls tools cannot be continued; answer its calls with outcomes")
        if resumed and wish.demand is not None:
            raise InvalidArgument("a message that is continued cannot be made to call; tool-choice auto and none go")
        if not self._setup.preamble and not whole.messages:
            raise InvalidArgument("there is no message to answer")
        prompt = self._with_dropped(0, messages, wish, resumed=resumed)
        if self._setup.on_overflow is OverflowPolicy.FAIL or self._fits(prompt, options):
            return prompt
        # The fewest that make it fit lie between none and all turns before this one; more turns, more tokens.
        low, high = 1, len(whole.turns) - 1
        if high < low:
            return prompt
        prompt = self._with_dropped(high, messages, wish, resumed=resumed)
        while low < high:
            middle = (low + high) // 2
            shorter = self._with_dropped(middle, messages, wish, resumed=resumed)
            if self._fits(shorter, options):
                prompt, high = shorter, middle
            else:
                low = middle + 1
        return prompt

    def _with_dropped(self, count: int, messages: Sequence[Message], wish: Wish, *, resumed: bool) -> _Prompt:
        history = self._history.without_oldest(count).with_turn(messages)
        whole = [*self._setup.preamble, *history.messages]
        chat = self._model.chat_for(whole, wish.tools)
        rendered = self._model.opened(chat.render(whole, wish.tools, opened=not resumed, resumed=resumed), wish)
        return _Prompt(chat.encode(rendered), wish, history, resumed, rendered.reasons)

    def _reader(self, prompt: _Prompt) -> ReplyReader:
        if prompt.history is None:
            return ReplyReader.of_text()
        messages = [*self._setup.preamble, *prompt.history.messages]
        taken = [part.id for message in messages for part in message.parts if isinstance(part, Call)]
        ids = self._call_ids.for_reply(taken)
        return self._model.reader(prompt.wish, ids, reasons=prompt.reasons, resumed=prompt.joined)

    def _fits(self, prompt: _Prompt, options: Options) -> bool:
        return len(prompt.token_ids) + (options.max_output_tokens or 1) <= self._model.window

    def _count(self, history: History) -> int:
        messages = [*self._setup.preamble, *history.messages]
        if not messages:
            return 0
        try:
            chat = self._model.chat_for(messages, None)
            return len(chat.encode(chat.render(messages)))
        except NNError:
            texts = [text for message in messages for text in message.strings]
            return sum(map(len, self._model.tokenizer.encode_all(texts, special=False)))

    def _check(self, messages: Sequence[Message], history: History, tools: Sequence[Tool] = ()) -> None:
        """New messages, and the history that they make; sizes before anything is looked into."""
        whole = (*self._setup.preamble, *history.messages)
        check_prompt_bytes(whole, self._limits, tools)
        self._model.check(messages)
        check_calls(whole)


def _message(text: str) -> Message:
    return Message(Role.USER, (Text(text),))
