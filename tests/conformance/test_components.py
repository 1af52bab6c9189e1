"""What is committed belongs to its sources: components, models, and the numbers in them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime.component as wc
from wasmtime import Engine

from tests.architecture import ROOT
from wit_llm.conformance.suite import BACKENDS, IN_C, MODELS
from wit_llm.embedded.c import build
from wit_llm.embedded.conformance.build import SUITE


def test_committed_components_belong_to_their_sources() -> None:
    """Compiling the committed C and text again gives what the committed components hold."""
    assert SUITE.stale() == []


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        pytest.param(
            "guest/numbers.c",
            "TOLERANCE 0.01f",
            "TOLERANCE 0.02f",
            "nn.wasm is not what its sources make",
            id="c",
        ),
        pytest.param(
            "guest/prompt.c",
            "Write a long story.",
            "Write a story.",
            "prompt.wasm is not what its sources make",
            id="prompt",
        ),
        pytest.param(
            "linking/graph.wat",
            "no-such-graph",
            "no-good-graph",
            "linking/graph.wasm is not what its sources make",
            id="text",
        ),
        pytest.param(
            "conformance.lock.json",
            '"wit-llm": "',
            '"wit-llm": "0',
            "wit-llm is not what conformance.lock.json has",
            id="wit",
        ),
        pytest.param(
            "models/openvino/numbers/model.xml",
            "<net ",
            "<net  ",
            "nn.wasm is not what its sources make",
            id="model",
        ),
    ],
)
def test_a_changed_source_makes_a_component_stale(tmp_path: Path, name: str, old: str, new: str, reason: str) -> None:
    """Every source that a component is made of is watched."""
    shutil.copytree(build.HERE, tmp_path / "c")  # whose header the guest of prompts includes
    folder = shutil.copytree(SUITE.home, tmp_path / "conformance")
    before = (folder / name).read_text()
    assert old in before
    (folder / name).write_text(before.replace(old, new))
    assert SUITE.stale(folder) == [reason, "run: python -m wit_llm.embedded.conformance.build"]


def test_header_numbers_cases_as_the_wit_has_them() -> None:
    """Types, codes, encodings and targets stand in wasi_nn.h in the order of the WIT."""
    header = (SUITE.home / "guest" / "wasi_nn.h").read_text()
    numbered = {
        comment: [f"NN_{word}" for word in re.findall(r"NN_(\w+)", body)]
        for body, comment in re.findall(r"^enum \{([^}]*)\};\s*/\* ([\w-]+) \*/", header, re.MULTILINE)
    }
    wit = (ROOT / "wit-llm" / "deps" / "wasi-nn" / "nn.wit").read_text()
    enums = {
        name: [f"NN_{word.strip().upper().replace('-', '_')}" for word in body.split(",") if word.strip()]
        for name, body in re.findall(r"enum ([\w-]+) \{([^}]*)\}", wit)
    }
    assert numbered == enums


def test_the_guest_calls_every_function_of_wasi_nn() -> None:
    """No function of the standard is left out by the suite."""
    engine = Engine()
    imports = wc.Component(engine, IN_C.nn.read_bytes()).type.imports(engine)
    called = set()
    for name, extern in imports.items():
        if name.startswith("wasi:nn/") and isinstance(extern.ty, wc.ComponentInstanceType):
            called |= {item for item, export in extern.ty.exports(engine).items() if isinstance(export.ty, wc.FuncType)}
    assert called == {
        "[constructor]tensor",
        "[method]tensor.dimensions",
        "[method]tensor.ty",
        "[method]tensor.data",
        "[method]error.code",
        "[method]error.data",
        "load",
        "load-by-name",
        "[method]graph.init-execution-context",
        "[method]graph-execution-context.compute",
    }


def test_every_model_is_there_in_every_format() -> None:
    """The same expectations need the same models; each is small, and none names the machine it was made on."""
    names = {name: sorted(backend.graphs) for name, backend in BACKENDS.items()}
    assert names == dict.fromkeys(BACKENDS, sorted(BACKENDS["onnx"].graphs))
    assert len(names["onnx"]) == 15
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 16_000
    assert [path for path in files if re.search(rb"/(home|root|work|tmp|usr)/", path.read_bytes())] == []


@pytest.mark.slow
def test_models_are_what_their_script_makes(tmp_path: Path) -> None:
    """The ONNX files are the script's, byte by byte; what other libraries write differs from release to release."""
    code = "import sys; from pathlib import Path; from wit_llm.embedded.conformance import make_models as m; "
    code += "[(Path(sys.argv[1]) / x.name).write_bytes(x.onnx()) for x in m.models()]"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {name: (folder / "model.onnx").read_bytes() for name, folder in BACKENDS["onnx"].graphs.items()}
