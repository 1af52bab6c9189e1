"""wasi:nn's tensors, graphs and errors, seen from inside a guest."""

from __future__ import annotations

import pytest

from tests.conftest import Driver
from wit_llm import GuestTrapped, Limits

ECHOES = ["echo", "echo-worker"]


@pytest.mark.parametrize("echo", ECHOES)
def test_every_dtype_crosses_the_wall_and_comes_back(driver: Driver, echo: str) -> None:
    """A tensor's dimensions, type and bytes are the guest's own, NaN payloads included, for every type."""
    outcome = driver.run(
        """
        context = graph.load_by_name(sys.argv[1]).init_execution_context()
        data = bytes(range(251, 256)) * 48
        for ty in tensor.TensorType:
            size = {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}[ty.name]
            made = tensor.Tensor([2, 120 // size], ty, data)
            assert (made.dimensions(), made.ty(), made.data()) == ([2, 120 // size], ty, data)
            [(name, out)] = context.compute([("x", made)])
            say(name, out.dimensions(), out.ty().name, out.data() == data)
        """,
        graphs=[echo],
        args=[echo],
    )
    sizes = {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}
    assert outcome.stdout.decode().splitlines() == [f"x [2, {120 // size}] {ty} True" for ty, size in sizes.items()]


@pytest.mark.parametrize(
    ("dimensions", "ty", "nbytes", "told"),
    [
        pytest.param([2, 2], "FP32", 15, "FP32[2, 2] needs 16 bytes, got 15", id="one-byte-short"),
        pytest.param([2, 2], "FP32", 17, "FP32[2, 2] needs 16 bytes, got 17", id="one-byte-long"),
        pytest.param([4], "FP16", 4 * 4, "FP16[4] needs 8 bytes, got 16", id="fp16-is-2-bytes-not-4"),
        pytest.param([2**22, 2**22, 2**22], "U8", 0, f"needs {2**66} bytes, got 0", id="product-wraps-to-0-in-64-bits"),
        pytest.param([2**32 - 1] * 3, "U8", 16, f"needs {(2**32 - 1) ** 3} bytes, got 16", id="product-over-64-bits"),
        pytest.param([1] * 17, "U8", 1, "has 17 dimensions; at most 16 go in", id="too-many-axes"),
    ],
)
def test_wrong_tensors_are_refused_by_compute(
    driver: Driver, dimensions: list[int], ty: str, nbytes: int, told: str
) -> None:
    """Making a tensor never fails; computing with a wrong one says what it needs and what it got."""
    outcome = driver.run(
        f"""
        context = graph.load_by_name("echo").init_execution_context()
        made = tensor.Tensor({dimensions}, tensor.TensorType.{ty}, bytes({nbytes}))
        say(failure(context.compute, [("x", made)]))
        [(name, out)] = context.compute([("x", tensor.Tensor([1], tensor.TensorType.U8, b"!"))])
        say(name, out.data())
        """,
        graphs=["echo"],
    )
    refused, after = outcome.stdout.decode().splitlines()
    assert refused.startswith("invalid-argument: input 'x' of graph 'echo'")
    assert told in refused
    assert after == "x b'!'"


def test_zero_sized_dimensions_have_no_bytes(driver: Driver) -> None:
    """A dimension of zero is a size like any other."""
    outcome = driver.run(
        """
        context = graph.load_by_name("echo").init_execution_context()
        [(_, out)] = context.compute([("x", tensor.Tensor([1, 0, 3], tensor.TensorType.FP32, b""))])
        say(out.dimensions(), out.data())
        """,
        graphs=["echo"],
    )
    assert outcome.stdout == b"[1, 0, 3] b''\n"


def test_names_are_kept_in_order_and_twice_is_refused(driver: Driver) -> None:
    """Several tensors keep names and order; one name twice is an error that names it."""
    outcome = driver.run(
        """
        context = graph.load_by_name("echo").init_execution_context()
        one = lambda text: tensor.Tensor([len(text)], tensor.TensorType.U8, text)
        say([(name, out.data()) for name, out in context.compute([("b", one(b"1")), ("a", one(b"22"))])])
        say(failure(context.compute, [("a", one(b"1")), ("a", one(b"2"))]))
        say(failure(context.compute, [("", one(b"1"))]))
        """,
        graphs=["echo"],
    )
    assert outcome.stdout.decode().splitlines() == [
        "[('b', b'1'), ('a', b'22')]",
        "invalid-argument: input 'a' of graph 'echo' is there twice",
        "invalid-argument: an input of graph 'echo' has an empty name; it takes []",
    ]


@pytest.mark.parametrize("backend", ["openvino", pytest.param("pytorch", marks=pytest.mark.slow)])
def test_a_language_model_says_what_it_wants(driver: Driver, backend: str) -> None:
    """Unknown, missing and mistyped inputs, and tokens that do not exist, are named before any native code runs."""
    outcome = driver.run(
        """
        context = graph.load_by_name("tiny").init_execution_context()
        I64 = tensor.TensorType.I64
        row = lambda *values: tensor.Tensor([1, len(values)], I64, struct.pack(f"{len(values)}q", *values))
        extra = lambda: [("position_ids", row(0, 1))] if sys.argv[1] == "openvino" else []
        say(failure(context.compute, [("pixels", row(1, 2))]))
        say(failure(context.compute, [("input_ids", row(1, 2)), *extra()]))
        flat = tensor.Tensor([2], I64, bytes(16))
        say(failure(context.compute, [("input_ids", flat), ("attention_mask", row(1, 1)), *extra()]))
        ints = tensor.Tensor([1, 2], tensor.TensorType.I32, bytes(8))
        say(failure(context.compute, [("input_ids", ints), ("attention_mask", row(1, 1)), *extra()]))
        for token in (-1, 1_000_000):
            say(failure(context.compute, [("input_ids", row(1, token)), ("attention_mask", row(1, 1)), *extra()]))
        """,
        graphs=[f"tiny,backend={backend}"],
        args=[backend],
    )
    names = ["input_ids", "attention_mask"] + ["position_ids"] * (backend == "openvino")
    told = outcome.stdout.decode().splitlines()
    assert told[0] == f"invalid-argument: graph 'tiny' has no input 'pixels'; it takes {names}"
    assert told[1].startswith("invalid-argument: graph 'tiny' wants input 'attention_mask'; given: ")
    assert told[2] == "invalid-argument: input 'input_ids' of graph 'tiny' wants I64[?, ?], got I64[2]"
    assert told[3] == "invalid-argument: input 'input_ids' of graph 'tiny' wants I64[?, ?], got I32[1, 2]"
    assert told[4] == "invalid-argument: input 'input_ids' of graph 'tiny' has token -1; the model has 0 to 639"
    assert told[5] == "invalid-argument: input 'input_ids' of graph 'tiny' has token 1000000; the model has 0 to 639"
    assert len(told) == 6


def test_loading_by_bytes_is_denied_and_by_name_lists_what_is_granted(driver: Driver) -> None:
    """What the operator did not grant does not exist, and the error says what does."""
    outcome = driver.run(
        """
        say(failure(graph.load, [b"model"], graph.GraphEncoding.OPENVINO, graph.ExecutionTarget.CPU))
        for name in ("tiny", "", "../echo", "/etc/passwd", "ECHO", "echo\\0"):
            say(failure(graph.load_by_name, name))
        """,
        graphs=["echo"],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[0] == "security: loading a graph from a guest's bytes is not granted; use load-by-name"
    assert lines[1:] == [
        f"not-found: no graph {name!r} is granted; granted: echo"
        for name in ("tiny", "", "../echo", "/etc/passwd", "ECHO", "echo\0")
    ]


def test_errors_outlive_their_graph_and_ten_thousand_of_them_leave_nothing(driver: Driver) -> None:
    """An error can be read after the graph it came from is gone, and dropped ones are forgotten."""
    outcome = driver.run(
        """
        with graph.load_by_name("echo") as loaded, loaded.init_execution_context() as context:
            kept = err(context.compute, [("x", tensor.Tensor([2], tensor.TensorType.U8, b""))])
        say(in_words(kept))
        for _ in range(10_000):
            with err(graph.load_by_name, "none"):
                pass
        say("still here")
        """,
        graphs=["echo"],
    )
    assert outcome.stdout.decode().splitlines() == [
        "invalid-argument: input 'x' of graph 'echo': U8[2] needs 2 bytes, got 0",
        "still here",
    ]


def test_handles_are_capped_with_a_typed_error(driver: Driver) -> None:
    """A guest that hoards handles is told so long before the runtime's own limit, and goes on once it lets go."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("echo")
        hoard = []
        try:
            while True:
                hoard.append(loaded.init_execution_context())
        except Err as error:
            say(len(hoard), in_words(error.value))
        while hoard:
            hoard.pop().__exit__(None, None, None)
        with loaded.init_execution_context():
            say("and again")
        """,
        graphs=["echo"],
    )
    assert outcome.stdout.decode().splitlines() == [
        "999 too-large: a guest holds at most 1000 handles: drop some",
        "and again",
    ]


def test_bulk_carries_any_bytes_in_words(driver: Driver) -> None:
    """A tensor built from words is the tensor built from bytes, padding checked, and reads back word by word."""
    outcome = driver.run(
        """
        words = list(struct.unpack("<2Q", bytes(range(1, 12)) + bytes(5)))
        builder = bulk.Builder([11], tensor.TensorType.U8)
        builder.append(words[:1])
        say(failure(builder.finish))
        say(failure(builder.append, [words[1] | 1 << 63]))
        say(failure(builder.append, words))
        builder.append(words[1:])
        made = builder.finish()
        say(made.data(), made.dimensions(), made.ty().name)
        say(failure(builder.finish))
        say(bulk.read(made, 0, 10) == words, bulk.read(made, 1, 1) == words[1:], bulk.read(made, 5, 1))
        """,
    )
    assert outcome.stdout.decode().splitlines() == [
        "invalid: 3 of 11 bytes are missing",
        "invalid: the padding of the last word is not zero",
        "invalid: 16 bytes go past the end: 3 of 11 are missing",
        "b'\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\t\\n\\x0b' [11] U8",
        "invalid: the builder has finished its tensor; make another",
        "True True []",
    ]


def test_what_a_guest_was_granted_is_all_it_sees(driver: Driver) -> None:
    """``list-granted`` names exactly the grants, with digests, sizes and states."""
    outcome = driver.run(
        """
        graph.load_by_name("echo")
        for entry in models.list_granted():
            say(entry.name, entry.digest[:7], len(entry.digest), entry.bytes > 1000, entry.state.name, entry.promptable)
        """,
        graphs=["echo", "tiny"],
    )
    assert outcome.stdout.decode().splitlines() == [
        "echo sha256: 71 True LOADED True",
        "tiny sha256: 71 True STORED True",
    ]


def test_a_tensor_of_very_many_axes_costs_what_it_takes(driver: Driver) -> None:
    """Axes count as held bytes, and are counted before they are multiplied."""
    outcome = driver.run(
        """
        axes = [1] * 200_000
        began = time.monotonic()
        builder = bulk.Builder(axes, tensor.TensorType.U8)
        say(failure(builder.append, [0]))
        say(failure(builder.finish), time.monotonic() - began < 2)
        """,
        limits=Limits(held_bytes=64 << 20),
    )
    told = "invalid: a tensor of 200000 dimensions; at most 16 go in"
    assert outcome.stdout.decode().splitlines() == [told, f"{told} True"]
    with pytest.raises(GuestTrapped, match="a guest holds at most 67108864 bytes of tensors"):
        driver.run(
            "held = [tensor.Tensor([1] * 500_000, tensor.TensorType.U8, b'') for _ in range(9)]",
            limits=Limits(held_bytes=64 << 20),
        )
