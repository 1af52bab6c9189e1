"""Graph folders that are whole, in each format, and folders that are not: a typed error, and no crash of the host."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.architecture import ROOT
from tests.contract.conftest import TINY, Graphs
from wit_llm.backends.base import Target
from wit_llm.errors import OperatorError, Unsupported
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorSpec, TensorType
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _field(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message, shorter than 128 bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def _onnx() -> bytes:
    """The smallest model that doubles an FP32 ``x`` of any length into ``y``."""
    axis = _field(1, _field(2, b"n"))
    kind = _field(2, _field(1, _field(1, 1) + _field(2, axis)))
    node = _field(1, b"x") + _field(1, b"x") + _field(2, b"y") + _field(4, b"Add")
    graph = _field(1, node) + _field(2, b"g") + _field(11, _field(1, b"x") + kind) + _field(12, _field(1, b"y") + kind)
    return _field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph)


def test_onnx_is_a_graph(tmp_path: Path) -> None:
    """A folder with one ONNX file computes like any other."""
    (tmp_path / "double.onnx").write_bytes(_onnx())
    engine = Engine(GraphSource("x", "openvino", tmp_path))
    spec = TensorSpec("x", TensorType.FP32, (None,))
    assert (engine.info.inputs, engine.info.outputs) == ((spec,), (TensorSpec("y", TensorType.FP32, (None,)),))
    values = np.array([1, 2.5, -3], np.float32)
    (output,) = engine.compute(Admitted((NamedTensor("x", Tensor((3,), TensorType.FP32, values.tobytes())),)))
    assert output == NamedTensor("y", Tensor((3,), TensorType.FP32, (2 * values).tobytes()))
    engine.close()


def test_an_ir_without_a_config_takes_tensors_only(tmp_path: Path) -> None:
    """A language model that does not say how large its vocabulary is cannot be prompted, and computes all the same."""
    for name in ("openvino_model.xml", "openvino_model.bin"):
        shutil.copy(TINY / name, tmp_path)
    engine = Engine(GraphSource("x", "openvino", tmp_path))
    assert engine.info.text is None
    assert "beam_idx" not in {spec.name for spec in engine.info.inputs}
    engine.close()


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def _copy(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            shutil.copy(TINY / name, folder)

    return make


def _broken(name: str, size: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        _copy("openvino_model.xml", "openvino_model.bin", "config.json")(folder)
        _cut(folder / name, size)

    return make


def _junk(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).write_bytes(bytes(range(256)) * 4)

    return make


def _config(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        _copy("openvino_model.xml", "openvino_model.bin")(folder)
        (folder / "config.json").write_text(text)

    return make


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(
            _copy("openvino_model.xml"),
            "{folder}/openvino_model.xml cannot be read by OpenVINO: "
            "Empty weights data in bin file or bin file cannot be found!",
            id="no-weights",
        ),
        pytest.param(
            _broken("openvino_model.bin", 400_000),
            "{folder}/openvino_model.xml cannot be read by OpenVINO: Incorrect weights in bin file!",
            id="cut-weights",
        ),
        pytest.param(
            _broken("openvino_model.xml", 100_000),
            "{folder}/openvino_model.xml cannot be read by OpenVINO: Start-end tags mismatch at offset 99999",
            id="cut-xml",
        ),
        pytest.param(
            _junk("model.xml"),
            '{folder}/model.xml cannot be read by OpenVINO: Unable to read the model: "{folder}/model.xml"',
            id="junk-xml",
        ),
        pytest.param(
            _junk("m.onnx"),
            '{folder}/m.onnx cannot be read by OpenVINO: Unable to read the model: "{folder}/m.onnx"',
            id="junk-onnx",
        ),
        pytest.param(
            _junk("a.onnx", "b.onnx"),
            "{folder} holds 2 files *.onnx (a.onnx, b.onnx); a graph is a folder with one",
            id="two",
        ),
        pytest.param(
            _junk("README"),
            "{folder} holds neither openvino_model.xml nor model.xml nor a file *.onnx or *.gguf",
            id="none",
        ),
        pytest.param(_config("{"), "{folder}/config.json: Input data was truncated", id="cut-config"),
        pytest.param(
            _config('{"max_position_embeddings": 9}'),
            "config.json does not say 'vocab_size', without which no prompt can be checked",
            id="no-vocabulary",
        ),
        pytest.param(
            _config('{"vocab_size": 640}'),
            "config.json does not say 'max_position_embeddings', without which no prompt can be checked",
            id="no-window",
        ),
    ],
)
def test_openvino_says_what_is_wrong_with_a_folder(tmp_path: Path, make: Callable[[Path], None], text: str) -> None:
    """A folder that is not whole is an error that names the file and what is wrong with it."""
    make(tmp_path)
    expected = re.escape(text.replace("{folder}", str(tmp_path)))
    with pytest.raises(OperatorError, match=f"^{expected}"):
        Engine(GraphSource("x", "openvino", tmp_path))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param(
            {"cache": "1"},
            "setting 'cache' of backend 'openvino' is unknown; known: cache_size_gb, prefix_caching, "
            "max_num_batched_tokens, max_num_seqs, num_threads, precision, kv_cache_precision, constraints_mb, "
            "prompt_lookup, large_pages",
            id="unknown",
        ),
        pytest.param(
            {"precision": "f8"},
            "settings of backend 'openvino': Invalid enum value 'f8' - at `$.precision`; it is one of f32, f16, bf16",
            id="no-such-precision",
        ),
        pytest.param({"precision": "bf16", "kv_cache_precision": "f32"}, "OpenVINO cannot generate with ", id="clash"),
    ],
)
def test_openvino_refuses_settings_that_do_not_work(settings: dict[str, str], text: str) -> None:
    """Neither a setting that is not known nor one that the library does not take is passed over."""
    with pytest.raises(OperatorError, match=f"^{re.escape(text)}"):
        Engine(GraphSource("tiny", "openvino", TINY, settings=settings))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"cache_size_gb": "1"}, id="cache-size"),
        pytest.param({"prefix_caching": "false", "max_num_batched_tokens": "16"}, id="small-steps"),
        pytest.param({"num_threads": "1", "precision": "f32", "kv_cache_precision": "f32"}, id="exact"),
        pytest.param({"large_pages": "false"}, id="small-pages"),
    ],
)
def test_openvino_takes_its_settings(settings: dict[str, str]) -> None:
    """A graph loads with each of its settings."""
    engine = Engine(GraphSource("tiny", "openvino", TINY, settings=settings))
    assert engine.info.text is not None
    engine.close()


def test_openvino_refuses_a_device_that_is_not_there() -> None:
    """No target is replaced by another in silence."""
    with pytest.raises(Unsupported, match="^backend 'openvino' has no target tpu on this machine; it has cpu"):
        Engine(GraphSource("tiny", "openvino", TINY, Target.TPU))


def _pytorch_folders(root: Path) -> dict[str, str]:
    """Folders that are not whole, and what is to be said of each."""
    said = {}

    def folder(name: str, text: str) -> Path:
        said[name] = text.replace("{folder}", str(root / name))
        (root / name).mkdir()
        return root / name

    def model(name: str, text: str, **changes: object) -> Path:
        made = folder(name, text)
        _copy("model.safetensors")(made)
        config = {**json.loads((TINY / "config.json").read_text()), **changes}
        (made / "config.json").write_text(json.dumps(config))
        return made

    _cut(model("cut", "{folder} cannot be read by transformers: ") / "model.safetensors", 100_000)
    code = {"auto_map": {"AutoConfig": "m.C", "AutoModelForCausalLM": "m.M"}}
    wants = "{folder} wants to run Python code of its own (auto_map in config.json), as transformers does not know the "
    mark = model("code", f"{wants}family 'from-mars'; it never will", model_type="from-mars", **code)
    (mark / "m.py").write_text(f"open({str(root / 'it-ran')!r}, 'w')")
    model("deeper", "the weights in {folder} lack model.layers.4.", num_hidden_layers=5)
    model("wider", "{folder} cannot be read by transformers: ", hidden_size=256)
    model("alien", "{folder} cannot be read by transformers: ", model_type="from-mars")
    empty = "{folder} holds 0 files *.pt2 or *.pt, and not both config.json and *.safetensors; a graph is a folder "
    _copy("config.json")(folder("nothing", empty))
    _junk("pytorch_model.bin", "config.json")(folder("pickle", empty))
    two = folder("two", empty.replace("0 files", "2 files"))
    _junk("m.pt2", "m.pt")(two)
    junk = folder("junk", "{folder}/m.pt2 cannot be read as an exported program: ")
    _junk("m.pt2")(junk)
    for name, file in (("pickled", "m/data/constants/opaque_obj_0"), ("library", "m/data/aotinductor/model/a.so")):
        path = folder(name, f"{{folder}}/m.pt2 holds {file}, which is code; only plain programs are run") / "m.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(file, b"\x80\x04.")
    return said


SCRIPT = """
import json, sys
from pathlib import Path
from wit_llm.backends.base import Signature, Target
from wit_llm.backends.table import open_graph
from wit_llm.errors import WitLLMError

said = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        open_graph("pytorch", folder, Target.CPU, {}, Signature())
    except WitLLMError as error:
        said[folder.name] = [type(error).__name__, str(error)]
print(json.dumps(said))
"""


@pytest.mark.slow
def test_pytorch_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    """A folder that is not whole, or that brings code, is an error that names it; nothing in it is run."""
    expected = _pytorch_folders(tmp_path)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    said = json.loads(ended.stdout)
    assert {name: error for name, (error, _) in said.items()} == dict.fromkeys(expected, "OperatorError")
    for name, text in expected.items():
        assert said[name][1].startswith(text)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.slow
def test_pytorch_passes_code_over_where_it_knows_the_family(tmp_path: Path) -> None:
    """A folder from the days when transformers had to be told what its model is loads without its code."""
    folder = tmp_path / "older"
    folder.mkdir()
    _copy("model.safetensors")(folder)
    config = json.loads((TINY / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "m.C", "AutoModelForCausalLM": "m.M"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "m.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')")
    engine = Engine(GraphSource("tiny", "pytorch", folder))
    assert engine.info.text is not None
    assert engine.info.text.vocab_size == 640
    engine.close()
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.slow
def test_pytorch_never_unpickles(graphs: Graphs, tmp_path: Path) -> None:
    """A program whose example inputs are a pickle that would run code is refused, and the code does not run."""
    path = tmp_path / "narrow.pt2"
    mark = tmp_path / "it-ran"
    pickle = f"cos\nsystem\n(S'touch {mark}'\ntR.".encode()
    with zipfile.ZipFile(graphs.folder("pytorch", "narrow") / path.name) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert "narrow/data/sample_inputs/model.pt" in files
    files["narrow/data/sample_inputs/model.pt"] = pickle
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(OperatorError, match=r"narrow\.pt2 cannot be read as an exported program: "):
        Engine(GraphSource("x", "pytorch", tmp_path))
    assert not mark.exists()


@pytest.mark.slow
def test_pytorch_refuses_a_device_that_is_not_there() -> None:
    """No target is replaced by another in silence."""
    with pytest.raises(Unsupported, match="^backend 'pytorch' has no target tpu on this machine; it has cpu"):
        Engine(GraphSource("tiny", "pytorch", TINY, Target.TPU))
