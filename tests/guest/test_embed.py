"""``wit-llm:nn/embed`` from inside a guest: vectors, scores, and every way in which they are not to be had."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.conftest import Command, Driver
from tests.sentences import CONFIG, DENSE, MEAN, PROMPTS, VOCABULARY, WINDOW, write_encoder, write_files
from wit_llm import Limits
from wit_llm.embedded.conformance import onnx_file
from wit_llm.events import TensorsAdmitted
from wit_llm.tensor import TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wit_llm.events import Event


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A graph that makes vectors of texts, as ``--graph`` takes it."""
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder)
    return f"vectors={write_files(folder)}"


def test_a_text_becomes_a_vector(driver: Driver, encoder: str) -> None:
    """Row by row as the texts were given, whatever their lengths; tokens are counted; an empty text has a vector."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("vectors")
        vectors = embed.embed(loaded, ["cat dog", "", "Cat", "dog dog dog dog"])
        say(vectors.dimensions, [round(value, 4) for value in vectors.values])
        say(vectors.usage)
        say([round(value, 4) for value in embed.embed(loaded, ["cat"]).values])
        empty = embed.embed(loaded, [])
        say(empty.dimensions, empty.values, empty.usage.prompt_tokens)
        """,
        graphs=[encoder],
    )
    assert outcome.stdout.decode().splitlines() == [
        "2 [8.0, 0.0, 4.5, -0.5, 6.3333, -0.3333, 10.8333, 1.1667]",
        "Usage(prompt_tokens=15, cached_tokens=None, generated_tokens=0, reasoning_tokens=0)",
        "[6.3333, -0.3333]",
        "2 [] 0",
    ]


def test_texts_go_through_the_door_like_any_tensors(driver: Driver, encoder: str) -> None:
    """Their tokens are named tensors that are admitted, those of about one length together."""
    seen: list[Event] = []
    driver.run("embed.embed(graph.load_by_name('vectors'), ['cat dog', '', 'cat'])", graphs=[encoder], sink=seen.append)
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert [event for event in seen if isinstance(event, TensorsAdmitted)] == [
        TensorsAdmitted("vectors", tuple((name, (3, 4)) for name in names))
    ]


def test_a_text_is_its_tokens_and_never_a_control_token(driver: Driver, encoder: str) -> None:
    """What looks like one is text; a guest can count tokens, and turns them into the same vector by hand."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("vectors")
        say(tokenizer.encode(loaded, "cat [SEP]", False), tokenizer.encode(loaded, "cat [SEP]", True))
        say([round(value, 4) for value in embed.embed(loaded, ["[SEP]"]).values])
        context = loaded.init_execution_context()
        i64 = tensor.TensorType.I64
        rows = lambda values: tensor.Tensor([1, len(values)], i64, array.array("q", values).tobytes())
        given = {"input_ids": [2, 5, 6, 3], "attention_mask": [1] * 4, "token_type_ids": [0] * 4}
        (name, output), = context.compute([(name, rows(values)) for name, values in given.items()])
        say(name, output.dimensions(), struct.unpack("<8f", output.data()))
        say(failure(context.compute, [(name, rows([9] * 4)) for name in given]))
        say(failure(context.compute, [(name, rows([1] * 17)) for name in given]))
        """,
        graphs=[encoder],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[0] == "[5, 1, 1, 1] [5, 3]"
    assert lines[1] == "[6.6, 3.4]"  # of [2, 1, 1, 1, 3], n = 5
    assert lines[2] == "last_hidden_state [1, 4, 2] (6.0, 2.0, 9.0, -1.0, 10.0, -2.0, 7.0, 1.0)"
    assert lines[3] == "invalid-argument: input 'input_ids' of graph 'vectors' has token 9; the model has 0 to 8"
    assert lines[4] == "invalid-argument: input 'input_ids' of graph 'vectors' has 17 tokens; the window holds 16"


def test_says_what_it_is(driver: Driver, encoder: str) -> None:
    """It embeds and does nothing else: no chat, no scores, and the list of grants does not call it promptable."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("vectors")
        info = prompt.describe(loaded)
        say(info.name, info.context_window, info.can == prompt.Capability.EMBEDDINGS, info.max_logprobs)
        say(failure(session, loaded))
        say(failure(embed.score, loaded, "cat", ["dog"]))
        say([(entry.name, entry.promptable) for entry in models.list_granted()])
        scoring = prompt.Capability.SCORING
        say([bool(prompt.describe(graph.load_by_name(name)).can & scoring) for name in ("tiny", "echo")])
        """,
        graphs=[encoder, "tiny", "echo"],
    )
    text = "not-promptable: graph 'vectors' makes vectors of texts (wit-llm:nn/embed) and no replies"
    assert outcome.stdout.decode().splitlines() == [
        "vectors 16 True None",
        text,
        text,
        "[('vectors', False), ('tiny', True), ('echo', True)]",
        "[True, False]",
    ]


def test_a_text_beyond_the_window_is_an_overflow(driver: Driver, encoder: str) -> None:
    """Nothing is cut, whatever the tokenizer's file says of truncation; the longest text is named by its tokens."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("vectors")
        say(len(embed.embed(loaded, ["cat " * 14]).values))
        say(err(embed.embed, loaded, ["cat", "cat " * 15, "cat " * 20]))
        """,
        graphs=[encoder],
    )
    assert outcome.stdout.decode().splitlines() == [
        "2",
        "Error_Overflow(value=Overflow(requested=22, available=16, window=16))",
    ]


@pytest.mark.parametrize(
    ("limits", "texts", "told"),
    [
        pytest.param(Limits(texts=2), "[''] * 3", "invalid: 3 texts in one call; at most 2 go in", id="texts"),
        pytest.param(
            Limits(prompt_bytes=5), "['cat', 'dog']", "Quota(kind=<QuotaKind.PROMPT_BYTES: 5>, limit=5", id="bytes"
        ),
        pytest.param(
            Limits(text_tokens=5), "['cat', 'dog']", "Quota(kind=<QuotaKind.TOKENS_PER_CALL: 0>, limit=5", id="tokens"
        ),
    ],
)
def test_one_call_has_its_limits(driver: Driver, encoder: str, limits: Limits, texts: str, told: str) -> None:
    """Their number, their bytes and their tokens are bounded, and the error says by what."""
    outcome = driver.run(
        f"say(failure(embed.embed, graph.load_by_name('vectors'), {texts}))", graphs=[encoder], limits=limits
    )
    assert told in outcome.stdout.decode()


def _wide(folder: Path) -> None:
    write_files(folder, [("Pooling", {**MEAN, "pooling_mode": ["mean"] * 2000})])


def test_no_more_numbers_than_a_list_may_have(driver: Driver, tmp_path: Path) -> None:
    """How many vectors fit is told."""
    write_encoder(tmp_path)
    _wide(tmp_path)
    outcome = driver.run(
        "say(failure(embed.embed, graph.load_by_name('wide'), [''] * 700))", graphs=[f"wide={tmp_path}"]
    )
    told = "invalid: 700 vectors of 4000 elements in one call; at most 699 go out"
    assert outcome.stdout.decode().strip() == told


def _files(**files: object) -> Callable[[Path], object]:
    return lambda folder: write_files(folder, files={f"{name}.json": content for name, content in files.items()})


@pytest.mark.parametrize(
    ("make", "text", "expected"),
    [
        pytest.param(
            lambda folder: write_files(folder, [("Pooling", MEAN), ("Dense", DENSE), ("Normalize", {})]),
            "cat dog",
            [8 / math.sqrt(145), 0, 9 / math.sqrt(145)],
            id="layers",
        ),
        pytest.param(
            _files(config_sentence_transformers={"prompts": {"q": "dog "}, "default_prompt_name": "q"}),
            "cat",  # "dog cat"
            [8, 0],
            id="prompt",
        ),
        pytest.param(_files(sentence_bert_config={"do_lower_case": True}), "CAT DOG", [8, 0], id="lower-case"),
    ],
)
def test_what_the_folder_says_is_done(
    driver: Driver, tmp_path: Path, make: Callable[[Path], object], text: str, expected: list[float]
) -> None:
    """Layers after the pooling, the prompt that is the default, and lower case where the tokenizer has it."""
    write_encoder(tmp_path)
    make(tmp_path)
    outcome = driver.run(
        f"say(list(embed.embed(graph.load_by_name('folder'), [{text!r}]).values))", graphs=[f"folder={tmp_path}"]
    )
    assert json.loads(outcome.stdout) == pytest.approx(expected, abs=1e-6)


def _write_onnx(folder: Path) -> None:
    """An encoder without token types, in which the vector of a token t is ``[t, -t]``, and zeros where it is masked."""
    size = len(VOCABULARY)
    table = np.stack([np.arange(size), -np.arange(size)], axis=1).astype(np.float32)
    rows = (None, None)
    content = onnx_file.model(
        "encoder",
        [
            onnx_file.node("Gather", "table input_ids", "looked_up"),
            onnx_file.node("Cast", "attention_mask", "mask", {"to": 1}),
            onnx_file.node("Unsqueeze", "mask last", "column"),
            onnx_file.node("Mul", "looked_up column", "token_embeddings"),
        ],
        [
            onnx_file.constant("table", TensorType.FP32, table),
            onnx_file.constant("last", TensorType.I64, np.array([2])),
        ],
        [TensorSpec(name, TensorType.I64, rows) for name in ("input_ids", "attention_mask")],
        [TensorSpec("token_embeddings", TensorType.FP32, (*rows, 2))],
    )
    (folder / "model.onnx").write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"vocab_size": size, "max_position_embeddings": WINDOW}))


def test_an_onnx_file_is_an_encoder_too(driver: Driver, tmp_path: Path) -> None:
    """With the output under the name that sentence-transformers gives it."""
    _write_onnx(tmp_path)
    write_files(tmp_path)
    outcome = driver.run(
        "say(list(embed.embed(graph.load_by_name('onnx'), ['cat dog', '']).values))", graphs=[f"onnx={tmp_path}"]
    )
    assert json.loads(outcome.stdout) == [4, -4, 2.5, -2.5]


def _into(folder: Path, inner: str, *names: str) -> None:
    """Move files of a folder into one inside it."""
    (folder / inner).mkdir()
    for name in names:
        (folder / name).rename(folder / inner / name)


def _in_its_module(folder: Path) -> None:
    write_encoder(folder)
    lines = [
        {"path": path, "type": f"sentence_transformers.models.{path.partition('_')[2]}"}
        for path in ("0_Transformer", "1_Pooling")
    ]
    write_files(folder, files={"modules.json": lines, CONFIG: {"max_seq_length": 9}})
    names = ("openvino_model.xml", "openvino_model.bin", "config.json", CONFIG, "tokenizer.json")
    _into(folder, "0_Transformer", *names)


def _exported_to_openvino(folder: Path) -> None:
    write_encoder(folder)
    write_files(folder, files={CONFIG: {"max_seq_length": 9}})
    _into(folder, "openvino", "openvino_model.xml", "openvino_model.bin")


def _exported_to_onnx(folder: Path) -> None:
    _write_onnx(folder)
    write_files(folder, files={CONFIG: {"max_seq_length": 9}})
    _into(folder, "onnx", "model.onnx")


@pytest.mark.parametrize(
    ("make", "values"),
    [
        pytest.param(_in_its_module, [8.0, 0.0], id="0_Transformer"),
        pytest.param(_exported_to_openvino, [8.0, 0.0], id="openvino"),
        pytest.param(_exported_to_onnx, [4.0, -4.0], id="onnx"),
    ],
)
def test_an_encoder_may_lie_in_a_folder_of_its_own(
    driver: Driver, tmp_path: Path, make: Callable[[Path], object], values: list[float]
) -> None:
    """Where ``modules.json`` says, or exported beside the tokenizer: text, window and digest are those of the whole."""
    make(tmp_path)
    source = """
        loaded = graph.load_by_name("inside")
        say(list(embed.embed(loaded, ["cat dog"]).values), prompt.describe(loaded).context_window)
    """
    graphs = [f"inside={tmp_path}"]
    assert driver.run(source, graphs=graphs).stdout.decode() == f"{values} 9\n"
    digest = driver.run("say(models.list_granted()[0].digest)", graphs=graphs).stdout
    (model,) = [*tmp_path.glob("*/*.xml"), *tmp_path.glob("*/*.onnx")]
    with model.open("a") as file:
        file.write("\n")
    assert driver.run("say(models.list_granted()[0].digest)", graphs=graphs).stdout != digest


def _tell_case(folder: Path) -> None:
    write_files(folder, files={CONFIG: {"do_lower_case": True}})
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    tokenizer["model"]["vocab"] |= {"a": 9, "A": 10}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(
            lambda folder: write_files(folder, [("Pooling", MEAN), ("LayerNorm", {})]),
            "unsupported: module 'LayerNorm' of modules.json is not supported; after Pooling there are Dense",
            id="module",
        ),
        pytest.param(
            lambda folder: write_files(folder, [("Pooling", {**MEAN, "embedding_dimension": 3})]),
            "invalid: graph 'folder' gives last_hidden_state FP32[?, ?, 2], and its Pooling takes 3 elements",
            id="width",
        ),
        pytest.param(
            _tell_case,
            "unsupported: do_lower_case where the tokenizer itself tells upper case from lower is not supported",
            id="lower-case",
        ),
        pytest.param(
            lambda folder: write_files(
                folder, files={PROMPTS: {"prompts": {"q": "[MASK] "}, "default_prompt_name": "q"}}
            ),
            "unsupported: a default prompt with control tokens, '[MASK] ', is not supported",
            id="control-token",
        ),
        pytest.param(
            lambda folder: (write_files(folder) / "tokenizer.json").unlink(),
            "unsupported: graph 'folder' does not embed: it has no tokenizer.json in its folder",
            id="no-tokenizer",
        ),
        pytest.param(
            lambda folder: (write_files(folder) / "modules.json").unlink(),
            "unsupported: graph 'folder' does not embed: it is no encoder with a modules.json, as sentence-",
            id="no-modules",
        ),
    ],
)
def test_what_the_folder_says_and_is_not_done_is_told(
    driver: Driver, tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    """No vector is better than another one than the folder's."""
    write_encoder(tmp_path)
    make(tmp_path)
    outcome = driver.run(
        "say(failure(embed.embed, graph.load_by_name('folder'), ['cat']))", graphs=[f"folder={tmp_path}"]
    )
    assert outcome.stdout.decode().startswith(told)


def test_max_seq_length_is_the_window(driver: Driver, tmp_path: Path) -> None:
    """What the folder says of a text's length holds for texts, for tensors and for who asks."""
    write_encoder(tmp_path)
    write_files(tmp_path, files={CONFIG: {"max_seq_length": 4}})
    outcome = driver.run(
        """
        loaded = graph.load_by_name("short")
        say(prompt.describe(loaded).context_window, len(embed.embed(loaded, ["cat dog"]).values))
        say(err(embed.embed, loaded, ["cat dog cat"]).value)
        """,
        graphs=[f"short={tmp_path}"],
    )
    assert outcome.stdout.decode().splitlines() == ["4 2", "Overflow(requested=5, available=4, window=4)"]


def test_its_modules_belong_to_its_digest(driver: Driver, tmp_path: Path) -> None:
    """A model with another pooling is another model, though all else is the same."""
    digests: list[bytes] = []
    for mode in ("mean", "max", "mean"):
        folder = tmp_path / str(len(digests))
        folder.mkdir()
        write_files(folder, [("Pooling", {**MEAN, "pooling_mode": mode})])
        outcome = driver.run("say(models.list_granted()[0].digest)", graphs=[f"folder={folder},backend=openvino"])
        digests.append(outcome.stdout)
    assert digests[0] == digests[2] != digests[1]


TINIES = ["tiny", pytest.param("tiny,backend=pytorch", marks=pytest.mark.slow)]


@pytest.mark.parametrize("tiny", TINIES)
def test_scores_are_a_forward_pass_by_hand(driver: Driver, tiny: str) -> None:
    """What a guest computes itself from tokens and logits: the prefix as a raw turn, each continuation apart."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        prefix = "<|user|>What is the capital of France?<|end|><|assistant|>"
        continuations = ["The capital of France is Paris.<|end|>", "The capital of France is Rome.", "No", ""]
        context = loaded.init_execution_context()
        i64 = tensor.TensorType.I64

        def by_hand(opening, ending):
            token_ids = array.array("q", opening + ending)
            rows = {
                "input_ids": token_ids,
                "attention_mask": array.array("q", [1] * len(token_ids)),
                "position_ids": array.array("q", range(len(token_ids))),
            }
            shape = [1, len(token_ids)]
            make = lambda names: [(name, tensor.Tensor(shape, i64, rows[name].tobytes())) for name in names]
            try:
                (_, logits), = context.compute(make(rows))
            except Err:
                (_, logits), = context.compute(make(["input_ids", "attention_mask"]))
            values, vocabulary = array.array("f", logits.data()), logits.dimensions()[2]
            total = 0.0
            for at in range(len(opening), len(token_ids)):
                row = values[(at - 1) * vocabulary : at * vocabulary]
                most = max(row)
                total += row[token_ids[at]] - most - math.log(math.fsum(math.exp(value - most) for value in row))
            return total

        opening = tokenizer.encode(loaded, prefix, True)
        for continuation, scored in zip(continuations, embed.score(loaded, prefix, continuations)):
            ending = tokenizer.encode(loaded, continuation, True)
            close = abs(scored.logprob - by_hand(opening, ending)) < 1e-3
            say(scored.tokens == len(ending), close, scored.logprob > -1)
        say(embed.score(loaded, prefix, []))
        """,
        graphs=[tiny],
    )
    assert outcome.stdout.decode().splitlines() == [
        "True True True",
        "True True False",
        "True True False",
        "True True True",
        "[]",
    ]


def test_a_score_that_cannot_be_told_says_why(driver: Driver) -> None:
    """Nothing before the first token, more than the window holds, more than the guest may ask."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        say(failure(embed.score, loaded, "", ["Hello"]))
        say(err(embed.score, loaded, "a" * 600, ["b" * 424, "b" * 500]).value)
        say([scored.tokens for scored in embed.score(loaded, "a" * 600, ["b" * 424])])
        say(failure(embed.score, loaded, "a", ["b"] * 6))
        say(failure(embed.score, loaded, "a" * 500, ["b" * 300] * 2))
        """,
        graphs=["tiny"],
        limits=Limits(texts=5, text_tokens=1024 + 50),
    )
    assert outcome.stdout.decode().splitlines() == [
        "invalid: the prefix has no token, and a first token has no probability; give it some text",
        "Overflow(requested=1100, available=1024, window=1024)",
        "[424]",
        "invalid: 6 texts in one call; at most 5 go in",
        "quota: Quota(kind=<QuotaKind.TOKENS_PER_CALL: 0>, limit=1074, retry_after_ms=None)",
    ]


def test_the_command_shows_what_it_is(command: Command, encoder: str) -> None:
    """In the list it makes vectors; by itself it says what it can do, and its window."""
    header, *lines = command("graphs", "--graph", encoder).stdout.splitlines()
    assert header.split()[3] == "text"
    assert [line.split()[3] for line in lines] == ["yes", "yes", "yes", "vectors"]
    shown = command("graphs", "vectors", "--graph", encoder)
    rows = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
    told = {name: rest.strip() for name, rest in rows}
    assert (told["window"], told["can"]) == (f"{WINDOW} tokens", "embeddings")
    assert told["output"] == "last_hidden_state FP32[?, ?, 2]"
    graph = json.loads(command("graphs", "vectors", "--json", "--graph", encoder).stdout)
    assert (graph["promptable"], graph["can"], graph["vocab_size"]) == (False, ["embeddings"], 9)
    ended = command("chat", "--graph", encoder, "Hello!")
    assert (ended.status, ended.stdout) == (1, "")
    assert "makes vectors of texts" in ended.stderr
