"""Vectors of texts on every backend, against those that sentence-transformers makes of the same folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.architecture import ROOT
from tests.contract.conftest import SETTINGS, on
from wit_llm.backends.base import Target
from wit_llm.backends.config import read_encoder
from wit_llm.backends.table import detect
from wit_llm.errors import InvalidArgument, OperatorError
from wit_llm.events import ignore
from wit_llm.graph import Graph
from wit_llm.limits import Limits
from wit_llm.tensor import NamedTensor, Tensor, TensorType
from wit_llm.text.embedder import Embedder
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

pytestmark = pytest.mark.slow  # PyTorch and sentence-transformers are

KINDS = ["mean", "cls", "max", "sqrt", "weighted", "last", "joined", "dense", "prompt"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that `tests.contract.encoders` writes."""
    root = tmp_path_factory.mktemp("encoders")
    subprocess.run([sys.executable, "-m", "tests.contract.encoders", str(root)], check=True, cwd=ROOT)
    return root


def _graph(folder: Path, library: str, target: Target) -> tuple[Engine, Graph]:
    engine = Engine(GraphSource(folder.name, library, folder, target, SETTINGS[library]))
    return engine, Graph(folder.name, engine, Limits(), ignore)


@pytest.fixture(scope="module", params=["openvino", "pytorch"])
def bert(request: pytest.FixtureRequest, folders: Path, target: Target) -> Iterator[Graph]:
    """The encoder that all of the folders share."""
    engine, graph = _graph(folders / "mean", request.param, on(target, request.param))
    yield graph
    engine.close()


def _expected(folder: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The texts, and the vectors of the library."""
    content = json.loads((folder / "expected.json").read_text())
    return content["texts"], np.array(content["vectors"], np.float32)


def _embedded(graph: Graph, folder: Path, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    embedder = Embedder.open(graph, folder, folder.name, "sha256:")
    vectors = embedder.embed(texts, Limits(), lambda: None)
    return np.array(vectors.values, np.float32).reshape(len(texts), vectors.dimensions)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_the_library(bert: Graph, folders: Path, kind: str) -> None:
    """Every pooling, linear layers, prompts and normalising, with texts of all lengths in one call."""
    texts, vectors = _expected(folders / kind)
    np.testing.assert_allclose(_embedded(bert, folders / kind, texts), vectors, atol=2e-6)


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_neighbours_change_nothing(bert: Graph, folders: Path, kind: str) -> None:
    """A text among others has the vector that it has alone, and so has its twin."""
    texts, _ = _expected(folders / kind)
    together = _embedded(bert, folders / kind, texts)
    alone = np.concatenate([_embedded(bert, folders / kind, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(together[0], together[-1], atol=2e-6)


@pytest.mark.parametrize("bert", ["pytorch"], indirect=True)
@pytest.mark.parametrize("wrong", [2, -1])
def test_token_types_that_are_not_there_are_refused(bert: Graph, wrong: int) -> None:
    """A look-up beyond the end of a table would cost a GPU its process."""
    ids, mask, types = bert.token_tensors([[2, 5, 3]])
    kinds = Tensor((1, 3), TensorType.I64, array("q", [0, wrong, 1]).tobytes())
    with pytest.raises(InvalidArgument, match=f"^input 'token_type_ids' has {wrong}; the model has 0 to 1$"):
        bert.compute((ids, mask, NamedTensor(types.name, kinds)))


@pytest.mark.parametrize("kind", ["roberta", "t5", "llama"])
def test_other_encoders_are_read_as_they_are(folders: Path, target: Target, kind: str) -> None:
    """Without token types, half of an encoder-decoder, a decoder whose last token counts: PyTorch takes them all."""
    engine, graph = _graph(folders / kind, "pytorch", target)
    assert [spec.name for spec in graph.info.inputs] == ["input_ids", "attention_mask"]
    texts, vectors = _expected(folders / kind)
    np.testing.assert_allclose(_embedded(graph, folders / kind, texts), vectors, atol=2e-6)
    engine.close()


@pytest.mark.parametrize("library", ["openvino", "pytorch"])
def test_a_folder_may_have_its_encoder_inside_and_that_again_as_an_export(
    folders: Path, tmp_path: Path, target: Target, library: str
) -> None:
    """Weights where ``modules.json`` says are for PyTorch, and the IR in a folder there for OpenVINO."""
    shutil.copytree(folders / "mean", tmp_path, dirs_exist_ok=True)
    export = tmp_path / "0_Transformer" / "openvino"
    export.mkdir(parents=True)
    for path in [path for path in tmp_path.iterdir() if path.is_file()]:
        if path.name.startswith("openvino_model"):
            path.rename(export / path.name)
        elif path.name not in ("modules.json", "expected.json", "config_sentence_transformers.json"):
            path.rename(export.parent / path.name)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert detect(tmp_path) == "pytorch"
    engine, graph = _graph(tmp_path, library, on(target, library))
    texts, vectors = _expected(tmp_path)
    np.testing.assert_allclose(_embedded(graph, tmp_path, texts), vectors, atol=2e-6)
    engine.close()


def test_the_window_is_what_the_library_can_read(folders: Path) -> None:
    """Where nothing else says it: a table of nine positions holds fewer tokens where they begin behind padding's."""
    found, longest = {}, {}
    for folder in (folders / "windows").iterdir():
        (folder / "modules.json").write_text("[]")
        encodes = read_encoder(folder)
        found[folder.name] = encodes and encodes.context_window
        longest[folder.name] = json.loads((folder / "longest.json").read_text())
    assert found == longest
    assert (found["bert"], found["roberta"], found["xlm-roberta"]) == (9, 7, 5)


def test_a_folder_that_is_not_whole_is_refused(folders: Path, tmp_path: Path) -> None:
    """Weights that are missing are named; those that only a classifier needs may be."""
    config = json.loads((folders / "plain" / "config.json").read_text())
    for name in ("model.safetensors", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folders / "plain" / name).read_bytes())
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(OperatorError, match=r"^the weights in .* lack encoder\.layer\.2\."):
        Engine(GraphSource("x", "pytorch", tmp_path))
