"""
Tensors as a hostile guest sends them, and what else it asks of tensors' interfaces.

"Row n" is a line of the list of hostile inputs that the host is held against; what ``test_tensors.py`` has of it is not
repeated here. Always: a typed error or the end of that guest alone, and what comes after is as if nothing had been.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import CACHE, Driver
from tests.contract.conftest import Graphs
from tests.contract.graphs import STORM
from wit_llm import GuestTrapped, Host, Limits
from wit_llm.events import Event, TensorsAdmitted

# What every snippet below begins with.
SETUP = """
T = tensor.TensorType
SIZES = {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}

def fp32(*values, dimensions=None):
    return tensor.Tensor(dimensions or [len(values)], T.FP32, struct.pack(f"<{len(values)}f", *values))

def i64(*values):
    return tensor.Tensor([len(values)], T.I64, struct.pack(f"<{len(values)}q", *values))

def numbers(made):
    return list(array.array({"FP32": "f", "I64": "q"}[made.ty().name], made.data()))

def context_of(name):
    return graph.load_by_name(name).init_execution_context()
"""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """Small graphs on disk, of each library."""
    return Graphs(tmp_path_factory.mktemp("graphs"))


# What runs beside every hostile guest: it says what came back of tensors that nobody else has.
NEIGHBOUR = """
context, number = graph.load_by_name("echo").init_execution_context(), 0
while True:
    data = bytes([number % 256, number * 7 % 256])
    [(name, out)] = context.compute([(f"n{number}", tensor.Tensor([2], tensor.TensorType.U8, data))])
    say(name, *out.data())
    number += 1
    time.sleep(0.005)
"""


def _lines(driver: Driver, graphs: Graphs, source: str, *kinds: str, limits: Limits | None = None) -> list[str]:
    """
    What a guest prints that may load these graphs of OpenVINO's, and ``echo``.

    Whatever it does, a neighbour gets its own answers meanwhile, and no folder of the host's shows.
    """
    folders = {kind: str(graphs.folder("openvino", kind)) for kind in kinds}
    granted = ["echo", *(f"{kind}={folder}" for kind, folder in folders.items())]
    host = driver.host(granted, limits)
    with _neighbour(host, driver.component):
        out = driver.run(SETUP + driver.source(source), graphs=granted, limits=limits).stdout.decode()
    assert [folder for folder in folders.values() if folder in out] == []
    return out.splitlines()


@contextmanager
def _neighbour(host: Host, component: Path) -> Iterator[None]:
    """Have a guest compute meanwhile, and compare all that it says with what it says alone."""
    said = bytearray()
    begun = threading.Event()

    def hear(data: bytes) -> None:
        said.extend(data)
        begun.set()

    guest = host.start(component, [NEIGHBOUR], stdin=b"", stdout=hear, stderr=hear)
    try:
        assert begun.wait(60)
        yield
        before = len(said)
        while guest.alive and len(said) == before:
            time.sleep(0.001)  # it goes on
    finally:
        guest.end("that was enough")
        with pytest.raises(GuestTrapped, match="that was enough$"):
            guest.wait()
    count = said.count(b"\n")
    assert said.decode().splitlines()[:count] == [f"n{i} {i % 256} {i * 7 % 256}" for i in range(count)]
    assert guest.handles == 0


def test_bytes_that_are_not_as_many_as_the_dimensions_say(driver: Driver, graphs: Graphs) -> None:
    """Row 1: one byte short, one over, none, twice as many: refused for every type, and exactly as many go."""
    told = _lines(
        driver,
        graphs,
        """
        context = context_of("echo")
        for ty in T:
            right = 6 * SIZES[ty.name]
            for wrong in (right - 1, right + 1, 0, 2 * right):
                say(ty.name, failure(context.compute, [("x", tensor.Tensor([2, 3], ty, bytes(wrong)))]))
            say(ty.name, len(context.compute([("x", tensor.Tensor([2, 3], ty, bytes(right)))])[0][1].data()))
        """,
    )
    expected = []
    for ty, size in {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}.items():
        right = 6 * size
        expected += [
            f"{ty} invalid-argument: input 'x' of graph 'echo': {ty}[2, 3] needs {right} bytes, got {wrong}"
            for wrong in (right - 1, right + 1, 0, 2 * right)
        ] + [f"{ty} {right}"]
    assert told == expected


def test_dimensions_that_cannot_be(driver: Driver, graphs: Graphs) -> None:
    """Rows 2, 3 and 4: products over 64 bits, 65 axes, no axes, and sizes at the end of 32 bits are counted exactly."""
    told = _lines(
        driver,
        graphs,
        """
        context, square = context_of("echo"), context_of("square")
        def refused(dimensions, data=b"", context=context):
            return failure(context.compute, [("x", tensor.Tensor(dimensions, T.FP32, data))])
        say(refused([2**22] * 3))
        say(refused([2**32 - 1] * 3, bytes(16)))
        say(refused([1] * 65, bytes(4)))
        say(refused([2**32 - 1], bytes(16)))
        say(refused([2**32 - 1], bytes(16), square))
        say(refused([], bytes(4), square))
        say(refused([], b""))
        say([out.dimensions() for _, out in context.compute([("x", tensor.Tensor([], T.FP32, bytes(4)))])])
        """,
        "square",
    )
    wrong = "invalid-argument: input 'x' of graph 'echo'"
    assert told == [
        f"{wrong}: FP32[4194304, 4194304, 4194304] needs {2**68} bytes, got 0",
        f"{wrong}: FP32[4294967295, 4294967295, 4294967295] needs {4 * (2**32 - 1) ** 3} bytes, got 16",
        f"{wrong} has 65 dimensions; at most 16 go in",
        f"{wrong}: FP32[4294967295] needs {4 * (2**32 - 1)} bytes, got 16",
        f"invalid-argument: input 'x' of graph 'square': FP32[4294967295] needs {4 * (2**32 - 1)} bytes, got 16",
        "invalid-argument: input 'x' of graph 'square' wants FP32[?], got FP32[]",
        f"{wrong}: FP32[] needs 4 bytes, got 0",
        "[[]]",
    ]


def test_zero_goes_where_the_graph_lets_it(driver: Driver, graphs: Graphs) -> None:
    """Row 3: a dimension of zero is refused by a fixed size and by a bound, and goes where any size does."""
    told = _lines(
        driver,
        graphs,
        """
        empty = lambda *dimensions: [("x", tensor.Tensor(list(dimensions), T.FP32, b""))]
        say(failure(context_of("product").compute, empty(0, 4)))
        say(failure(context_of("narrow").compute, empty(0, 3)))
        say([(out.dimensions(), out.data()) for _, out in context_of("square").compute(empty(0))])
        """,
        "product",
        "narrow",
        "square",
    )
    assert told == [
        "invalid-argument: input 'x' of graph 'product' wants FP32[1, 4], got FP32[0, 4]",
        "invalid-argument: input 'x' wants dimensions [1..8,3], got [0, 3]",
        "[([0, 0], b'')]",
    ]


def test_nothing_is_cast_or_laid_out_anew(driver: Driver, graphs: Graphs) -> None:
    """Rows 5 and 6: another rank, size or type than declared is refused, also where the bytes would fit."""
    told = _lines(
        driver,
        graphs,
        """
        product, rows = context_of("product"), context_of("rows")
        for dimensions in ([4], [4, 1], [1, 1, 4], [2, 2], [1, 5]):
            made = tensor.Tensor(dimensions, T.FP32, bytes(4 * math.prod(dimensions)))
            say(failure(product.compute, [("x", made)]))
        for ty in T:
            if ty != T.FP32:
                say(failure(product.compute, [("x", tensor.Tensor([1, 4], ty, bytes(4 * SIZES[ty.name])))]))
        say(failure(rows.compute, [("n", tensor.Tensor([1], T.I32, bytes(4)))]))
        say(failure(rows.compute, [("n", i64(2**31))]))
        """,
        "product",
        "rows",
    )
    wants = "invalid-argument: input 'x' of graph 'product' wants FP32[1, 4], got"
    takes = "backend 'openvino' takes -2147483648 to 2147483647"
    assert told == [
        *(f"{wants} FP32{dimensions}" for dimensions in ([4], [4, 1], [1, 1, 4], [2, 2], [1, 5])),
        *(f"{wants} {ty}[1, 4]" for ty in ("FP16", "FP64", "BF16", "U8", "I32", "I64")),
        "invalid-argument: input 'n' of graph 'rows' wants I64[1], got I32[1]",
        f"unsupported-operation: input 'n' has values beyond 32 bits, which OpenVINO would cut off; {takes}",
    ]


def test_names_are_the_models_own_once_each_and_all_of_them(driver: Driver, graphs: Graphs) -> None:
    """Rows 7 and 8: unknown names, indices, look-alikes and names given twice are refused; any order goes."""
    told = _lines(
        driver,
        graphs,
        """
        context = context_of("pair")
        for names in (
            "xz", "x7", "xX", ["x", "y "], ["x", "y\\0"], ["x", "\\N{FULLWIDTH LATIN SMALL LETTER Y}"], ["x", ""],
            ["x", "y" * 1_000_000], "xx", "x0", ["0", "x"], "x", "xyz", [],
        ):
            say(failure(context.compute, [(name, fp32(1, 2)) for name in names])[:150])
        say([(name, numbers(out)) for name, out in context.compute([("y", fp32(1, 2)), ("x", fp32(10, 20))])])
        """,
        "pair",
    )
    no, twice = (
        "invalid-argument: graph 'pair' has no input",
        "invalid-argument: input 'x' of graph 'pair' is there twice",
    )
    takes = "; it takes ['x', 'y']"
    wants = "invalid-argument: graph 'pair' wants input"
    assert told == [
        f"{no} 'z'{takes}",
        f"{no} '7'{takes}",
        f"{no} 'X'{takes}",
        f"{no} 'y '{takes}",
        f"{no} 'y\\x00'{takes}",
        f"{no} '\N{FULLWIDTH LATIN SMALL LETTER Y}'{takes}",
        f"invalid-argument: an input of graph 'pair' has an empty name{takes}",
        f"{no} '{'y' * 80}'{takes}",
        twice,
        twice,
        twice,
        f"{wants} 'y'; given: ['x']",
        f"{no} 'z'{takes}",
        f"{wants} 'x'; given: none",
        "[('sum', [11.0, 22.0]), ('difference', [9.0, 18.0])]",
    ]


def test_a_missing_input_is_nobody_elses(driver: Driver, graphs: Graphs) -> None:
    """Row 9: where an input is left out nothing is computed, so that what another guest sent is never seen."""
    seen: list[Event] = []
    source = driver.source(
        """
        context = context_of("pair")
        if sys.argv[1] == "plant":
            say([numbers(out) for _, out in context.compute([("x", fp32(42, 42)), ("y", fp32(42, 42))])])
        else:
            told = {failure(context.compute, [("x", fp32(0, 0))]) for _ in range(200)}
            say(told)
        """
    )
    grants = [f"pair={graphs.folder('openvino', 'pair')}"]
    with Host(grants, sink=seen.append, cache_dir=CACHE / "wit-llm") as host:
        planted = host.run(driver.component, [SETUP + source, "plant"])
        outcome = host.run(driver.component, [SETUP + source, "look"])
    assert planted.stdout == b"[[84.0, 84.0], [0.0, 0.0]]\n"
    assert outcome.stdout.decode() == "{\"invalid-argument: graph 'pair' wants input 'y'; given: ['x']\"}\n"
    assert len([event for event in seen if isinstance(event, TensorsAdmitted)]) == 1


def test_outputs_stay_what_they_were_when_a_later_compute_fails(driver: Driver, graphs: Graphs) -> None:
    """Row 11: an output is its compute's own, whatever fails after it on the same context, in the door or behind it."""
    told = _lines(
        driver,
        graphs,
        """
        context = context_of("rows")
        [(name, first)] = context.compute([("n", i64(2))])
        say(failure(context.compute, [("n", i64(4))]))
        say(failure(context.compute, [("n", i64(1, 2))]))
        say(name, first.dimensions(), numbers(first))
        [(_, last)] = context.compute([("n", i64(3))])
        say(last.dimensions(), numbers(last), first.dimensions())
        """,
        "rows",
    )
    assert told[0].startswith("runtime-error: computing failed in OpenVINO: ")
    assert "/" not in told[0]
    assert told[1:] == [
        "invalid-argument: input 'n' of graph 'rows' wants I64[1], got I64[2]",
        "y [2, 3] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]",
        "[3, 2] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] [2, 3]",
    ]


def test_graph_names_are_compared_and_never_followed(driver: Driver, graphs: Graphs) -> None:
    """Row 12: a name is granted letter by letter or not at all, however long or strange it is."""
    told = _lines(
        driver,
        graphs,
        """
        for name in (
            "", "ECHO", "echo ", "echo\\0", "echo\\n", "../echo", "./echo", "/etc/passwd", "..", "echo,target=gpu",
            "\\N{FULLWIDTH LATIN SMALL LETTER E}cho", "e\\N{COMBINING ACUTE ACCENT}cho", "echo\\N{ZERO WIDTH SPACE}",
            "\\N{CYRILLIC SMALL LETTER IE}cho", "e" * 1_000_000,
        ):
            say(failure(graph.load_by_name, name) == f"not-found: no graph {name[:128]!r} is granted; granted: echo")
        say({failure(graph.load_by_name, f"graph-{number}").partition("'")[0] for number in range(10_000)})
        say(context_of("echo") is not None)
        """,
    )
    assert told == [*["True"] * 15, "{'not-found: no graph '}", "True"]


def test_a_graph_of_another_guest_is_a_graph_that_is_not_there(driver: Driver, graphs: Graphs) -> None:
    """Row 13: what exists and is not granted has the words and the time of what does not exist."""
    other = driver.host([f"secret={graphs.folder('openvino', 'pair')}"])
    own = driver.source("say(graph.load_by_name('secret') is not None)")
    assert other.run(driver.component, [own]).stdout == b"True\n"
    told = _lines(
        driver,
        graphs,
        """
        say(failure(graph.load_by_name, "secret"))
        times = {"secret": [], "tiny": [], "nobody": []}
        for _ in range(300):
            for name, taken in times.items():
                began = time.perf_counter_ns()
                err(graph.load_by_name, name)
                taken.append(time.perf_counter_ns() - began)
        best = [min(taken) for taken in times.values()]
        say(max(best) < 1.5 * min(best), best)
        """,
    )
    assert told[0] == "not-found: no graph 'secret' is granted; granted: echo"
    assert told[1].startswith("True"), told[1]


def test_no_bytes_are_loaded_without_a_grant(driver: Driver, graphs: Graphs) -> None:
    """Row 14: whatever the bytes are, in every encoding and for every target, nothing looks at them."""
    told = _lines(
        driver,
        graphs,
        """
        crafted = [
            b"", b"\\0" * 1000, b"\\x08\\x08\\x12\\x04onnx", b"<?xml version='1.0'?><net/>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"GGUF\\xff\\xff\\xff\\xff", b"\\x80\\x04cos\\nsystem\\n.",
            b"PK\\x03\\x04", b"\\x1f\\x8b\\x08", b"\\x7fELF",
        ]
        say({
            failure(graph.load, builders, encoding, target)
            for data in crafted
            for builders in ([], [data], [data, data])
            for encoding in graph.GraphEncoding
            for target in graph.ExecutionTarget
        })
        """,
    )
    assert len(told) == 1
    assert told[0].startswith('{"security: loading a graph from a guest')
    assert told[0].count("security: ") == 1


def test_a_compute_has_at_most_64_inputs_and_outputs(driver: Driver, graphs: Graphs) -> None:
    """Row 15: one more than the limit is refused, in and out, and so are as many as handles go."""
    told = _lines(
        driver,
        graphs,
        """
        context = context_of("echo")
        inputs = lambda count: [(f"x{number}", fp32(number)) for number in range(count)]
        say(len(context.compute(inputs(64))))
        for count in (65, 900):
            say(failure(context.compute, inputs(count)))
        say(len(context.compute(inputs(64))))
        say(failure(context_of("many").compute, [("x", fp32(1, 2))]))
        """,
        "many",
    )
    assert told == [
        "64",
        "invalid-argument: 65 inputs for graph 'echo'; at most 64 go",
        "invalid-argument: 900 inputs for graph 'echo'; at most 64 go",
        "64",
        "too-large: graph 'many' gives 65 outputs; at most 64 go to a guest",
    ]


def test_a_million_inputs_end_the_guest_that_makes_them(driver: Driver, graphs: Graphs) -> None:
    """Row 15: a constructor cannot fail, so a guest that makes tensors without end is stopped at its handles."""
    with pytest.raises(GuestTrapped, match="^the guest was stopped: a guest holds at most 1000 handles: drop some$"):
        _lines(driver, graphs, "held = [fp32(1) for _ in range(1_000_000)]")
    assert _lines(driver, graphs, "say(context_of('echo') is not None)") == ["True"]


@pytest.mark.parametrize("library", ["openvino", pytest.param("pytorch", marks=pytest.mark.slow)])
def test_storms_of_strange_numbers_are_computed_as_the_library_does(
    driver: Driver, graphs: Graphs, library: str
) -> None:
    """
    Row 16: NaNs, infinities, zeros with a sign and denormals give bit by bit what the library called directly gives.

    The libraries do not agree: OpenVINO's relu of a NaN is 0, PyTorch's is that NaN.
    """
    outcome = driver.run(
        SETUP + "[print(out.data().hex()) for _, out in context_of('storm').compute([('x', tensor.Tensor([16], T.FP32,"
        " bytes.fromhex(sys.argv[1])))])]",
        graphs=[f"storm={graphs.folder(library, 'storm')}"],
        args=[STORM.hex()],
    )
    expected = (graphs.folder(library, "storm") / "expected.bin").read_bytes()
    assert outcome.stdout.decode().splitlines() == [expected[at : at + 64].hex() for at in range(0, 256, 64)]


def test_types_and_targets_that_are_not_there_are_unsupported(driver: Driver, graphs: Graphs) -> None:
    """Row 17, and targets: the guest reads what is not there, and what is; nothing is cast or moved instead."""
    pair = graphs.folder("openvino", "pair")
    granted = [
        f"double={graphs.folder('openvino', 'fp64')}",
        f"double-out={graphs.folder('openvino', 'wide')}",
        f"on-gpu={pair},target=gpu",
        f"on-tpu={pair},target=tpu",
        "echo,target=tpu",
    ]
    names = [grant.partition("=")[0].partition(",")[0] for grant in granted]
    outcome = driver.run("for name in sys.argv[1:]: say(failure(graph.load_by_name, name))", graphs=granted, args=names)
    told = outcome.stdout.decode().splitlines()
    types = "backend 'openvino' takes f16, f32, bf16, u8, i32, i64 (f64 not, because OpenVINO computes it in 32 bits)"
    assert told[0] == f"unsupported-operation: tensor 'in_fp64' has elements of type f64; {types}"
    assert told[1] == f"unsupported-operation: tensor 'y' has elements of type f64; {types}"
    for line, target in ((told[2], "gpu"), (told[3], "tpu")):
        there = line.startswith(f"unsupported-operation: backend 'openvino' has no target {target} on this machine; ")
        assert there
        assert line.endswith(("it has cpu", "it has cpu, gpu", "it has cpu, tpu"))
    assert told[4] == "unsupported-operation: backend 'echo' runs on target cpu, not on tpu"


def test_what_is_unsupported_is_found_out_once(driver: Driver, graphs: Graphs) -> None:
    """A guest that asks again for a target that is not there gets the same words, and starts no process."""
    host = driver.host([f"on-tpu={graphs.folder('openvino', 'pair')},target=tpu"])
    source = driver.source("for _ in range(int(sys.argv[1])): say(failure(graph.load_by_name, 'on-tpu'))")
    told, spent_s = [], []
    for times in ("1", "20"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        told += host.run(driver.component, [source, times]).stdout.decode().splitlines()
        spent_s.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert len(told) == 21
    assert {line.partition(";")[0] for line in told} == {
        "unsupported-operation: backend 'openvino' has no target tpu on this machine"
    }
    assert spent_s[0] > 0
    assert spent_s[1] == 0


@pytest.mark.slow
def test_pytorch_says_which_targets_there_are(driver: Driver) -> None:
    """The guest reads it, and the operator's graph stays what it is."""
    outcome = driver.run('say(failure(graph.load_by_name, "tiny"))', graphs=["tiny,backend=pytorch,target=tpu"])
    assert outcome.stdout.decode().startswith(
        "unsupported-operation: backend 'pytorch' has no target tpu on this machine; it has cpu"
    )


def test_little_in_and_much_out_is_too_large(driver: Driver, graphs: Graphs) -> None:
    """Row 18: outputs that no guest could hold are refused, known or found out, and the graph goes on."""
    told = _lines(
        driver,
        graphs,
        """
        count, square, large = context_of("count"), context_of("square"), context_of("large")
        say(failure(large.compute, [("x", fp32(1))]))
        for _ in range(2):
            say(failure(count.compute, [("n", i64(2**29))]))
            say([numbers(out) for _, out in count.compute([("n", i64(3))])])
            say(failure(square.compute, [("x", tensor.Tensor([2**15], T.FP32, bytes(2**17)))]))
            say(failure(square.compute, [("x", tensor.Tensor([2**11], T.FP32, bytes(2**13)))]))
            say([numbers(out) for _, out in square.compute([("x", fp32(3))])])
        """,
        "count",
        "square",
        "large",
        limits=Limits(compute_bytes=512 << 20, tensor_bytes=8 << 20),
    )
    each = [
        "too-large: computing wants more memory than it may have",
        "[[0, 1, 2]]",
        "too-large: computing wants more memory than it may have",
        "too-large: output 'y' has 16777216 bytes; at most 8388608 go to a guest",
        "[[9.0]]",
    ]
    known = "too-large: output 'y' of graph 'large' has 16777216 bytes; at most 8388608 go to a guest"
    assert told == [known, *each, *each]


def test_the_longest_list_of_bytes(driver: Driver, graphs: Graphs) -> None:
    """Row 19: 2,796,000 bytes cross in one call; 2,900,000 end the guest, whose operator is told of ``bulk``."""
    source = """
        [(_, out)] = context_of("echo").compute([("x", tensor.Tensor([{0}], T.U8, bytes({0})))])
        say(len(out.data()))
    """
    assert _lines(driver, graphs, source.format(2_796_000)) == ["2796000"]
    text = "more than the 2,796,202 list elements that one call can carry; send large tensors through wit-llm:nn/bulk"
    with pytest.raises(GuestTrapped, match=text):
        _lines(driver, graphs, source.format(2_900_000))


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_thousand_contexts_with_outputs_are_held_to_the_guests_bytes(
    driver: Driver, graphs: Graphs, tmp_path: Path
) -> None:
    """Row 20: outputs of 2 MiB, each of its own context, end in a typed error; memory stays bounded and returns."""
    before = _rss_bytes()
    peak: list[int] = []
    lines: list[str] = []

    def hear(data: bytes) -> None:
        lines.append(data.decode())
        if b"held" in data:
            peak.append(_rss_bytes())
            (tmp_path / "shown").touch()

    limits = Limits(handles=4000, held_bytes=64 << 20)
    host = driver.host(["echo", f"square={graphs.folder('openvino', 'square')}"], limits)
    source = """
        loaded, held = graph.load_by_name("square"), []
        contexts = [loaded.init_execution_context() for _ in range(1000)]
        refused = 0
        for context in contexts:
            try:
                held += context.compute([("x", tensor.Tensor([724], T.FP32, bytes(4 * 724)))])
            except Err as error:
                refused += 1
                told = in_words(error.value)
            if refused == 50:
                break
        print(len(contexts), len(held), told)
        show("held")
        held.clear()
        say(len(contexts[-1].compute([("x", tensor.Tensor([724], T.FP32, bytes(4 * 724)))])))
    """
    arguments = [SETUP + driver.source(source)]
    guest = host.start(driver.component, arguments, stdin=b"", stdout=hear, stderr=hear, dirs={"seen": tmp_path})
    assert guest.wait() == 0, lines
    assert "".join(lines) == "1000 32 too-large: a guest holds at most 67108864 bytes of tensors: drop some\nheld\n1\n"
    assert max(peak) - before < 160 << 20
    assert guest.handles == 0
