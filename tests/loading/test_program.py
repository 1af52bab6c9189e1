"""What is let through of a guest's ``torch.export`` archive: operators on tensors, and nothing that PyTorch runs."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wit_llm
from wit_llm.errors import InvalidEncoding
from wit_llm.loading.program import rewritten

MODELS = Path(wit_llm.__file__).parent / "embedded" / "conformance" / "models"
NUMBERS = (MODELS / "pytorch" / "numbers" / "model.pt2").read_bytes()
MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"

Json = Any
Change = Callable[[Json], object]


def _files(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return {name.partition("/")[2]: source.read(name) for name in source.namelist()}


def _archive(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as out:
        for name, content in files.items():
            out.writestr(f"model/{name}", content)
    return target.getvalue()


def _changed(change: Change, name: str = MODEL) -> bytes:
    """The archive with something changed in one of its JSON files."""
    files = _files(NUMBERS)
    content = json.loads(files[name])
    change(content)
    return _archive(files | {name: json.dumps(content).encode()})


def _nodes(model: Json) -> Json:
    return model["graph_module"]["graph"]["nodes"]


def _signature(model: Json) -> Json:
    return model["graph_module"]["module_call_graph"][0]["signature"]


def _size_of_x(expression: str) -> Change:
    size = {"as_expr": {"expr_str": expression, "hint": {"as_int": 5}}}
    return lambda model: model["graph_module"]["graph"]["tensor_values"]["x"]["sizes"].append(size)


def _tree(root: object) -> Change:
    return lambda model: _signature(model).update(in_spec=json.dumps([1, root]))


def _node(context: str, ty: str = "builtins.dict") -> dict[str, object]:
    return {"type": ty, "context": context, "children_spec": []}


def _argument(**argument: object) -> Change:
    return lambda model: _nodes(model)[0]["inputs"].append({"name": "x", "arg": argument, "kind": 1})


@pytest.mark.parametrize("path", sorted((MODELS / "pytorch").glob("*/model.pt2")), ids=lambda path: path.parent.name)
def test_what_is_let_through_is_the_same_program(path: Path) -> None:
    """Operators, sizes, weights and signature are as they were; notes and traced inputs are gone; twice is the same."""
    before, after = _files(path.read_bytes()), _files(rewritten(path.read_bytes()))
    was, is_ = json.loads(before[MODEL]), json.loads(after[MODEL])
    for node in _nodes(was):
        node["metadata"] = {}
    assert is_ == was
    assert after["data/sample_inputs/model.pt"] == b""
    kept = {name for name in before if name.startswith("data/weights/weight_")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert set(after) <= set(before)
    assert _files(rewritten(rewritten(path.read_bytes()))) == after


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.aten.add.__init__",
        "torch.ops.aten.__class__.mro",
        "torch.ops.aten.add.Tensor.redispatch",
        "torch.ops.aten._test_string_default.default",
        "torch.ops.prims.add.default",
        "torch.ops.higher_order.cond",
        "torch.ops.load_library",
        "torch.sym_int.__globals__",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "math.__loader__",
        "#custom:thing",
        "os.system",
        "torch.ops.aten.add.Tensor\n",
        "",
    ],
)
def test_only_operators_on_tensors_and_sizes_go(target: str) -> None:
    """Whatever else can be reached by a name is refused, files that ATen itself opens too."""
    with pytest.raises(InvalidEncoding, match="the archive holds the target"):
        rewritten(_changed(lambda model: _nodes(model)[0].update(target=target)))


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "Symbol('s0', positive=True, integer=True).__class__",
        "Symbol('x')",
        "Symbol('s0'),__import__('os')",
        "lambdify(1, 2)",
        "Integer(1).func",
        "S('1')",
        "Integer(1)\nInteger(2)",
    ],
)
def test_sizes_are_arithmetic(expression: str) -> None:
    """An expression, which would be evaluated as Python, has symbols, numbers and known functions only."""
    with pytest.raises(InvalidEncoding, match="the archive holds the expr_str"):
        rewritten(_changed(_size_of_x(expression)))


@pytest.mark.parametrize(
    "expression",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Add(Symbol('s0', integer=True), Mul(Integer(-1), FloorDiv(Symbol('u12'), Integer(2))))",
        "Max(Integer(1), Pow(Symbol('s4', positive=True, integer=True), Integer(2)))",
    ],
)
def test_sizes_may_be_any_arithmetic(expression: str) -> None:
    """What ``torch.export`` writes of sizes that are not fixed is let through as it is."""
    assert expression in _files(rewritten(_changed(_size_of_x(expression))))[MODEL].decode()


@pytest.mark.parametrize(
    ("guard", "goes"),
    [
        ("L['x'].size()[1] % 2 == 0", True),
        ("L['d']['k'].size()[0] <= 64 and not L['x'].stride()[0] == max(1, 2 // 3)", True),
        ("__import__('os').system('true')", False),
        ("L['x'].size()[0] == 1) or print(1", False),
        ("L['x'].__class__ == 1", False),
        ("L['x'].size()[0] == 1\nprint(1)", False),
        ('L["x"].size()[0] == (lambda: 1)()', False),
        ("L['x' + 'y'].size()[0] == 1", False),
    ],
)
def test_guards_compare_sizes(guard: str, goes: bool) -> None:
    """A guard, which would be executed as Python, compares sizes of inputs."""
    changed = _changed(lambda model: model.update(guards_code=[guard]))
    if goes:
        assert json.loads(_files(rewritten(changed))[MODEL])["guards_code"] == [guard]
    else:
        with pytest.raises(InvalidEncoding, match="the archive holds the guards_code"):
            rewritten(changed)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_tree(_node('{"__enum__": true, "fqn": "os:x", "name": "y"}')), id="enum-of-a-module"),
        pytest.param(_tree(_node('{"default_factory_module": "os"}', "collections.defaultdict")), id="defaultdict"),
        pytest.param(_tree(_node('["a b"]')), id="key-that-is-no-name"),
        pytest.param(_argument(as_operator="torch.os.system"), id="operator-as-argument"),
        pytest.param(_argument(as_custom_obj={"name": "a", "class_fqn": "b"}), id="custom-object"),
        pytest.param(_argument(as_graph={"name": "a", "graph": {}}), id="graph-as-argument"),
        pytest.param(lambda model: _nodes(model)[0].update(name="x = print(1)"), id="name-that-is-code"),
        pytest.param(lambda model: model["range_constraints"].update({"s0; print(1)": {}}), id="key-that-is-code"),
        pytest.param(lambda model: _nodes(model)[0]["inputs"][0].update(name="a, *b"), id="argument-that-is-code"),
    ],
)
def test_no_other_text_carries_code(change: Change) -> None:
    """Names are names: nothing of a model becomes Python, a module or an object of another kind."""
    with pytest.raises(InvalidEncoding, match="the archive holds"):
        rewritten(_changed(change))


def test_notes_of_the_exporter_are_dropped_unread() -> None:
    """Metadata may be anything, as nothing of it is let through."""

    def note(model: Json) -> None:
        _nodes(model)[0]["metadata"] = {"source_fn_stack": "x,torch.os.system", "custom": "__import__('os')"}

    assert b"system" not in rewritten(_changed(note))


def test_pickles_are_never_let_through() -> None:
    """Weights and constants are plain tensors; traced inputs, a pickle always, are left out."""
    evil = pickle.dumps(print)
    files = _files(NUMBERS)
    out = _files(rewritten(_archive(files | {"data/sample_inputs/model.pt": evil, "data/weights/model.pt": evil})))
    assert evil not in out.values()
    assert "data/weights/model.pt" not in out

    def pickled(config: Json) -> None:
        config["config"]["hidden"]["use_pickle"] = True

    def opaque(config: Json) -> None:
        config["config"]["k"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False}

    with pytest.raises(InvalidEncoding, match="weight_0 is a pickle, which is code; only tensors go"):
        rewritten(_changed(pickled, WEIGHTS))
    with pytest.raises(InvalidEncoding, match="opaque_obj_0 is a pickle, which is code; only tensors go"):
        rewritten(_changed(opaque, CONSTANTS))


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        pytest.param(
            (MODELS / "torchscript" / "add" / "model.pt").read_bytes(),
            "the archive is TorchScript, which is code; make one with torch.export.save",
            id="torchscript",
        ),
        pytest.param(
            _archive(_files(NUMBERS), zipfile.ZIP_DEFLATED),
            "the archive is compressed; torch.export.save does not do that",
            id="compressed",
        ),
        pytest.param(
            _archive({name: data for name, data in _files(NUMBERS).items() if name != "data/weights/weight_1"}),
            "the archive has no data/weights/weight_1",
            id="weight-missing",
        ),
        pytest.param(
            _archive(_files(NUMBERS) | {MODEL: b"[" * 100_000}), "the archive's model is nested too deep", id="deep"
        ),
        pytest.param(_archive({"x": b""}), "the archive has no models/model.json", id="another-zip"),
    ],
)
def test_archives_of_another_kind_are_refused(archive: bytes, told: str) -> None:
    """What it is instead is said."""
    with pytest.raises(InvalidEncoding) as caught:
        rewritten(archive)
    assert str(caught.value).startswith(told)


def test_junk_is_refused_and_nothing_else_happens() -> None:
    """Bytes flipped, cut off and put in anywhere give the archive or an error, and never another exception."""
    chance = random.Random(0)
    for _ in range(400):
        data = bytearray(NUMBERS)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randrange(1, 400)]
                case 2:
                    data[at:at] = struct.pack("<I", chance.choice([0, 0xFFFFFFFF, 0x7FFFFFFF, 0x04034B50]))
        try:
            rewritten(bytes(data))
        except InvalidEncoding:
            continue
