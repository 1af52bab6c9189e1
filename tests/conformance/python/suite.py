"""
The suite's cases that one guest can decide, in Python: the same names, the same words, another toolchain.

``guest [--json] [--list] [--backend NAME] [--hidden TEXT] [CASE...]``, as the C guest has it. What loads models from
bytes is in C alone.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201, ANN202, D103, T201 -- the bindings have no types; a case is what it is called
# The bindings (`wit_world`, `componentize_py_types`) exist inside a component only.

from __future__ import annotations

import json
import math
import struct
import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import errors, graph
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType

CASES = {}
HIDDEN = []
BITS = {  # zeros, infinities, the largest, the smallest, and NaNs with payloads
    "FP16": ("8H", (0, 0x8000, 0x7C00, 0xFC00, 0x7BFF, 1, 0x7E01, 0x7C01)),
    "FP32": ("8I", (0, 1 << 31, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1, 0x7FC12345, 0x7F800001)),
    "FP64": (
        "8Q",
        (0, 1 << 63, 0x7FF << 52, 0xFFF << 52, (0x7FF << 52) - 1, 1, 0x7FF8000012345678, 0x7FF0000000000001),
    ),
    "BF16": ("8H", (0, 0x8000, 0x7F80, 0xFF80, 0x7F7F, 1, 0x7FC1, 0x7F81)),
    "U8": ("8B", (0, 1, 2, 127, 128, 253, 254, 255)),
    "I32": ("8i", (0, 1, -1, 2**31 - 1, -(2**31), 0x01020304, 42, -42)),
    "I64": ("8q", (0, 1, -1, 2**31 - 1, -(2**31), 16777217, 42, -42)),
}
ITEMSIZE = {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}


class Failed(Exception):
    """The host does not do what the case says."""


class NotRun(Exception):
    """The host lacks what the case needs."""


def case(*names):
    """A case; one name for each call, without its letter as the argument where there are several."""

    def add(check):
        for name in names:
            word = name.rpartition("-")[2] if name[0] == "E" else name.rpartition(".")[2]
            CASES[name] = (check, (word,) if len(names) > 1 else ())
        return check

    return add


# ---------------------------------------------------------------- what the cases are made of


def fp32(*values, dimensions=None):
    return Tensor(dimensions or [len(values)], TensorType.FP32, struct.pack(f"{len(values)}f", *values))


def is_tensor(made, dimensions, ty, data):
    if (list(made.dimensions()), made.ty(), made.data()) != (list(dimensions), ty, data):
        raise Failed(f"{ty.name}{list(dimensions)} came back as {made.ty().name}{list(made.dimensions())}")


def comes_back(dimensions, ty, data):
    with Tensor(dimensions, ty, data) as made:
        is_tensor(made, dimensions, ty, data)


def words(error, code):
    """The text of an error, which must have this code, say something and hide what is the host's own."""
    with error:
        text = error.data()
        if error.code() != code:
            raise Failed(f"{error.code().name}: {text}; wanted {code.name}")
    if not text or any(hidden in text for hidden in HIDDEN):
        raise Failed(f"{code.name} says {text!r}")
    return f"{code.name.lower().replace('_', '-')}: {text}"


def error_of(call, *arguments):
    try:
        call(*arguments)
    except Err as raised:
        return raised.value
    raise Failed("no error")


def refused(code, call, *arguments):
    return words(error_of(call, *arguments), code)


def load(name):
    try:
        return graph.load_by_name(name)
    except Err as raised:
        if raised.value.code() == ErrorCode.NOT_FOUND:
            raise NotRun(f"{name} is not granted") from None
        raise


def context(name):
    with load(name) as loaded:
        return loaded.init_execution_context()


def computed(on, *inputs):
    return [(name, list(out.dimensions()), out.ty().name, out.data()) for name, out in on.compute(list(inputs))]


def gives(on, inputs, *wanted):
    got = computed(on, *inputs)
    if got != list(wanted):
        raise Failed(f"{got}, wanted {list(wanted)}")


def doubles(on, rows, columns, value):
    count = rows * columns
    data = struct.pack(f"{count}f", *[2 * value] * count)
    gives(on, [("x", fp32(*[value] * count, dimensions=[rows, columns]))], ("y", [rows, columns], "FP32", data))


SUMS = ("sum", [4], "FP32", struct.pack("4f", 11, 22, 33, 44))


def a():
    return ("a", fp32(1, 2, 3, 4))


def b():
    return ("b", fp32(10, 20, 30, 40))


def classifies(on):
    """The worst difference of the classifier from the same in double precision."""
    worst = 0.0
    for x in ((0.5, -1, 0.25, 2), (0, 0, 0, 0), (-3, 1, 4, -1.5), (1, 1, 1, 1)):
        hidden = [math.tanh(sum(x[i] * ((3 * i + 5 * j) % 7 - 3) / 4 for i in range(4))) for j in range(8)]
        classes = [math.exp(sum(hidden[j] * ((5 * j + 3 * k) % 7 - 3) / 4 for j in range(8))) for k in range(3)]
        [(name, dimensions, ty, data)] = computed(on, ("x", fp32(*x, dimensions=[1, 4])))
        if (name, dimensions, ty, len(data)) != ("y", [1, 3], "FP32", 12):
            raise Failed(f"{name} {ty}{dimensions}")
        pairs = zip(struct.unpack("3f", data), classes, strict=True)
        worst = max(worst, *(abs(got - wanted / sum(classes)) for got, wanted in pairs))
    if not worst <= 0.01:
        raise Failed(f"{worst:.1e} off")
    return f"at most {worst:.1e} off"


# ---------------------------------------------------------------- B


@case(*(f"B.{name.lower()}" for name in BITS))
def type_comes_back(name):
    layout, values = BITS[name.upper()]
    comes_back([2, 4], TensorType[name.upper()], struct.pack(layout, *values))


@case("B.rank-0", "B.rank-1", "B.rank-8", "B.rank-17")
def rank_comes_back(name):
    rank = int(name.removeprefix("rank-"))
    comes_back([1] * (rank - 1) + [8] * bool(rank), TensorType.U8, bytes(range(8 if rank else 1)))


@case("B.zero-sized")
def zero_sized_comes_back():
    comes_back([2, 0, 3], TensorType.FP32, b"")


def dynamic_refuses(*shapes):
    on = context("dynamic")
    for rows, columns, size in shapes:
        comes_back([rows, columns], TensorType.FP32, bytes(size))
        made = Tensor([rows, columns], TensorType.FP32, bytes(size))
        told = refused(ErrorCode.INVALID_ARGUMENT, on.compute, [("x", made)])
    return told


@case("B.overflow")
def overflow_is_refused():
    return dynamic_refuses((1 << 16, 1 << 16, 0), (1 << 31, 1 << 31, 0), (2**32 - 1, 2**32 - 1, 16))


@case("B.too-short")
def short_data_is_refused():
    return dynamic_refuses((2, 2, 15), (2, 2, 12), (2, 2, 0))


@case("B.too-long")
def long_data_is_refused():
    return dynamic_refuses((2, 2, 17), (2, 2, 20), (2, 2, 32), (2, 0, 4))


# ---------------------------------------------------------------- C


@case("C.invalid-argument")
def invalid_argument_is_told():
    return refused(ErrorCode.INVALID_ARGUMENT, context("add").compute, [])


@case("C.not-found")
def not_found_is_told():
    return refused(ErrorCode.NOT_FOUND, graph.load_by_name, "no-such-graph")


def six(n):
    return [("n", Tensor([1], TensorType.I64, struct.pack("q", n)))]


@case("C.runtime-error")
def runtime_error_is_told():
    on = context("breaks")
    for _ in range(2):
        gives(on, six(3), ("y", [3, 2], "FP32", struct.pack("6f", *range(6))))
        told = refused(ErrorCode.RUNTIME_ERROR, on.compute, six(4))
    return told


@case("C.unsupported-operation")
def unsupported_operation_is_told():
    told = []
    for name in BITS:
        try:
            load(f"echo-{name.lower()}").__exit__(None, None, None)
        except Err as raised:
            told.append(words(raised.value, ErrorCode.UNSUPPORTED_OPERATION))
    if not told:
        raise NotRun("the backend has all seven types")
    return told[0]


def load_is_refused(code, otherwise):
    junk = [b"this is no model"]
    error = error_of(graph.load, junk, graph.GraphEncoding.TENSORFLOWLITE, graph.ExecutionTarget.CPU)
    if error.code() == otherwise:
        raise NotRun(f"a load of bytes answers {otherwise.name} here")
    return words(error, code)


@case("C.invalid-encoding")
def invalid_encoding_is_told():
    return load_is_refused(ErrorCode.INVALID_ENCODING, ErrorCode.SECURITY)


@case("C.security")
def security_is_told():
    return load_is_refused(ErrorCode.SECURITY, ErrorCode.INVALID_ENCODING)


@case("C.outlives-graph")
def error_outlives_its_graph():
    with load("add") as loaded, loaded.init_execution_context() as on:
        error = error_of(on.compute, [])
        before = error.data()
    if error.data() != before:
        raise Failed(f"{before!r} became {error.data()!r}")
    return words(error, ErrorCode.INVALID_ARGUMENT)


@case("C.ten-thousand")
def dropped_errors_are_gone():
    for _ in range(10_000):
        not_found_is_told()


# ---------------------------------------------------------------- D

NAMES = {
    "D.name-unknown": ["no-such-graph"],
    "D.name-empty": [""],
    "D.name-parent": ["../add", "add/../add"],
    "D.name-absolute": ["/add", "/etc/passwd"],
    "D.name-long": ["a" * (1 << 20)],
    "D.name-nul": ["add\0", "add\0.xml"],
    "D.name-case": ["Add", "ADD"],
    "D.name-blank": [" add", "add\n"],
}


@case(*NAMES)
def name_is_not_found(name):
    return [refused(ErrorCode.NOT_FOUND, graph.load_by_name, text) for text in NAMES[f"D.{name}"]][-1]


@case("D.name-ungranted")
def ungranted_name():
    texts = []
    for name in ("tiny", "qxzw"):
        try:
            with graph.load_by_name(name):
                raise NotRun(f"{name!r} is granted")
        except Err as raised:
            texts.append(words(raised.value, ErrorCode.NOT_FOUND).replace(name, ""))
    if texts[0] != texts[1]:
        raise Failed(f"{texts[0]!r} for the one, {texts[1]!r} for the other")
    return texts[0]


@case("D.graph-dropped-first")
def graph_dropped_first():
    return classifies(context("numbers"))


# ---------------------------------------------------------------- E


@case(*(f"E.identity-{name.lower()}" for name in BITS))
def echoes(name):
    layout, values = BITS[name.upper()]
    data = struct.pack(layout.replace("8", "6"), *values[:6])  # no NaN
    try:
        on = context(f"echo-{name}")
    except Err as raised:
        return words(raised.value, ErrorCode.UNSUPPORTED_OPERATION)
    gives(on, [("x", Tensor([2, 3], TensorType[name.upper()], data))], ("y", [2, 3], name.upper(), data))
    return f"the same {len(data)} bytes"


@case("E.wide-i64")
def wide_i64_is_not_cut():
    data = struct.pack("6q", 1 << 32, -(1 << 32), 2**63 - 1, -(2**63), 0x0102030405060708, 1)
    try:
        gives(context("echo-i64"), [("x", Tensor([2, 3], TensorType.I64, data))], ("y", [2, 3], "I64", data))
    except Err as raised:
        return words(raised.value, ErrorCode.UNSUPPORTED_OPERATION)
    return "the same bytes"


@case("E.add")
def adds():
    gives(context("add"), [a(), b()], SUMS)


def both_come(order):
    left = ("left", fp32(1.5, -2))
    right = ("right", Tensor([3], TensorType.I32, struct.pack("3i", 7, 0, -9)))
    wanted = [
        ("doubled", [2], "FP32", struct.pack("2f", 3, -4)),
        ("negated", [3], "I32", struct.pack("3i", -7, 0, 9)),
    ]
    gives(context("two-in-two-out"), [left, right][::order], *wanted)


@case("E.two-in-two-out")
def two_in_two_out():
    both_come(1)


@case("E.any-order")
def any_order():
    both_come(-1)


def add_refuses(*lists):
    on = context("add")
    for inputs in lists:
        gives(on, [a(), b()], SUMS)
        told = refused(ErrorCode.INVALID_ARGUMENT, on.compute, inputs)
    return told


@case("E.name-unknown")
def unknown_name():
    return add_refuses([a(), ("c", b()[1])], [a(), b(), ("c", b()[1])])


@case("E.name-missing")
def missing_name():
    return add_refuses([a()])


@case("E.name-twice")
def double_name():
    return add_refuses([a(), a()], [a(), b(), a()])


@case("E.name-empty")
def empty_name():
    return add_refuses([a(), ("", b()[1])])


@case("E.empty-list")
def empty_list():
    return add_refuses([])


def add_refuses_b(*kinds):
    return add_refuses(
        *(
            [a(), ("b", Tensor(dimensions, ty, bytes(math.prod(dimensions) * ITEMSIZE[ty.name])))]
            for dimensions, ty in kinds
        )
    )


@case("E.wrong-rank")
def wrong_rank():
    return add_refuses_b(([1, 4], TensorType.FP32), ([2, 2], TensorType.FP32))


@case("E.wrong-dimension")
def wrong_dimension():
    return add_refuses_b(([1], TensorType.FP32), ([0], TensorType.FP32), ([5], TensorType.FP32))


@case("E.wrong-type")
def wrong_type():
    return add_refuses_b(*(([4], ty) for ty in TensorType if ty != TensorType.FP32))


@case("E.dynamic")
def any_size():
    on = context("dynamic")
    for rows, columns in ((2, 3), (1, 1), (100, 70), (1, 1000), (3, 2)):
        doubles(on, rows, columns, rows)


@case("E.zero-sized")
def zero_size():
    on = context("dynamic")
    for rows, columns in ((0, 3), (2, 0), (2, 3)):
        doubles(on, rows, columns, 1)


@case("E.text")
def length_in_bytes():
    data = "text travels as U8[length in bytes]: 日本".encode()
    made = Tensor([len(data)], TensorType.U8, data)
    gives(context("echo"), [("x", made)], ("y", [len(data)], "U8", data))


@case("E.thousand")
def a_thousand():
    on = context("dynamic")
    for value in range(1000):
        doubles(on, 1, 2, value)


@case("E.thousand-failures")
def a_thousand_failures():
    on = context("dynamic")
    for _ in range(1000):
        inputs = [(name, Tensor([64, 64], TensorType.FP32, bytes(16384))) for name in "xy"]
        refused(ErrorCode.INVALID_ARGUMENT, on.compute, inputs)
    doubles(on, 1, 2, 3)


@case("E.two-contexts")
def two_contexts():
    one, two = context("add"), context("add")
    gives(one, [a(), b()], SUMS)
    refused(ErrorCode.INVALID_ARGUMENT, two.compute, [a()])
    told = refused(ErrorCode.INVALID_ARGUMENT, one.compute, [b()])
    gives(two, [a(), b()], SUMS)
    gives(one, [a(), b()], SUMS)
    return told


@case("E.failure-then-success")
def failure_then_success():
    on = context("add")
    for _ in range(3):
        refused(ErrorCode.INVALID_ARGUMENT, on.compute, [a(), ("b", Tensor([4], TensorType.FP32, bytes(15)))])
        gives(on, [a(), b()], SUMS)


@case("E.outputs-outlive")
def outputs_outlive():
    with context("add") as on:
        [(name, out)] = on.compute([a(), b()])
    if (name, list(out.dimensions()), out.ty().name, out.data()) != SUMS:
        raise Failed(f"{name} {out.data()}")


# ---------------------------------------------------------------- G, I


@case("G.handles")
def handles_are_limited():
    hoard = []
    with load("numbers") as loaded:
        try:
            while len(hoard) < 2000:
                hoard.append(loaded.init_execution_context())
            told = "no limit up to 2000"
        except Err as raised:
            told = words(raised.value, ErrorCode.TOO_LARGE)
        for one in hoard:
            one.__exit__(None, None, None)
    classifies(context("numbers"))
    return told


def large(name, made, size):
    try:
        for _, out in context(name).compute([("x", made)]):
            out.__exit__(None, None, None)
        told = f"no limit up to {size} bytes"
    except Err as raised:
        told = words(raised.value, ErrorCode.TOO_LARGE)
    classifies(context("numbers"))
    return told


@case("G.tensor-bytes")
def tensors_are_limited():
    return large("dynamic", Tensor([600, 1000], TensorType.FP32, bytes(2_400_000)), 2_400_000)


@case("G.output-bytes")
def outputs_are_limited():
    return large("square", Tensor([700], TensorType.FP32, bytes(2800)), 1_960_000)


@case("G.inputs")
def inputs_are_limited():
    inputs = [(f"in{number}", Tensor([1], TensorType.U8, b"!")) for number in range(100)]
    told = refused(ErrorCode.INVALID_ARGUMENT, context("add").compute, inputs)
    classifies(context("numbers"))
    return told


@case("G.rank")
def ranks_are_limited():
    on = context("dynamic")
    for rank in (17, 65, 1000):
        made = Tensor([1] * rank, TensorType.FP32, bytes(4))
        told = refused(ErrorCode.INVALID_ARGUMENT, on.compute, [("x", made)])
    classifies(context("numbers"))
    return told


@case("I.numbers")
def numbers_are_right():
    return classifies(context("numbers"))


# ---------------------------------------------------------------- reporting


def run(name):
    check, arguments = CASES[name]
    try:
        return "pass", check(*arguments) or "as it should be"
    except Failed as failed:
        return "fail", str(failed)
    except NotRun as missing:
        return "not-run", str(missing)
    except Err as raised:
        error = raised.value
        return "fail", f"{error.code().name}: {error.data()}" if isinstance(error, errors.Error) else repr(error)


def say(result, name, seen, as_json):
    line = json.dumps({"result": result, "case": name, "seen": seen}) if as_json else f"{result}  {name}  {seen}"
    print(line, flush=True)


class Run(exports.Run):
    """`wasi:cli/run`."""

    def run(self) -> None:
        """Run the cases that were asked for."""
        words = iter(sys.argv[1:])
        as_json, listing, asked = False, False, []
        for word in words:
            if word == "--json":
                as_json = True
            elif word == "--list":
                listing = True
            elif word == "--hidden":
                HIDDEN.append(next(words))
            elif word == "--backend":
                next(words)
            else:
                asked.append(word)
        good = True
        for name in CASES:
            if asked and name not in asked and name[0] not in asked:
                continue
            result, seen = ("case", CASES[name][0].__name__) if listing else run(name)
            say(result, name, seen, as_json)
            good = good and result != "fail"
        say("end", "", "", as_json)
        if not good:
            raise Err(None)
