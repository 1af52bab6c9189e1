"""A graph that can be prompted: its tokenizer, chat template and defaults, as its folder has them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wit_llm.errors import InvalidArgument, InvalidEncoding, NotPromptable, Unsupported
from wit_llm.options import Exact, OnlyTool, Options, RequiredTool, Sampler
from wit_llm.text.beside import making_a_tokenizer, said_by_gguf
from wit_llm.text.chat_templates import DEFAULT, TOOL_USE, chat_templates
from wit_llm.text.filling import check_calls, check_parts
from wit_llm.text.formats.reasoning import Thinking
from wit_llm.text.formats.reply import ReplyReader
from wit_llm.text.formats.table import FAMILIES, Formats, renders_tools
from wit_llm.text.message import Call, Outcome, Role
from wit_llm.text.tools import read_tools
from wit_llm.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from wit_llm.decoder import Decoder
    from wit_llm.grammar.automaton import Automaton
    from wit_llm.graph import Graph
    from wit_llm.options import Constraint, Tool
    from wit_llm.text.chat import Chat
    from wit_llm.text.formats.base import Demand, Family
    from wit_llm.text.formats.reasoning import Marks
    from wit_llm.text.guard import Rendered
    from wit_llm.text.message import Message
    from wit_llm.text.tools import Tools

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# States of a constraint that let many tokens through, times tokens: what an engine may have to prepare. That takes two
# seconds or so, for which its own reply waits and no other.
_MOST_PREPARED = 1 << 24


class Capability(Enum):
    """``wit-llm:nn/prompt.capability``, in the order of the WIT."""

    CHAT = "chat"
    RAW = "raw"
    MEDIA = "media"
    TOOLS = "tools"
    REASONING = "reasoning"
    JSON_SCHEMA = "json-schema"
    REGEX = "regex"
    CHOICE = "choice"
    GRAMMAR = "grammar"
    SEED = "seed"
    EMBEDDINGS = "embeddings"
    SCORING = "scoring"


_CONSTRAINTS = (Capability.JSON_SCHEMA, Capability.REGEX, Capability.CHOICE, Capability.GRAMMAR)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """``wit-llm:nn/prompt.model-info``; ``can`` in the order of the WIT."""

    name: str
    digest: str
    context_window: int
    can: tuple[Capability, ...]
    max_logprobs: int | None
    defaults: Options


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What a turn asks of its reply.

    Args:
        tools: What it may call.
        demand: That it has to call.
        held: What it may say.
    """

    tools: Tools | None = None
    demand: Demand | None = None
    held: Automaton | None = None


@dataclass(frozen=True)
class Model:
    """
    A promptable graph; any thread may use it.

    Args:
        graph: What generates.
        name: As granted.
        digest: Of the folder.
        window: Tokens that it can hold.
        tokenizer: Its own.
        template: Of a chat; none where it only goes on with text.
        tool_template: Of its turns with tools; of most models the same.
        special_tokens: What the template knows as ``bos_token``, ``eos_token`` and so on.
        sampler: How it is sampled by default.
        stop_token_ids: Tokens that end a reply.
        family: How it writes calls; none where it takes no tools.
        reasoning: How it marks what it thinks; none where it does not.
    """

    graph: Graph
    name: str
    digest: str
    window: int
    tokenizer: Tokenizer
    template: str | None
    tool_template: str | None
    special_tokens: Mapping[str, str]
    sampler: Sampler
    stop_token_ids: tuple[int, ...]
    family: Family | None = None
    reasoning: Marks | None = None

    @classmethod
    def open(cls, graph: Graph, folder: Path, name: str, digest: str, formats: Formats | None = None) -> Model:
        """
        Read what a folder has beside the graph.

        Args:
            graph: What generates.
            folder: The graph's.
            name: As granted.
            digest: Of the folder.
            formats: What the operator says of its replies; none to go by its template.

        Raises:
            NotPromptable: The graph takes tensors only, or there is no tokenizer.
            InvalidEncoding: A file is not what it should be.
        """
        if graph.info.encodes is not None:
            raise NotPromptable(f"graph '{name}' makes vectors of texts (wit-llm:nn/embed) and no replies")
        if graph.info.text is None:
            raise NotPromptable(f"graph '{name}' takes tensors only")
        if not (folder / "tokenizer.json").is_file():
            raise NotPromptable(f"graph '{name}' has no tokenizer.json in its folder; {making_a_tokenizer(folder)}")
        tokenizer = Tokenizer.load(folder)
        said = said_by_gguf(folder, tokenizer)
        tokenizer_config = {**said, **_read_json(folder / "tokenizer_config.json")}
        generation_config = _read_json(folder / "generation_config.json")
        special_tokens = _special_tokens({**_read_json(folder / "special_tokens_map.json"), **tokenizer_config})
        stop_token_ids = _token_ids(generation_config, "generation_config.json")
        if stop_token_ids is None:
            stop_token_ids = _token_ids(_read_json(folder / "config.json"), "config.json")
        if stop_token_ids is None:
            stop_token_ids = _token_ids(said, "the GGUF file")
        if stop_token_ids is None:
            own = tokenizer.control_tokens.get(special_tokens.get("eos_token", ""))
            stop_token_ids = () if own is None else (own,)
        templates = chat_templates(folder, tokenizer_config)
        template = templates.get(DEFAULT)
        tool_template = templates.get(TOOL_USE, template)
        formats = formats or Formats()
        return cls(
            graph=graph,
            name=name,
            digest=digest,
            window=graph.info.text.context_window,
            tokenizer=tokenizer,
            template=template,
            tool_template=tool_template,
            special_tokens=special_tokens,
            sampler=_sampler(generation_config),
            stop_token_ids=stop_token_ids,
            family=None if tool_template is None else formats.family(tool_template),
            reasoning=None if template is None else formats.marks(f"{template}\n{tool_template}"),
        )

    @property
    def defaults(self) -> Options:
        """What holds where neither a turn nor a session says anything."""
        return Options(sampling=Exact(self.sampler))

    @property
    def max_logprobs(self) -> int | None:
        """Rivals of a chosen token that can be told of; none where its own log-probability cannot be told either."""
        return None if self.graph.info.text is None else self.graph.info.text.max_logprobs

    def check_options(self, options: Options) -> None:
        """
        Whether this model can do what options ask for.

        Raises:
            InvalidArgument: One is out of its range.
            Unsupported: One asks for what is not there.
        """
        options.check()
        asked, most = options.logprobs, self.max_logprobs
        if asked is not None and (most is None or asked > most):
            there = "no log-probabilities" if most is None else f"those of the chosen token and of {most} rivals"
            raise Unsupported(f"options.logprobs: {asked} is not supported by graph '{self.name}', which has {there}")

    def describe(self) -> ModelInfo:
        """What a guest can know of it."""
        chat = (Capability.CHAT,) if self.template is not None else ()
        scoring = (Capability.SCORING,) if self.graph.info.text and self.graph.info.text.scores else ()
        tools = (Capability.TOOLS,) if self.family is not None else ()
        reasoning = (Capability.REASONING,) if self.reasoning is not None else ()
        constraints = _CONSTRAINTS if self.constrains else ()
        can = (*chat, Capability.RAW, *tools, *reasoning, *constraints, Capability.SEED, *scoring)
        return ModelInfo(self.name, self.digest, self.window, can, self.max_logprobs, self.defaults)

    @property
    def constrains(self) -> bool:
        """Whether a reply can be held to a constraint: there has to be an end token, too."""
        return self.graph.info.text is not None and self.graph.info.text.constraints and bool(self.stop_token_ids)

    def automaton(self, constraint: Constraint | None) -> Automaton | None:
        """
        What a constraint lets a reply say.

        Raises:
            InvalidArgument: It means nothing, or is too large.
            Unsupported: The graph has no constraints, or not this one.
        """
        if constraint is None:
            return None
        if not self.constrains:
            why = "its backend has none" if self.stop_token_ids else "it has no end token"
            raise Unsupported(f"options.constraint is not supported by graph '{self.name}': {why}")
        from wit_llm.grammar.constraint import automaton

        found = automaton(constraint)
        most = _MOST_PREPARED // self.tokenizer.vocab_size
        if found.open_states > most:
            raise InvalidArgument(
                f"the constraint is too large for graph '{self.name}': it has {found.open_states} places that many "
                f"characters lead through, and at most {most} go; fewer classes of characters take fewer"
            )
        return found

    @cached_property
    def chat(self) -> Chat:
        """
        What makes messages into the prompt of a turn without tools.

        Raises:
            Unsupported: The folder has no chat template.
            InvalidEncoding: The template is not Jinja.
        """
        return self._chat(self.template)

    @cached_property
    def tool_chat(self) -> Chat:
        """
        The same with tools.

        Raises:
            NNError: As ``chat``.
        """
        return self.chat if self.tool_template == self.template else self._chat(self.tool_template)

    def _chat(self, template: str | None) -> Chat:
        if template is None:
            raise Unsupported(f"graph '{self.name}' has no chat template; it takes turns of raw text and of tokens")
        from wit_llm.text.chat import Chat

        return Chat(self.tokenizer, template, self.special_tokens, self.reasoning)

    def chat_for(self, messages: Sequence[Message], tools: Tools | None) -> Chat:
        """
        What makes messages that passed ``check`` into the prompt of a turn with these tools.

        Raises:
            NNError: As ``chat``; or there are calls, and its template has a place for them in turns with tools only.
        """
        if tools is not None:
            return self.tool_chat
        if self.tool_template != self.template and _calls(messages) and not _renders_calls(self.template):
            raise Unsupported(
                f"the chat template of graph '{self.name}' for turns without tools has no place for calls and their "
                "outcomes; lend the turn its tools"
            )
        return self.chat

    def check(self, messages: Sequence[Message]) -> None:
        """
        Whether messages can be part of a conversation with this model.

        Raises:
            Unsupported: It has no chat template, or none with a place for a part.
            InvalidArgument: A part that its role does not have.
        """
        if messages:
            _ = self.chat
        check_parts(messages)
        if _calls(messages) and not _renders_calls(self.tool_template):
            raise Unsupported(f"the chat template of graph '{self.name}' has no place for calls and their outcomes")

    def tools(self, options: Options) -> Tools | None:
        """
        The tools that a turn lends this model; none where it is to know of none.

        Raises:
            InvalidArgument: As ``read_tools``.
            Unsupported: It takes none, or cannot be made to call.
        """
        tools = read_tools(options.tools, options.tool_choice)
        if tools is not None and self.family is None:
            raise Unsupported(self._why_no_tools())
        if tools is not None and options.constraint is not None:
            raise InvalidArgument(
                "a constraint holds for the whole reply and leaves no room for calls; give one of them"
            )
        return tools

    def wish(self, options: Options) -> Wish:
        """
        What a turn asks of its reply.

        Raises:
            InvalidArgument: As ``tools`` and ``automaton``; or what is to have an end is to go on past it.
            Unsupported: The same, or the model's format cannot be held to a call.
        """
        tools = self.tools(options)
        demand = self._demand(tools, options)
        held = self.automaton(options.constraint if demand is None else demand.constraint)
        return Wish(tools, demand, held)

    def _demand(self, tools: Tools | None, options: Options) -> Demand | None:
        choice = options.tool_choice
        if tools is None or not isinstance(choice, RequiredTool | OnlyTool):
            return None
        if options.ignore_eos:
            raise InvalidArgument("ignore-eos goes on past the end, and a call that is required has an end")
        if not self.constrains:
            raise Unsupported(f"tool-choice required and only are constraints, of which graph '{self.name}' has none")
        if self.family is None or self.family.demand is None or self.tool_template is None:
            raise Unsupported(f"tool-choice required and only cannot be enforced in the format of graph '{self.name}'")
        return self.family.demand(
            tools.only(choice.name) if isinstance(choice, OnlyTool) else tools, self.tool_template
        )

    def _why_no_tools(self) -> str:
        if self.tool_template is not None and renders_tools(self.tool_template):
            known = ", ".join(FAMILIES)
            return (
                f"graph '{self.name}' writes calls in no format that is known here; "
                f'if it is one of {known}, its manifest can say so: tools = "…"'
            )
        return f"graph '{self.name}' takes no tools: its chat template has no place for them"

    def opened(self, rendered: Rendered, wish: Wish) -> Rendered:
        """A prompt with the beginning that a turn gives the reply: what is held to something does not reason first."""
        if wish.held is None:
            return rendered
        closed = f"\n{self.reasoning.end}\n\n" if rendered.reasons and self.reasoning is not None else ""
        opening = "" if wish.demand is None else wish.demand.opening
        return replace(rendered, text=rendered.text + closed + opening, reasons=False)

    def reader(self, wish: Wish, name: Callable[[str], str], *, reasons: bool, resumed: bool) -> ReplyReader:
        """
        Who reads one reply to a chat.

        Args:
            wish: The turn's.
            name: The id of a call by the model's own.
            reasons: The prompt ends inside reasoning.
            resumed: The reply goes on with an earlier one.
        """
        begun = resumed or wish.held is not None
        thinking = None if self.reasoning is None else Thinking(self.reasoning, begun=reasons, resumed=begun)
        calls = None if wish.tools is None or self.family is None else self.family.reader(wish.tools)
        return ReplyReader(thinking, calls, name, "" if wish.demand is None else wish.demand.opening)

    def decoder(self, wish: Wish, *, marked: bool) -> Decoder:
        """Makes text of a reply's tokens; with marks of reasoning and calls where someone reads them."""
        if wish.held is not None:
            return self.tokenizer.held_decoder()
        marks = [] if self.reasoning is None else [self.reasoning.start, self.reasoning.end]
        marks += [] if self.family is None else self.family.marks
        return self.tokenizer.decoder(marks if marked else ())

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> str:
        """
        The chat template applied, opened for the model's answer unless the last message is the assistant's.

        Raises:
            Unsupported: As ``check`` and ``tools``.
            InvalidArgument: No messages, or the template has something against them.
        """
        lent = self.tools(Options(tools=tuple(tools)))
        if not messages:
            raise InvalidArgument("there is no message to render")
        self.check(messages)
        check_calls(messages)
        return self.chat_for(messages, lent).render(messages, lent, opened=messages[-1].role is not Role.ASSISTANT).text


def _calls(messages: Sequence[Message]) -> bool:
    """Whether there are calls, or outcomes of them."""
    return any(isinstance(part, Call | Outcome) for message in messages for part in message.parts)


def _renders_calls(template: str | None) -> bool:
    return "tool_calls" in (template or "")


def _read_json(path: Path) -> dict[str, Any]:
    """An optional file's object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        raise InvalidEncoding(f"{path.name} is not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise InvalidEncoding(f"{path.name} must hold an object, got {type(content).__name__}")
    return content


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for name in _SPECIAL_TOKENS:
        value = config.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            texts[name] = text
    return texts


def _token_ids(config: Mapping[str, Any], file: str) -> tuple[int, ...] | None:
    """The ``eos_token_id``: one, several, or nothing said."""
    found = config.get("eos_token_id")
    if found is None:
        return None
    token_ids = tuple(found) if isinstance(found, list) else (found,)
    if not all(type(token_id) is int and token_id >= 0 for token_id in token_ids):
        raise InvalidEncoding(f"eos_token_id of {file} must be token ids, got {found!r}")
    return token_ids


def _sampler(config: Mapping[str, Any]) -> Sampler:
    """What ``generation_config.json`` says; transformers is greedy unless that file asks it to sample."""
    values = {name: config.get(name) for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")}
    for name, value in values.items():
        number = int if name == "top_k" else int | float
        if value is not None and (isinstance(value, bool) or not isinstance(value, number)):
            raise InvalidEncoding(f"{name} of generation_config.json must be a number, got {value!r}")
    if not config.get("do_sample"):
        values = {"temperature": 0.0, "repetition_penalty": values["repetition_penalty"]}
    sampler = Sampler(**{name: value for name, value in values.items() if (name, value) != ("top_k", 0)})
    try:
        sampler.check()
    except InvalidArgument as exc:
        raise InvalidEncoding(f"generation_config.json: {exc}") from exc
    return sampler
