"""TorchScript, which knows neither names nor dimensions: the manifest says them, and is held to them."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from tests.architecture import ROOT
from tests.contract.conftest import TINY, Graphs
from tests.contract.graphs import signature
from tests.contract.test_tensors import tensor_of
from wit_llm.backends.base import Signature, Target
from wit_llm.errors import BackendFailure, OperatorError
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.client import Engine, GraphSource

pytestmark = pytest.mark.slow

FP32 = TensorType.FP32
X, Y, BOTH = {"x": "FP32[2]"}, {"y": "FP32[2]"}, {"x": "FP32[2]", "y": "FP32[2]"}
KEEPS_NOTHING = "; a graph keeps nothing between computes"


# Kind of graph, signature, and what is said of them.
WRONG = {
    "no-signature": (
        "two",
        Signature(),
        (
            " is TorchScript, which knows neither types nor dimensions: [graphs.NAME] of the manifest says them, "
            "in the program's order, "
            'such as `inputs = { x = "FP32[1, ?]", y = "FP32[1, ?]" }` and '
            '`outputs = { output0 = "FP32[1, ?]", output1 = "FP32[1, ?]" }`; it has 0 inputs and 0 outputs'
        ),
    ),
    "too-few-inputs": ("two", signature(X, BOTH), "; it has 1 inputs and 2 outputs"),
    "too-few-outputs": ("two", signature(BOTH, X), "; it has 2 inputs and 1 outputs"),
    "too-many-inputs": ("two", signature(BOTH | {"z": "I64[1]"}, BOTH), "; it has 3 inputs and 2 outputs"),
    "no-outputs": ("pieces", signature(X, {}), "; it has 1 inputs and 0 outputs"),
    "argument": ("number", signature(X, Y), " wants times: int; a graph takes tensors only"),
    "dict": ("dictionary", signature(X, Y), " returns Dict[str, Tensor]; a graph gives tensors, one or several"),
    "no-forward": ("nothing", signature(X, Y), " has no method `forward`, which is what a graph computes"),
    "writes-on-a-buffer": ("buffer", signature(X, Y), f" writes on calls{KEEPS_NOTHING}"),
    "writes-on-part-of-a-buffer": ("view", signature(X, Y), f" writes on calls{KEEPS_NOTHING}"),
    "sets-an-attribute": ("attribute", signature(X, Y), f" writes on calls{KEEPS_NOTHING}"),
    "writes-on-a-constant": ("constant", signature(X, Y), f" writes on a constant{KEEPS_NOTHING}"),
    "pickle": (
        "pickle",
        signature(X, Y),
        (
            " is no TorchScript, and what else is called .pt is a pickle, which could run anything; "
            "make a program of the model with torch.export.save (*.pt2) or torch.jit.save (*.pt)"
        ),
    ),
}

SCRIPT = """
import sys
from pathlib import Path

import msgspec

from wit_llm.backends.base import Signature, Target
from wit_llm.backends.table import open_graph
from wit_llm.errors import OperatorError

said = {}
for case, (folder, signature) in msgspec.json.decode(sys.stdin.read(), type=dict[str, tuple[str, Signature]]).items():
    try:
        open_graph("pytorch", Path(folder), Target.CPU, {}, signature)
    except OperatorError as error:
        said[case] = str(error)
sys.stdout.write(msgspec.json.encode(said).decode())
"""


@pytest.fixture(scope="module")
def said(graphs: Graphs) -> dict[str, str]:
    """What is said of each, by one process that imports PyTorch for all of them."""
    cases = {case: (str(graphs.folder("torchscript", kind)), made) for case, (kind, made, _) in WRONG.items()}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=msgspec.json.encode(cases), capture_output=True, check=True, cwd=ROOT
    )
    return msgspec.json.decode(ended.stdout, type=dict[str, str])


@pytest.mark.parametrize("case", WRONG)
def test_says_what_is_wrong_with_a_script(graphs: Graphs, said: dict[str, str], case: str) -> None:
    """What a graph cannot be is refused when it is loaded, with the lines to write where lines are missing."""
    kind, _, text = WRONG[case]
    assert said[case].startswith(f"{graphs.folder('torchscript', kind)}/model.pt ")
    assert said[case].endswith(text)


@pytest.mark.parametrize("content", [pytest.param(b"\x80\x02}q\x00.", id="old-pickle"), pytest.param(b"", id="empty")])
def test_nothing_but_torchscript_is_opened(tmp_path: Path, content: bytes) -> None:
    """The suffix is shared with pickles, which are told apart before anything reads them."""
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(OperatorError, match=r"model\.pt is no TorchScript, and what else is called \.pt is a pickle"):
        Engine(GraphSource("x", "pytorch", tmp_path, signature=signature(X, Y)))


def test_broken_torchscript_is_an_error(graphs: Graphs, tmp_path: Path) -> None:
    """What looks like TorchScript and cannot be read says so."""
    with (
        zipfile.ZipFile(graphs.folder("torchscript", "two") / "model.pt") as whole,
        zipfile.ZipFile(tmp_path / "model.pt", "w") as broken,
    ):
        for name in whole.namelist():
            broken.writestr(name, whole.read(name).replace(b"def forward", b"def f(rward"))
    with pytest.raises(OperatorError, match=r"model\.pt cannot be read as TorchScript: "):
        Engine(GraphSource("x", "pytorch", tmp_path, signature=signature(BOTH, BOTH)))


@pytest.mark.parametrize(
    ("backend", "folder", "files"),
    [
        pytest.param("openvino", None, "model.xml", id="ir"),
        pytest.param("pytorch", None, "same.pt2", id="exported-program"),
        pytest.param("pytorch", TINY, "a transformers model", id="transformers"),
        pytest.param("echo", TINY, "an echo", id="echo"),
    ],
)
def test_nobody_else_takes_a_signature(graphs: Graphs, backend: str, folder: Path | None, files: str) -> None:
    """What the files say themselves is not said twice, and no line of the manifest is passed over."""
    text = f"{files} says what it takes and gives; leave out [graphs.NAME.inputs] and [graphs.NAME.outputs]"
    where = folder or graphs.folder(backend, "same")
    with pytest.raises(OperatorError, match=f"^{re.escape(text)}$"):
        Engine(GraphSource("x", backend, where, signature=signature(X, Y)))


def _input(*values: float) -> Admitted:
    return Admitted((NamedTensor("x", tensor_of(FP32, values)),))


def test_names_are_the_manifests_in_its_order(graphs: Graphs, target: Target) -> None:
    """The first line is the first argument, whatever it is called in the program; so are the outputs."""
    said = signature({"second": "FP32[2]", "first": "FP32[2]"}, {"difference": "FP32[?]", "sum": "FP32[2]"})
    engine = Engine(graphs.source("torchscript", "two", target, said))
    assert (engine.info.inputs, engine.info.outputs) == (said.inputs, said.outputs)
    tensors = (NamedTensor("second", tensor_of(FP32, [5, 7])), NamedTensor("first", tensor_of(FP32, [1, 2])))
    assert engine.compute(Admitted(tensors)) == (
        NamedTensor("difference", tensor_of(FP32, [6, 9])),
        NamedTensor("sum", tensor_of(FP32, [4, 5])),
    )
    engine.close()


def test_an_argument_with_a_default_may_be_left_out(graphs: Graphs, target: Target) -> None:
    """Only what the program cannot do without has to be in the manifest."""
    engine = Engine(graphs.source("torchscript", "optional", target, signature(X, Y)))
    assert engine.compute(_input(1, 2)) == (NamedTensor("y", tensor_of(FP32, [3, 6])),)
    engine.close()


def test_a_list_is_as_many_outputs_as_the_manifest_says(graphs: Graphs, target: Target) -> None:
    """How many come shows when it has computed, and is compared then."""
    said = signature({"x": "FP32[?]"}, {"first": "FP32[2]", "second": "FP32[?]"})
    engine = Engine(graphs.source("torchscript", "pieces", target, said))
    outputs = NamedTensor("first", tensor_of(FP32, [1, 2])), NamedTensor("second", tensor_of(FP32, [3]))
    assert engine.compute(_input(1, 2, 3)) == outputs
    with pytest.raises(BackendFailure, match="^3 outputs came; the manifest has 2$"):
        engine.compute(_input(1, 2, 3, 4, 5))
    engine.close()


@pytest.mark.parametrize(
    ("output", "text"),
    [
        pytest.param("FP64[2]", "output 'y' came as float32[2]; the manifest says FP64[2]", id="type"),
        pytest.param("FP32[3]", "output 'y' came as float32[2]; the manifest says FP32[3]", id="dimension"),
        pytest.param("FP32[?, ?]", "output 'y' came as float32[2]; the manifest says FP32[?, ?]", id="rank"),
    ],
)
def test_outputs_are_held_against_the_manifest(graphs: Graphs, target: Target, output: str, text: str) -> None:
    """An output that the manifest does not describe is an error, and no cast."""
    engine = Engine(graphs.source("torchscript", "optional", target, signature(X, {"y": output})))
    with pytest.raises(BackendFailure, match=f"^{re.escape(text)}$"):
        engine.compute(_input(1, 2))
    engine.close()


def test_a_single_value_has_no_axes_inside_and_one_outside(graphs: Graphs, target: Target) -> None:
    """``FP32[]`` is what PyTorch calls a scalar; guests see dimensions ``[1]``."""
    said = signature({"x": "FP32[]"}, {"y": "FP32[]"})
    engine = Engine(graphs.source("torchscript", "optional", target, said))
    assert [str(spec) for spec in (*engine.info.inputs, *engine.info.outputs)] == ["FP32[1]", "FP32[1]"]
    assert engine.compute(_input(2)) == (NamedTensor("y", Tensor((1,), FP32, tensor_of(FP32, [6]).data)),)
    engine.close()


def test_deprecation_is_no_failure(graphs: Graphs, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """That PyTorch prefers another format is no reason not to read this one, also where warnings are errors."""
    monkeypatch.setenv("PYTHONWARNINGS", "error::DeprecationWarning")
    engine = Engine(graphs.source("torchscript", "optional", target, signature(X, Y)))
    assert engine.compute(_input(1, 2)) == (NamedTensor("y", tensor_of(FP32, [3, 6])),)
    engine.close()
