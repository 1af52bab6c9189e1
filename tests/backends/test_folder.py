"""Folders and files that people take for a graph: each is named, with the way out."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import TINY
from wit_llm import Grant, Host
from wit_llm.backends.folder import Kind, recognise
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_INDEX = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
_LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5000000000\n"


def _make(folder: Path, files: Mapping[str, object]) -> Path:
    """Files by name: text as it is, anything else as JSON, with the folders that a name has in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def _said(path: Path, root: Path) -> str:
    with pytest.raises(OperatorError) as caught:
        recognise(path)
    return str(caught.value).replace(str(root), "{root}")


@pytest.mark.parametrize(
    ("files", "text"),
    [
        pytest.param(
            {"a/openvino_model.xml": "", "b/config.json": {}, "b/model.safetensors": "", "c/README": ""},
            "{root} holds no model of its own; {root}/a, {root}/b do; name the one that is meant",
            id="folder-of-folders",
        ),
        pytest.param(
            {"config.json": {}, "tokenizer.json": {}, "openvino/quantised.xml": "", "openvino/quantised.bin": ""},
            "{root}/openvino holds an IR of another name; call quantised.xml and quantised.bin model.xml and model.bin",
            id="export-of-another-name",
        ),
        pytest.param(
            {"refs/main": "abc", "snapshots/abc/config.json": {}, "blobs/123": ""},
            "{root} is a place in the hub's cache; its models are {root}/snapshots/abc",
            id="cache-of-the-hub",
        ),
        pytest.param(
            {"adapter_config.json": {"base_model_name_or_path": "org/base"}, "adapter_model.safetensors": ""},
            "{root} is an adapter (LoRA) for org/base and not a model; to merge the two: "
            '`python -c "from peft import AutoPeftModelForCausalLM as M; '
            "M.from_pretrained('{root}').merge_and_unload().save_pretrained('OUT')\"`",
            id="adapter",
        ),
        pytest.param(
            {"adapter_config.json": "{", "adapter_model.bin": ""},
            "{root} is an adapter (LoRA) for a model that adapter_config.json does not name and not a model; to merge "
            'the two: `python -c "from peft import AutoPeftModelForCausalLM as M; '
            "M.from_pretrained('{root}').merge_and_unload().save_pretrained('OUT')\"`",
            id="adapter-of-nothing",
        ),
        pytest.param(
            {"config.json": {}, "pytorch_model-00001-of-00002.bin": "", "pytorch_model.bin.index.json": {}},
            "{root} has its weights in a pickle (pytorch_model-00001-of-00002.bin), which is never read, as it can run "
            'code; to write them as safetensors: `python -c "from transformers import AutoModelForCausalLM as M; '
            "M.from_pretrained('{root}').save_pretrained('OUT')\"`",
            id="pickle",
        ),
        pytest.param(
            {"params.json": {}, "consolidated.00.pth": "", "tokenizer.model": ""},
            "{root} is in its maker's own format (params.json); take the one for transformers, with config.json",
            id="maker's-own",
        ),
        pytest.param(
            {"model.safetensors": "", "tokenizer.json": ""},
            "{root} has weights (*.safetensors) and no config.json, which says what they are; copy it there, too",
            id="no-config",
        ),
        pytest.param(
            {"config.json": {}, "model.safetensors.index.json": _INDEX, "model-00001-of-00002.safetensors": ""},
            "model.safetensors.index.json in {root} names 2 files, and model-00002-of-00002.safetensors is not there; "
            "download it again",
            id="half-of-the-shards",
        ),
        pytest.param(
            {"config.json": {}, "model.safetensors.index.json": "[]", "model.safetensors": ""},
            "{root}/model.safetensors.index.json is no index of shards: it has no weight_map; download it again",
            id="broken-index",
        ),
        pytest.param(
            {"config.json": {}, "model.safetensors": _LFS},
            "{root}/model.safetensors is a pointer of Git LFS and not the file itself; `git lfs pull` in its "
            "repository gets it",
            id="pointer",
        ),
        pytest.param(
            {"config.json": {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "model.safetensors": ""},
            "the weights in {root} are quantised by gptq, which no backend here reads; take the model that they were "
            "made from: `wit-llm convert DIR OUT --to openvino --weights int4`",
            id="gptq",
        ),
        pytest.param(
            {"config.json": {"quantization": {"group_size": 64, "bits": 4}}, "model.safetensors": ""},
            "the weights in {root} are quantised by mlx, which no backend here reads; take the model that they were "
            "made from: `wit-llm convert DIR OUT --to openvino --weights int4`",
            id="mlx",
        ),
        pytest.param(
            {"model_index.json": {}, "unet/config.json": {}},
            "{root} is a diffusers pipeline of several models; a graph is one model: name one of its folders",
            id="diffusers",
        ),
        pytest.param(
            {"openvino_language_model.xml": "", "openvino_vision_embeddings_model.xml": "", "config.json": {}},
            "{root} is a model in parts (openvino_language_model.xml, openvino_vision_embeddings_model.xml), for "
            "images, speech or translation; text wants one openvino_model.xml, as `optimum-cli export openvino --task "
            "text-generation-with-past` writes it",
            id="model-in-parts",
        ),
        pytest.param(
            {"resnet.xml": "", "resnet.bin": "", "openvino_tokenizer.xml": "", "openvino_tokenizer.bin": ""},
            "{root} holds an IR of another name; call resnet.xml and resnet.bin model.xml and model.bin",
            id="another-name",
        ),
    ],
)
def test_what_is_no_graph_is_called_what_it_is(tmp_path: Path, files: Mapping[str, object], text: str) -> None:
    """The message names what is there, and what to do about it."""
    assert _said(_make(tmp_path, files), tmp_path) == text


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    """A snapshot whose blobs are gone has the names of files and not the files."""
    _make(tmp_path, {"config.json": {}})
    (tmp_path / "model.safetensors").symlink_to("../../blobs/gone")
    assert _said(tmp_path, tmp_path) == (
        "{root}/model.safetensors is a link to ../../blobs/gone, which is not there; download the model again"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "m/model.safetensors", "{root}/m/model.safetensors is a file; a graph is a folder: {root}/m", id="file"
        ),
        pytest.param(
            "m/model.gguf",
            "{root}/m/model.gguf is a file; a graph is a folder: one that holds this file, no other *.gguf, and the "
            "tokenizer.json of the model that it was made from",
            id="gguf",
        ),
        pytest.param("m/gone", "there is no folder {root}/m/gone; a graph is a folder", id="nothing"),
    ],
)
def test_a_file_is_not_a_folder(tmp_path: Path, name: str, text: str) -> None:
    """The folder that is meant is named."""
    _make(tmp_path, {"m/model.safetensors": "", "m/model.gguf": ""})
    assert _said(tmp_path / name, tmp_path) == text


def test_a_name_on_the_hub_is_not_a_folder() -> None:
    """Nothing is downloaded; the command that does it is named, and on the command line, too."""
    with pytest.raises(OperatorError) as caught:
        Grant.parse("m=HuggingFaceTB/SmolLM2-135M-Instruct")
    assert str(caught.value) == (
        "--graph m=HuggingFaceTB/SmolLM2-135M-Instruct: there is no folder HuggingFaceTB/SmolLM2-135M-Instruct; "
        "nothing is downloaded here: `hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir DIR` does it, "
        "and DIR is the graph's folder"
    )


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        pytest.param(
            ["openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml"], Kind.IR, id="optimum-intel"
        ),
        pytest.param(["openvino_model.xml", "config.json", "model.safetensors"], Kind.IR, id="ir-before-transformers"),
        pytest.param(
            ["config.json", "model.safetensors", "m.gguf", "pytorch_model.bin"], Kind.TRANSFORMERS, id="gguf-last"
        ),
        pytest.param(["config.json", "model.safetensors", "adapter_config.json"], Kind.TRANSFORMERS, id="merged"),
        pytest.param(["config.json", "model.safetensors", "optimizer.pt"], Kind.TRANSFORMERS, id="of-a-trainer"),
        pytest.param(["m.gguf", "tokenizer.json", "config.json"], Kind.GGUF, id="gguf"),
        pytest.param(["config.json", "onnx/model.onnx", "pytorch_model.bin"], Kind.ONNX, id="export"),
        pytest.param(["onnx/model.onnx", "openvino/openvino_model.xml"], Kind.IR, id="exports"),
        pytest.param(["config.json", "model.safetensors", "onnx/model.onnx"], Kind.TRANSFORMERS, id="export-last"),
    ],
)
def test_of_several_formats_one_counts(tmp_path: Path, names: list[str], kind: Kind) -> None:
    """What lies beside a model that can be loaded is no mistake."""
    _make(tmp_path, dict.fromkeys(names, "{}"))
    assert recognise(tmp_path) is kind


def test_a_snapshot_of_links_is_a_graph(tmp_path: Path) -> None:
    """In the hub's cache files are links to blobs with other names; the model is loaded and prompted all the same."""
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    for number, path in enumerate(sorted(TINY.iterdir())):
        if path.name.startswith("openvino") or path.suffix in (".json", ".jinja"):
            shutil.copy(path, tmp_path / "blobs" / str(number))
            (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    with Host([Grant("m", snapshot)]) as host:
        outcome = host.run(CHAT_GUEST, ["m", "What is the capital of Japan?"])
    assert outcome.stdout == b"The capital of Japan is Tokyo.\n"
