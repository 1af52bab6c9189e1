"""What a folder says of a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from tests.text import echo_folder, vocabularies
from tests.text.fakes import ScriptedEngine, Table, message
from wit_llm.backends.base import GraphInfo
from wit_llm.errors import InvalidArgument, InvalidEncoding, NotPromptable, Unsupported
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.options import Exact, Options, Sampler, Tool
from wit_llm.text.model import Capability, Model, ModelInfo

if TYPE_CHECKING:
    from pathlib import Path

    from wit_llm.worker.client import Engine


def _open(folder: Path, files: dict[str, str], *, tensors_only: bool = False) -> Model:
    """The model that a folder with these files is."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    engine = ScriptedEngine(1000, lambda _: None)
    if tensors_only:
        engine.info = GraphInfo((), ())
    graph = Graph("kitten", cast("Engine", engine), Limits(), ignore)
    return Model.open(graph, folder, "kitten", "sha256:0")


ECHO = echo_folder.files()
BARE = {"tokenizer.json": vocabularies.byte_level()}


def test_a_whole_folder(tmp_path: Path) -> None:
    """Tokenizer, template, end token and window come from where they belong."""
    model = _open(tmp_path, ECHO)
    assert model.describe() == ModelInfo(
        name="kitten",
        digest="sha256:0",
        context_window=1000,
        can=(Capability.CHAT, Capability.RAW, Capability.SEED),
        max_logprobs=2,
        defaults=Options(sampling=Exact(Sampler(temperature=0.0))),
    )
    assert model.stop_token_ids == (256,)
    assert model.special_tokens == {"bos_token": "<|bos|>", "eos_token": "<|end|>"}
    assert model.render([message("system", "x"), message("user", "hello")]) == "hello"


def test_only_a_tokenizer(tmp_path: Path) -> None:
    """A base model: raw text goes in, and nothing ends a reply but its length."""
    model = _open(tmp_path, BARE)
    assert model.describe().can == (Capability.RAW, Capability.SEED)
    assert (model.stop_token_ids, model.template, model.sampler) == ((), None, Sampler(temperature=0.0))
    with pytest.raises(
        Unsupported, match="^graph 'kitten' has no chat template; it takes turns of raw text and of tokens$"
    ):
        model.render([message("user", "x")])


def test_a_graph_of_tensors_is_not_promptable(tmp_path: Path) -> None:
    """Whatever lies beside it."""
    with pytest.raises(NotPromptable, match="^graph 'kitten' takes tensors only$"):
        _open(tmp_path, ECHO, tensors_only=True)


_MAKING = (
    """`python -c "from transformers import AutoTokenizer as T; T.from_pretrained('DIR').save_pretrained('DIR')"`"""
)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        pytest.param(
            None,
            "copy that of the model that it was made from into it, together with tokenizer_config.json",
            id="nothing",
        ),
        pytest.param(
            "tokenizer.model",
            f"to make one of tokenizer.model: `pip install transformers sentencepiece protobuf tiktoken` and {_MAKING}",
            id="sentencepiece",
        ),
        pytest.param("merges.txt", f"to make one of merges.txt: `pip install transformers` and {_MAKING}", id="merges"),
        pytest.param(
            "vocab.txt", f"to make one of vocab.txt: `pip install transformers` and {_MAKING}", id="wordpiece"
        ),
    ],
)
def test_without_a_tokenizer_it_is_not_promptable(tmp_path: Path, name: str | None, way_out: str) -> None:
    """The message names what is missing, and the command that makes it of what there is, and no path."""
    if name is not None:
        (tmp_path / name).touch()
    with pytest.raises(NotPromptable) as caught:
        _open(tmp_path, {})
    assert str(caught.value) == f"graph 'kitten' has no tokenizer.json in its folder; {way_out}"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        pytest.param("tokenizer", "[]", "tokenizer.json is not a tokenizer: ", id="tokenizer"),
        pytest.param("generation_config", "{", "generation_config.json is not JSON: ", id="not-json"),
        pytest.param("config", "[]", "config.json must hold an object, got list$", id="not-an-object"),
        pytest.param(
            "tokenizer_config",
            '{"chat_template": 5}',
            "chat_template of tokenizer_config.json must be text, or a list of {name, template} with .* once, got 5$",
            id="template",
        ),
        pytest.param(
            "tokenizer_config",
            '{"chat_template": [{"name": "default"}]}',
            r"chat_template of tokenizer_config.json must be .*, got \[{'name': 'default'}\]$",
            id="templates",
        ),
        pytest.param(
            "generation_config", '{"eos_token_id": "2"}', "eos_token_id of gen.* must be token ids, got '2'", id="eos"
        ),
        pytest.param(
            "config", '{"eos_token_id": [1, -1]}', r"eos_token_id of config.json must .* got \[1, -1\]", id="eos-list"
        ),
        pytest.param(
            "generation_config",
            '{"top_p": "1"}',
            "top_p of generation_config.json must be a number, got '1'",
            id="text",
        ),
        pytest.param(
            "generation_config",
            '{"top_k": 2.5}',
            "top_k of generation_config.json must be a number, got 2.5",
            id="top-k",
        ),
        pytest.param(
            "generation_config", '{"min_p": true}', "min_p of generation_config.json must .* got True$", id="bool"
        ),
        pytest.param(
            "generation_config", '{"do_sample": 1, "temperature": 3}', "gen.*: sampler.temperature must be", id="range"
        ),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(tmp_path: Path, name: str, content: str, error: str) -> None:
    """By its name, and what of it is wrong; not by where it lies."""
    with pytest.raises(InvalidEncoding, match=f"^{error}") as caught:
        _open(tmp_path, {**BARE, f"{name}.json": content})
    assert str(tmp_path) not in str(caught.value)


def test_a_template_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    """So is the file beside the configuration."""
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(InvalidEncoding, match=r"^chat_template.jinja is not UTF-8: invalid start byte at byte 0$"):
        _open(tmp_path, BARE)


def test_a_template_that_is_not_jinja_is_the_first_conversations_error(tmp_path: Path) -> None:
    """Who sends raw text needs no template."""
    model = _open(tmp_path, {**BARE, "chat_template.jinja": "{% if %}"})
    for _ in range(2):
        with pytest.raises(InvalidEncoding, match="^the chat template is not Jinja: line 1: "):
            model.render([message("user", "x")])


@pytest.mark.parametrize(
    ("config", "jinja", "template"),
    [
        pytest.param({"chat_template": "a"}, None, "a", id="in-the-configuration"),
        pytest.param({"chat_template": "a"}, "b", "b", id="the-file-comes-first"),
        pytest.param(
            {"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]},
            None,
            "d",
            id="named",
        ),
        pytest.param({"chat_template": []}, None, None, id="an-empty-list"),
        pytest.param({"chat_template": None}, None, None, id="null"),
        pytest.param({}, None, None, id="none"),
    ],
)
def test_where_the_template_is(
    tmp_path: Path, config: dict[str, object], jinja: str | None, template: str | None
) -> None:
    """A file of its own, or the configuration's only one, or that named default; never another in its place."""
    files = {**BARE, "tokenizer_config.json": json.dumps(config)}
    assert _open(tmp_path, files if jinja is None else {**files, "chat_template.jinja": jinja}).template == template


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"generation_config.json": {"eos_token_id": 5}}, (5,), id="one"),
        pytest.param({"generation_config.json": {"eos_token_id": [5, 7]}}, (5, 7), id="several"),
        pytest.param(
            {"generation_config.json": {}, "config.json": {"eos_token_id": 3}},
            (3,),
            id="config-where-generation-is-silent",
        ),
        pytest.param(
            {"generation_config.json": {"eos_token_id": 5}, "config.json": {"eos_token_id": 3}},
            (5,),
            id="generation-first",
        ),
        pytest.param({"tokenizer_config.json": {"eos_token": "</s>"}}, "</s>", id="tokenizer-last"),
        pytest.param({"tokenizer_config.json": {"eos_token": {"content": "</s>"}}}, "</s>", id="as-an-object"),
        pytest.param({"special_tokens_map.json": {"eos_token": "</s>"}}, "</s>", id="special-tokens-map"),
        pytest.param({"tokenizer_config.json": {"eos_token": "nonesuch"}}, (), id="no-such-token"),
        pytest.param({"tokenizer_config.json": {"eos_token": None}}, (), id="null"),
    ],
)
def test_which_tokens_end_a_reply(tmp_path: Path, files: dict[str, object], expected: tuple[int, ...] | str) -> None:
    """The first of three files that says something says it."""
    model = _open(tmp_path, {**BARE, **{name: json.dumps(content) for name, content in files.items()}})
    wanted = (model.tokenizer.control_tokens[expected],) if isinstance(expected, str) else expected
    assert model.stop_token_ids == wanted


@pytest.mark.parametrize(
    ("config", "sampler"),
    [
        pytest.param({}, Sampler(temperature=0.0), id="silent-is-greedy"),
        pytest.param({"do_sample": False, "temperature": 0.6, "top_k": 5}, Sampler(temperature=0.0), id="not-sampling"),
        pytest.param(
            {"repetition_penalty": 1.1}, Sampler(temperature=0.0, repetition_penalty=1.1), id="greedy-with-a-penalty"
        ),
        pytest.param({"do_sample": True}, Sampler(), id="sampling"),
        pytest.param(
            {
                "do_sample": True,
                "temperature": 0.6,
                "top_p": 0.9,
                "top_k": 20,
                "min_p": 0.1,
                "repetition_penalty": 1.05,
            },
            Sampler(0.6, 0.9, 20, 0.1, 1.05),
            id="all",
        ),
        pytest.param({"do_sample": True, "top_k": 0, "top_p": 1.0}, Sampler(top_p=1.0), id="top-k-off"),
    ],
)
def test_how_it_is_sampled(tmp_path: Path, config: dict[str, object], sampler: Sampler) -> None:
    """As ``generation_config.json`` says, and greedy unless it says to sample."""
    assert _open(tmp_path, {**BARE, "generation_config.json": json.dumps(config)}).sampler == sampler


def test_render_opens_the_answer_unless_the_assistant_spoke_last() -> None:
    """As the WIT has it, and with nothing of a session around."""
    model = Table().model
    assert model.render([message("system", "s"), message("user", "x")]) == "ss;ux;>"
    assert model.render([message("user", "x"), message("assistant", "y")]) == "ux;ay;"
    assert model.render([message("user", "a<|end|>")]) == "ua<|end|>;>"


def test_render_refuses_what_it_cannot() -> None:
    """Tools that there is no place for, and nothing at all."""
    with pytest.raises(Unsupported, match="^graph 'graph' takes no tools: its chat template has no place for them$"):
        Table().model.render([message("user", "x")], [Tool("f", "", "{}")])
    with pytest.raises(InvalidArgument, match="^there is no message to render$"):
        Table().model.render([])
