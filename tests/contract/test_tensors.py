"""What every backend does with tensors: the same names, the same order, every type, and nothing kept."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.contract.conftest import Graphs, on
from tests.worker.asking import open_descriptors
from wit_llm.backends.base import Target
from wit_llm.errors import BackendFailure, InvalidArgument, OperatorError, Unsupported
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.client import Engine

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


def tensor_of(ty: TensorType, values: ArrayLike) -> Tensor:
    """Values that each type holds exactly; BF16 is the upper half of FP32."""
    if ty is TensorType.BF16:
        halves = np.asarray(values, np.float32).view(np.uint16).reshape(*np.shape(values), 2)
        return Tensor(np.shape(values) or (1,), ty, halves[..., 1].tobytes())
    array = np.asarray(values, NUMPY[ty])
    return Tensor(array.shape or (1,), ty, array.tobytes())


def inputs_of_types(engine: Engine, rows: Sequence[Sequence[int]], single: float, u8: bytes = b"\x01\x02") -> Admitted:
    """A tensor for each input of the graph of every type, in its order."""
    tensors = {f"in_{ty.value.lower()}": tensor_of(ty, rows) for ty in EVERY_TYPE}
    tensors["in_u8"] = Tensor((len(u8),), TensorType.U8, u8)
    tensors["in_single"] = tensor_of(TensorType.FP32, single)
    names = [spec.name for spec in engine.info.inputs] or list(tensors)
    return Admitted(tuple(NamedTensor(name, tensors[name]) for name in names))


def _expected(engine: Engine, rows: Sequence[Sequence[int]], single: float, u8: bytes = b"\x02\x04") -> list[object]:
    """What a graph that doubles answers; echo returns its inputs."""
    doubled = inputs_of_types(engine, [[2 * value for value in row] for row in rows], 2 * single, u8).tensors
    return _outputs(engine, doubled)


def _outputs(engine: Engine, tensors: Sequence[NamedTensor]) -> list[object]:
    """As the engine calls them."""
    outputs = {named.name.replace("in_", "out_"): named.tensor for named in tensors}
    return [(spec.name, outputs[spec.name]) for spec in engine.info.outputs]


def _answer(engine: Engine, admitted: Admitted) -> list[object]:
    """Outputs as ``_expected`` has them; what echo returns is compared here, so that one expectation does for all."""
    outputs = [
        (o.name, Tensor(o.tensor.dimensions, o.tensor.ty, bytes(o.tensor.data))) for o in engine.compute(admitted)
    ]
    if not engine.info.any_tensors:
        return list(outputs)
    assert outputs == [(named.name, named.tensor) for named in admitted.tensors]
    return []


def test_says_what_it_takes_and_gives(types: Engine, backend: str) -> None:
    """Every input and output has the model's own name, type and axes; a single value has one axis."""
    if backend.startswith("echo"):
        assert (types.info.inputs, types.info.outputs, types.info.any_tensors) == ((), (), True)
        return
    there = [ty for ty in TensorType if backend != "openvino" or ty is not TensorType.FP64]
    told = [(spec.name, str(spec)) for spec in (*types.info.inputs, *types.info.outputs)]
    expected = [
        (f"{side}_{name}", f"{ty}{axes}")
        for side in ("in", "out")
        for name, ty, axes in (
            *((ty.value.lower(), ty.value, "[?]" if ty is TensorType.U8 else "[?, 3]") for ty in there),
            ("single", "FP32", "[1]"),
        )
    ]
    assert told == expected


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([[1, 2, 3]], id="one-row"),
        pytest.param([[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 60]], id="four-rows"),
    ],
)
def test_computes_every_type(types: Engine, rows: list[list[int]]) -> None:
    """Each type arrives and leaves as it is, in the model's order, whatever size a free axis has."""
    answer = _answer(types, inputs_of_types(types, rows, 1.5))
    assert answer == _expected(types, rows, 1.5)


def test_keeps_nothing_between_computes(types: Engine) -> None:
    """Computes from several threads at once each see their own inputs, and those only."""
    wrong: list[object] = []

    def guest(number: int) -> None:
        for _ in range(10):
            rows = [[number, number + 1, number + 2]] * (number + 1)
            answer = _answer(types, inputs_of_types(types, rows, number))
            if answer != _expected(types, rows, number):
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
    answer = _answer(types, inputs_of_types(types, [[1, 2, 3]], 1, data.tobytes()))
    assert answer == _expected(types, [[1, 2, 3]], 1, (2 * data).tobytes())


def test_computes_as_often_as_one_likes(types: Engine) -> None:
    """Hundreds of computes with large tensors leave no descriptor open, neither here nor in the worker."""
    process = types.pid or os.getpid()
    small, large = inputs_of_types(types, [[1, 2, 3]], 1), inputs_of_types(types, [[1, 2, 3]], 1, bytes(100_000))
    types.compute(large)
    types.compute(small)
    before = open_descriptors(), open_descriptors(process)
    for _ in range(200):
        types.compute(large)
    types.compute(small)
    after = open_descriptors(hoped=before[0]), open_descriptors(process, hoped=before[1])
    assert all(now <= then for now, then in zip(after, before, strict=True))


def _bits(width: int, *values: int) -> bytes:
    return b"".join(value.to_bytes(width // 8, "little") for value in values)


# NaNs with their payloads, both zeros, the smallest denormal, infinity; and the ends of each range of integers.
# OpenVINO makes signalling NaNs of 16 bits quiet, so these are.
BITS = {
    TensorType.FP16: _bits(16, 0x7E01, 0xFE23, 0x8000, 0x0001, 0x7C00, 0x3C01),
    TensorType.FP32: _bits(32, 0x7FA00001, 0xFFC00123, 0x80000000, 1, 0xFF800000, 0x3F800001),
    TensorType.FP64: _bits(64, 0x7FF4000000000001, 0xFFF8000000000123, 1 << 63, 1, 0x7FF0000000000000, 0x3FF << 52 | 1),
    TensorType.BF16: _bits(16, 0x7FC1, 0xFFE3, 0x8000, 0x0001, 0xFF80, 0x3F81),
    TensorType.I32: _bits(32, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF, 0, 1, 0x01020304),
    TensorType.I64: _bits(64, 1 << 63, (1 << 63) - 1, (1 << 64) - 1, 0, 1, 0x0102030405060708),
}
# What OpenVINO takes of I64.
NARROW_I64 = _bits(64, (1 << 64) - (1 << 31), (1 << 31) - 1, (1 << 64) - 1, 0, 1, 0x01020304)


def _bit_by_bit(engine: Engine, rows: int, i64: bytes) -> Admitted:
    """Awkward bits for each input of the graph of every type; all of them, or none where there are no rows."""
    bits = {**BITS, TensorType.I64: i64}
    tensors = {
        f"in_{ty.value.lower()}": Tensor((rows, 3), ty, data[: rows * 3 * ty.itemsize]) for ty, data in bits.items()
    }
    tensors["in_u8"] = Tensor((128 * rows,), TensorType.U8, bytes(range(256))[: 128 * rows])
    tensors["in_single"] = Tensor((1,), TensorType.FP32, _bits(32, 0x7FC00001))
    names = [spec.name for spec in engine.info.inputs] or list(tensors)
    return Admitted(tuple(NamedTensor(name, tensors[name]) for name in names))


@pytest.mark.parametrize("rows", [pytest.param(2, id="two-rows"), pytest.param(0, id="no-rows")])
def test_copies_every_type_bit_by_bit(same: Engine, backend: str, rows: int) -> None:
    """What a graph only copies comes back with every bit, payloads of NaNs too; no rows are no bytes, and no error."""
    admitted = _bit_by_bit(same, rows, NARROW_I64 if backend == "openvino" else BITS[TensorType.I64])
    assert _answer(same, admitted) == _outputs(same, admitted.tensors)


def test_openvino_multiplies_with_all_bits(graphs: Graphs) -> None:
    """FP32 is multiplied as FP32 also where the CPU is quicker with the eight bits of bf16."""
    values = tensor_of(TensorType.FP32, [[1.0009766, 3.0009999, 2049, 0.1]])
    engine = Engine(graphs.source("openvino", "product"))
    assert engine.compute(Admitted((NamedTensor("x", values),))) == (NamedTensor("y", values),)
    engine.close()


def test_openvino_refuses_integers_that_it_would_cut_off(graphs: Graphs) -> None:
    """OpenVINO computes I64 in 32 bits: a value that does not fit is an error, and not another value."""
    engine = Engine(graphs.source("openvino", "types"))

    def answer(value: int) -> list[object]:
        wide = NamedTensor("in_i64", tensor_of(TensorType.I64, [[value, 0, 0]]))
        inputs = inputs_of_types(engine, [[1, 2, 3]], 1).tensors
        return _answer(engine, Admitted(tuple(wide if one.name == wide.name else one for one in inputs)))

    text = (
        "input 'in_i64' has values beyond 32 bits, which OpenVINO would cut off; "
        "backend 'openvino' takes -2147483648 to 2147483647"
    )
    for value in (2**31, -(2**31) - 1, 2**63 - 1):
        with pytest.raises(Unsupported, match=f"^{text}$"):
            answer(value)
    assert answer(-(2**30))[5] == ("out_i64", tensor_of(TensorType.I64, [[-(2**31), 0, 0]]))
    engine.close()


@pytest.mark.parametrize(
    ("kind", "tensor"), [pytest.param("fp64", "in_fp64", id="input"), pytest.param("wide", "y", id="output")]
)
def test_openvino_refuses_fp64(graphs: Graphs, kind: str, tensor: str) -> None:
    """OpenVINO computes FP64 in 32 bits: such a graph is refused when it is loaded, with the types that go."""
    text = (
        f"tensor '{tensor}' has elements of type f64; backend 'openvino' takes f16, f32, bf16, u8, i32, i64 "
        "(f64 not, because OpenVINO computes it in 32 bits)"
    )
    with pytest.raises(Unsupported, match=f"^{re.escape(text)}$"):
        Engine(graphs.source("openvino", kind))


def test_openvino_begins_anew_each_time(graphs: Graphs) -> None:
    """A model that remembers would let one compute see another; its memory is emptied before each."""
    engine = Engine(graphs.source("openvino", "sum"))
    one = Admitted((NamedTensor("x", tensor_of(TensorType.FP32, [1, 2])),))
    assert [engine.compute(one)[0].tensor for _ in range(3)] == [tensor_of(TensorType.FP32, [1, 2])] * 3
    engine.close()


@pytest.mark.parametrize(("rows", "goes"), [(1, True), (8, True), (9, False), (0, False)])
def test_openvino_names_the_dimensions_that_a_model_excludes(graphs: Graphs, rows: int, goes: bool) -> None:
    """Bounds of a free axis are the guest's to meet, and zero is within bounds or not."""
    engine = Engine(graphs.source("openvino", "narrow"))
    admitted = Admitted((NamedTensor("x", Tensor((rows, 3), TensorType.FP32, bytes(12 * rows))),))
    if goes:
        assert engine.compute(admitted) == (NamedTensor("y", admitted["x"]),)
    else:
        with pytest.raises(InvalidArgument, match=rf"^input 'x' wants dimensions \[1..8,3\], got \[{rows}, 3\]$"):
            engine.compute(admitted)
    engine.close()


@pytest.mark.slow
def test_pytorch_refuses_a_program_that_remembers(graphs: Graphs) -> None:
    """A program that writes on its buffers would let one compute see another."""
    with pytest.raises(OperatorError, match=r"counter\.pt2 writes on calls; a graph keeps nothing between computes$"):
        Engine(graphs.source("pytorch", "counter"))


@pytest.mark.slow
def test_pytorch_names_the_dimensions_that_a_program_excludes(graphs: Graphs, target: Target) -> None:
    """A program's own conditions on a free axis are the guest's to meet."""
    engine = Engine(graphs.source("pytorch", "narrow", target))
    rows = [NamedTensor("x", tensor_of(TensorType.FP32, [[1, 2, 3]] * count)) for count in (8, 9)]
    assert engine.compute(Admitted((rows[0],))) == (NamedTensor("mul", tensor_of(TensorType.FP32, [[2, 4, 6]] * 8)),)
    with pytest.raises(InvalidArgument, match="^the program takes no such dimensions: "):
        engine.compute(Admitted((rows[1],)))
    engine.close()


# An exported program looks at its dimensions before it computes.
@pytest.mark.parametrize("library", ["openvino", pytest.param("torchscript", marks=pytest.mark.slow)])
def test_a_failure_is_the_computes_own(library: str, graphs: Graphs, target: Target) -> None:
    """A compute that the library gives up says what was wrong, and the next one is as if it had not been."""
    engine = Engine(graphs.source(library, "rows", on(target, library)))

    def rows(count: int) -> Admitted:
        return Admitted((NamedTensor("n", tensor_of(TensorType.I64, [count])),))

    six = np.arange(6, dtype=np.float32)
    for count in (2, 4, 3, 2):
        if count == 4:
            with pytest.raises(BackendFailure, match="^computing failed in (OpenVINO|PyTorch): .+"):
                engine.compute(rows(count))
        else:
            assert engine.compute(rows(count)) == (
                NamedTensor("y", tensor_of(TensorType.FP32, six.reshape(count, -1))),
            )
    engine.close()
