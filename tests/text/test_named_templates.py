"""Folders with a chat template for turns with tools: read and rendered as ``transformers`` does it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from transformers import PreTrainedTokenizerFast

from tests.text.fakes import Asked, ScriptedEngine
from tests.text.families import MODELS, weather
from tests.text.test_families import TOOLS
from tests.text.test_tool_rendering import CONVERSATIONS, DEFINITIONS, dicts
from wit_llm.bell import Bell
from wit_llm.errors import InvalidEncoding, Unsupported
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.options import NoTool, Options, RequiredTool
from wit_llm.registry import folder_digest
from wit_llm.text.message import Call, Message, Messages, Outcome, Role, Say, Setup
from wit_llm.text.model import Capability, Model
from wit_llm.text.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from wit_llm.worker.client import Engine

HERMES = MODELS["hermes3"]
# As Hermes 3 has it for turns without tools.
DEFAULT = (
    "{{bos_token}}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
BOTH = {"default": DEFAULT, "tool_use": HERMES.template}
LENT = Options(tools=TOOLS)


def _write(folder: Path, files: dict[str, str], config: object = None) -> Path:
    """A folder with these templates: in files of their own, and in ``tokenizer_config.json``."""
    said = {**HERMES.special_tokens, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": config}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    (folder / "tokenizer.json").write_text(HERMES.definition)
    for name, template in files.items():
        path = folder / ("chat_template.jinja" if name == "default" else f"additional_chat_templates/{name}.jinja")
        path.parent.mkdir(exist_ok=True)
        path.write_text(template)
    return folder


def _listed(templates: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "template": template} for name, template in templates.items()]


def _open(folder: Path, engine: ScriptedEngine | None = None) -> Model:
    engine = engine or ScriptedEngine(4096, lambda _: None, constraints=True)
    return Model.open(Graph("hermes", cast("Engine", engine), Limits(), ignore), folder, "hermes", "sha256:0")


def _call(message: Message) -> Call:
    (part,) = message.parts
    assert isinstance(part, Call)
    return part


def _outcome(message: Message) -> Messages:
    return Messages((Message(Role.TOOL, (Outcome(_call(message).id, "Rain", is_error=False),)),))


@dataclass(frozen=True)
class Pair:
    """One folder, opened here and by transformers."""

    model: Model
    engine: ScriptedEngine
    their: Any

    @classmethod
    def open(cls, folder: Path) -> Pair:
        """It, with an engine that calls a tool."""

        def speak(asked: Asked) -> None:
            call = '<tool_call>¦\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n¦</tool_call>'
            asked.give(HERMES.token_ids(*call.split("¦")))
            asked.end()

        engine = ScriptedEngine(4096, speak, constraints=True)
        return cls(_open(folder, engine), engine, PreTrainedTokenizerFast.from_pretrained(folder))

    def session(self) -> Session:
        """A new one."""
        return Session(self.model, Setup(), Bell(), Limits())

    def theirs(self, messages: tuple[Message, ...], *, tools: bool, opened: bool = True) -> str:
        """What transformers renders."""
        return str(
            self.their.apply_chat_template(
                dicts("hermes3", messages),
                tools=DEFINITIONS if tools else None,
                tokenize=False,
                add_generation_prompt=opened,
            )
        )

    def their_ids(self, messages: tuple[Message, ...], *, tools: bool) -> list[int]:
        """What a model of transformers is given."""
        return list(self.their.encode(self.theirs(messages, tools=tools), add_special_tokens=False))


@pytest.fixture(scope="module", params=["list", "files", "files-before-a-list"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A folder with a template for turns with tools."""
    folder = tmp_path_factory.mktemp("hermes")
    match request.param:
        case "list":
            return Pair.open(_write(folder, {}, _listed(BOTH)))
        case "files":
            return Pair.open(_write(folder, BOTH))
    return Pair.open(_write(folder, BOTH, _listed(dict.fromkeys(BOTH, "{{ tools }} and another"))))


@pytest.mark.parametrize("tools", [True, False], ids=["tools", "no-tools"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_text_is_that_of_transformers(pair: Pair, conversation: str, tools: bool) -> None:
    """With tools by the one template, without by the other, which is never given calls that it would leave out."""
    messages = CONVERSATIONS[conversation]
    if not tools and any(isinstance(part, Call) for message in messages for part in message.parts):
        told = (
            "^the chat template of graph 'hermes' for turns without tools has no place for calls and their outcomes; "
            "lend the turn its tools$"
        )
        with pytest.raises(Unsupported, match=told):
            pair.model.render(messages)
    else:
        opened = messages[-1].role is not Role.ASSISTANT
        expected = pair.theirs(messages, tools=tools, opened=opened)
        assert pair.model.render(messages, TOOLS if tools else ()) == expected


def test_a_conversation_with_tools(pair: Pair) -> None:
    """What is measured is what is sent, and what transformers makes of the conversation so far, calls and all."""
    session = pair.session()
    asked = Say("What is the weather?")
    assert Capability.TOOLS in pair.model.describe().can
    measured = session.measure(asked, LENT)
    reply = session.ask(asked, LENT)
    assert reply.message.parts == (weather(_call(reply.message).id),)
    question = session.history()[:1]
    assert pair.engine.asked[-1].token_ids == pair.their_ids(question, tools=True)
    assert measured == reply.summary.usage.prompt_tokens == len(pair.engine.asked[-1].token_ids)
    measured = session.measure(_outcome(reply.message), LENT)
    session.ask(_outcome(reply.message), LENT)
    assert pair.engine.asked[-1].token_ids == pair.their_ids(session.history()[:3], tools=True)
    assert measured == len(pair.engine.asked[-1].token_ids)


@pytest.mark.parametrize("options", [Options(), Options(tools=TOOLS, tool_choice=NoTool())], ids=["none", "choice"])
def test_a_turn_without_tools(pair: Pair, options: Options) -> None:
    """It has the other template, also where the model is to know of no tool; after calls that cannot be."""
    session = pair.session()
    session.ask(Say("Hello"), options)
    assert pair.engine.asked[-1].token_ids == pair.their_ids(session.history()[:1], tools=False)
    reply = session.ask(Say("What is the weather?"), LENT)
    for turn in (session.measure, session.start):
        with pytest.raises(Unsupported, match="for turns without tools has no place for calls and their outcomes"):
            turn(_outcome(reply.message), options)
    assert session.measure(_outcome(reply.message), LENT) > 0


def test_a_call_that_is_required_is_begun_in_its_format(pair: Pair) -> None:
    """The format is that of the template for tools."""
    session = pair.session()
    session.start(Say("x"), Options(tools=TOOLS, tool_choice=RequiredTool()))
    prompt = pair.model.tokenizer.decode(pair.engine.asked[-1].token_ids)
    assert prompt.endswith("<|im_start|>assistant\n<tool_call>\n")


@pytest.mark.parametrize("listed", [True, False], ids=["list", "files"])
def test_without_a_default_the_templates_are_named(tmp_path: Path, listed: bool) -> None:
    """None of the others takes its place."""
    others = {"tool_use": HERMES.template, "rag": "r"}
    folder = _write(tmp_path, {}, _listed(others)) if listed else _write(tmp_path, others, "the only one")
    with pytest.raises(InvalidEncoding) as caught:
        _open(folder)
    assert str(caught.value) == (
        "there is no chat template named default, only rag, tool_use; that for turns without tools is to be in "
        "chat_template.jinja"
    )


def test_a_broken_template_for_tools_leaves_other_turns_alone(tmp_path: Path) -> None:
    """It is an error of the turns that it is for."""
    model = _open(_write(tmp_path, {"default": DEFAULT, "tool_use": "{% tools <tool_call>{'name': "}))
    assert model.render(CONVERSATIONS["no-system"]).startswith("<|endoftext|><|im_start|>user")
    with pytest.raises(InvalidEncoding, match="^the chat template is not Jinja: line 1: "):
        model.render(CONVERSATIONS["no-system"], TOOLS)


def test_it_belongs_to_the_digest(tmp_path: Path) -> None:
    """A model with another template for tools is another model."""
    folder = _write(tmp_path, BOTH)
    before = folder_digest(folder)
    _write(tmp_path, {**BOTH, "tool_use": HERMES.template + " "})
    assert folder_digest(folder) != before
