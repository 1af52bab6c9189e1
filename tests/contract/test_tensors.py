"""What every backend does with tensors: the same names, the same order, every type, and nothing kept."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.contract.conftest import Graphs
from tests.worker.asking import open_descriptors
from wit_llm.errors import InvalidArgument, OperatorError, Unsupported
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorSpec, TensorType
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

NUMPY = {
    TensorType.FP16: np.float16,
    TensorType.FP32: np.float32,
    TensorType.FP64: np.float64,
    TensorType.U8: np.uint8,
    TensorType.I32: np.int32,
    TensorType.I64: np.int64,
}
EVERY_TYPE = (*NUMPY, TensorType.BF16)


def _tensor(ty: TensorType, values: ArrayLike) -> Tensor:
    """Values that each type holds exactly; BF16 is the upper half of FP32."""
    if ty is TensorType.BF16:
        halves = np.asarray(values, np.float32).view(np.uint16).reshape(*np.shape(values), 2)
        return Tensor(np.shape(values) or (1,), ty, halves[..., 1].tobytes())
    array = np.asarray(values, NUMPY[ty])
    return Tensor(array.shape or (1,), ty, array.tobytes())


def _inputs(engine: Engine, rows: Sequence[Sequence[int]], single: float, u8: bytes = b"\x01\x02") -> Admitted:
    """A tensor for each input of the graph of every type, in its order."""
    tensors = {f"in_{ty.value.lower()}": _tensor(ty, rows) for ty in EVERY_TYPE}
    tensors["in_u8"] = Tensor((len(u8),), TensorType.U8, u8)
    tensors["in_single"] = _tensor(TensorType.FP32, single)
    names = [spec.name for spec in engine.info.inputs] or list(tensors)
    return Admitted(tuple(NamedTensor(name, tensors[name]) for name in names))


def _expected(engine: Engine, rows: Sequence[Sequence[int]], single: float, u8: bytes = b"\x02\x04") -> list[object]:
    """What a graph that doubles answers; echo returns its inputs."""
    doubled = _inputs(engine, [[2 * value for value in row] for row in rows], 2 * single, u8).tensors
    return [(named.name.replace("in_", "out_"), named.tensor) for named in doubled]


def _answer(engine: Engine, admitted: Admitted) -> list[object]:
    """Outputs as ``_expected`` has them; what echo returns is doubled here, so that one expectation does for all."""
    outputs = engine.compute(admitted)
    if engine.info.any_tensors:
        assert [(o.name, o.tensor.ty, bytes(o.tensor.data)) for o in outputs] == [
            (i.name, i.tensor.ty, bytes(i.tensor.data)) for i in admitted.tensors
        ]
        return []
    return [(o.name, Tensor(o.tensor.dimensions, o.tensor.ty, bytes(o.tensor.data))) for o in outputs]


def test_says_what_it_takes_and_gives(types: Engine, backend: str) -> None:
    """Every input and output has the model's own name, type and axes; a single value has one axis."""
    if backend.startswith("echo"):
        assert (types.info.inputs, types.info.outputs, types.info.any_tensors) == ((), (), True)
        return
    there = {"openvino": "fp16 fp32 bf16 u8 i32 i64", "pytorch": "fp16 fp32 fp64 bf16 u8 i32 i64"}[backend].split()

    def specs(prefix: str) -> tuple[TensorSpec, ...]:
        axes = {"u8": (None,), "single": (1,)}
        kinds = {"single": TensorType.FP32}
        return tuple(
            TensorSpec(f"{prefix}_{name}", kinds.get(name) or TensorType(name.upper()), axes.get(name, (None, 3)))
            for name in (*there, "single")
        )

    assert (types.info.inputs, types.info.outputs) == (specs("in"), specs("out"))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([[1, 2, 3]], id="one-row"),
        pytest.param([[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 60]], id="four-rows"),
    ],
)
def test_computes_every_type(types: Engine, rows: list[list[int]]) -> None:
    """Each type arrives and leaves as it is, in the model's order, whatever size a free axis has."""
    answer = _answer(types, _inputs(types, rows, 1.5))
    assert answer == ([] if types.info.any_tensors else _expected(types, rows, 1.5))


def test_keeps_nothing_between_computes(types: Engine) -> None:
    """Computes from several threads at once each see their own inputs, and those only."""
    wrong: list[object] = []

    def guest(number: int) -> None:
        for _ in range(10):
            rows = [[number, number + 1, number + 2]] * (number + 1)
            answer = _answer(types, _inputs(types, rows, number))
            if answer != ([] if types.info.any_tensors else _expected(types, rows, number)):
                wrong.append(answer)

    threads = [threading.Thread(target=guest, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_large_tensors_are_byte_exact(types: Engine) -> None:
    """16 MiB go in and come out by shared memory, every byte in its place."""
    data = np.frombuffer(os.urandom(16 << 20), np.uint8) // 2
    answer = _answer(types, _inputs(types, [[1, 2, 3]], 1, data.tobytes()))
    assert answer == ([] if types.info.any_tensors else _expected(types, [[1, 2, 3]], 1, (2 * data).tobytes()))


def test_computes_as_often_as_one_likes(types: Engine) -> None:
    """Hundreds of computes with large tensors leave no descriptor open, neither here nor in the worker."""
    process = types.pid or os.getpid()
    small, large = _inputs(types, [[1, 2, 3]], 1), _inputs(types, [[1, 2, 3]], 1, bytes(100_000))
    types.compute(large)
    types.compute(small)  # whose answer says that the worker has let go of the large one
    before = open_descriptors(), open_descriptors(process)
    for _ in range(200):
        types.compute(large)
    types.compute(small)
    assert (open_descriptors(), open_descriptors(process)) == before


def test_openvino_refuses_integers_that_it_would_cut_off(graphs: Graphs) -> None:
    """OpenVINO computes I64 in 32 bits: a value that does not fit is an error, and not another value."""
    engine = Engine(GraphSource("types", "openvino", graphs.folder("openvino", "types")))

    def answer(value: int) -> list[object]:
        wide = NamedTensor("in_i64", _tensor(TensorType.I64, [[value, 0, 0]]))
        inputs = _inputs(engine, [[1, 2, 3]], 1).tensors
        return _answer(engine, Admitted(tuple(wide if one.name == wide.name else one for one in inputs)))

    with pytest.raises(Unsupported, match="^input 'in_i64' has values beyond 32 bits, which OpenVINO would cut off$"):
        answer(2**31)
    assert answer(-(2**30))[5] == ("out_i64", _tensor(TensorType.I64, [[-(2**31), 0, 0]]))
    engine.close()


def test_openvino_refuses_fp64(graphs: Graphs) -> None:
    """OpenVINO computes FP64 in 32 bits: such a graph is refused when it is loaded, with the types that go."""
    text = (
        "tensor 'in_fp64' has elements of type f64; backend 'openvino' takes f16, f32, bf16, u8, i32, i64 "
        "(f64 not, because OpenVINO computes it in 32 bits)"
    )
    with pytest.raises(Unsupported, match=f"^{re.escape(text)}$"):
        Engine(GraphSource("types", "openvino", graphs.folder("openvino", "fp64")))


@pytest.mark.slow
def test_pytorch_refuses_a_program_that_remembers(graphs: Graphs) -> None:
    """A program that writes on its buffers would let one compute see another."""
    with pytest.raises(OperatorError, match=r"counter\.pt2 writes on calls; a graph keeps nothing between computes$"):
        Engine(GraphSource("counter", "pytorch", graphs.folder("pytorch", "counter")))


@pytest.mark.slow
def test_pytorch_names_the_dimensions_that_a_program_excludes(graphs: Graphs) -> None:
    """A program's own conditions on a free axis are the guest's to meet."""
    engine = Engine(GraphSource("narrow", "pytorch", graphs.folder("pytorch", "narrow")))
    rows = [NamedTensor("x", _tensor(TensorType.FP32, [[1, 2, 3]] * count)) for count in (8, 9)]
    assert engine.compute(Admitted((rows[0],))) == (NamedTensor("mul", _tensor(TensorType.FP32, [[2, 4, 6]] * 8)),)
    with pytest.raises(InvalidArgument, match="^the program takes no such dimensions: "):
        engine.compute(Admitted((rows[1],)))
    engine.close()
