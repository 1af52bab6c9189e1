"""Graphs that a guest loads from bytes of its own."""

from __future__ import annotations

import copy
import io
import json
import re
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import wit_llm
from tests.conftest import CACHE, Command, Driver
from wit_llm import GuestTrapped, Host, Limits
from wit_llm.embedded.conformance import onnx_file
from wit_llm.events import Event, GraphFailed, GraphLoaded, TensorsAdmitted, WorkerDied
from wit_llm.tensor import TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS = Path(wit_llm.__file__).parent / "embedded" / "conformance" / "models"

# What every source below begins with.
PRELUDE = """
E, T = graph.GraphEncoding, graph.ExecutionTarget

def model(path):
    with open("models/" + path, "rb") as file:
        return file.read()

IR = lambda name: [model(f"openvino/{name}/model.xml"), model(f"openvino/{name}/model.bin")]
ONNX = lambda name: [model(f"onnx/{name}/model.onnx")]
PT2 = lambda name: [model(f"pytorch/{name}/model.pt2")]

def floats(*values):
    return tensor.Tensor([1, len(values)], tensor.TensorType.FP32, struct.pack(f"{len(values)}f", *values))

def indices(*values):
    return tensor.Tensor([len(values), 1], tensor.TensorType.I64, struct.pack(f"{len(values)}q", *values))

def works():
    with graph.load(IR("echo"), E.OPENVINO, T.CPU) as loaded, loaded.init_execution_context() as context:
        [(name, out)] = context.compute([("x", tensor.Tensor([2], tensor.TensorType.U8, b"ok"))])
        return name, out.data()
"""


BUILDERS = {"OPENVINO": "IR", "ONNX": "ONNX", "PYTORCH": "PT2"}


class Run(NamedTuple):
    """What a guest said, line by line, and what happened meanwhile."""

    lines: list[str]
    events: list[Event]

    def of(self, kind: type[Event]) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process puts temporary files, with nothing else in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def run(driver: Driver, source: str, folder: Path = MODELS, *, limits: Limits | None = None, status: int = 0) -> Run:
    """Run the source in a guest that may load graphs, and has a folder of models."""
    events: list[Event] = []
    with Host(["echo"], limits=limits, allow_load=True, sink=events.append, cache_dir=CACHE / "wit-llm") as host:
        outcome = host.run(driver.component, [PRELUDE + driver.source(source)], dirs={"models": folder})
    assert outcome.exit_code == status, outcome.stderr.decode()
    return Run(outcome.stdout.decode().splitlines(), events)


def workers(run: Run) -> list[int]:
    """Processes that were started for graphs, and still are there."""
    started = [event.pid for event in run.events if isinstance(event, GraphLoaded) and event.pid is not None]
    return [pid for pid in started if Path(f"/proc/{pid}").exists()]


# PyTorch takes seconds to start.
PYTORCH = pytest.param("PYTORCH", marks=pytest.mark.slow)


@pytest.mark.parametrize("encoding", ["OPENVINO", "ONNX", PYTORCH])
def test_a_graph_from_bytes_computes_like_one_with_a_name(driver: Driver, temporary: Path, encoding: str) -> None:
    """Each encoding, by its name and found out, gives the numbers of the model; nothing of it is left afterwards."""
    builders = BUILDERS[encoding]
    ran = run(
        driver,
        f"""
        for encoding in (E.{encoding}, E.AUTODETECT):
            with graph.load({builders}("numbers"), encoding, T.CPU) as loaded:
                with loaded.init_execution_context() as context:
                    [(name, out)] = context.compute([("x", floats(1, 2, 3, 4))])
                    say(name, out.dimensions(), [round(value, 4) for value in struct.unpack("3f", out.data())])
                say(failure(session, loaded))
        """,
    )
    assert ran.lines == [
        line
        for number in (1, 2)
        for line in (
            "y [1, 3] [0.1205, 0.3931, 0.4864]",
            f"not-promptable: graph 'loaded-{number}' takes tensors only",
        )
    ]
    assert workers(ran) == []
    assert list(temporary.iterdir()) == []


def test_weights_are_a_builder_only_where_there_are_some(driver: Driver) -> None:
    """An IR without constants is its XML alone; one that lacks its weights is refused."""
    ran = run(
        driver,
        """
        bare = IR("add")[:1]
        with graph.load(bare, E.OPENVINO, T.CPU) as loaded, loaded.init_execution_context() as context:
            four = lambda *values: tensor.Tensor([4], tensor.TensorType.FP32, struct.pack("4f", *values))
            [(name, out)] = context.compute([("a", four(1, 2, 3, 4)), ("b", four(1, 1, 1, 1))])
            say(name, struct.unpack("4f", out.data()))
        say(failure(graph.load, IR("numbers")[:1], E.OPENVINO, T.CPU))
        """,
    )
    added, refused = ran.lines
    assert added == "sum (2.0, 3.0, 4.0, 5.0)"
    assert refused.startswith("invalid-encoding: model.xml cannot be read by OpenVINO: Empty weights data in bin file")


def test_what_is_not_what_its_encoding_says_is_an_invalid_encoding(driver: Driver, temporary: Path) -> None:
    """Wrong numbers of builders, empty, junk, truncated and mistaken bytes, for every encoding."""
    ran = run(
        driver,
        """
        def refused(builders, encoding):
            told = failure(graph.load, builders, encoding, T.CPU)
            assert told.startswith("invalid-encoding: "), told
            assert not any(sign in told for sign in (' /', "'/", '"/', 'wit-llm-')), told  # a path of the host's
            return told.removeprefix("invalid-encoding: ")

        say("three", refused([*IR("add"), b"x"], E.OPENVINO))
        for encoding in (E.OPENVINO, E.ONNX, E.PYTORCH, E.AUTODETECT):
            say("none", refused([], encoding))
            say("empty", refused([b""], encoding))
            say("junk", refused([bytes(range(256)) * 40], encoding))
        say("two", refused(ONNX("add") * 2, E.ONNX))
        say("onnx as pytorch", refused(ONNX("add"), E.PYTORCH))
        say("pytorch as openvino", refused(PT2("add"), E.OPENVINO))
        say("ir as onnx", refused(IR("add")[:1], E.ONNX))
        say("pickle", refused([b"\\x80\\x02}q\\x00."], E.PYTORCH))
        say("torchscript", refused([model("torchscript/add/model.pt")], E.PYTORCH))
        for encoding in (E.TENSORFLOW, E.TENSORFLOWLITE, E.GGML):
            say(encoding.name.lower(), refused([b"GGUF"], encoding))
        for share in (0.3, 0.7, 0.99):
            cut = lambda builder: builder[: int(len(builder) * share)]
            refused([cut(IR("numbers")[0]), IR("numbers")[1]], E.OPENVINO)
            refused([IR("numbers")[0], cut(IR("numbers")[1])], E.OPENVINO)
            refused([cut(ONNX("numbers")[0])], E.ONNX)
            refused([cut(PT2("numbers")[0])], E.PYTORCH)
        say(works())
        """,
    )
    told = [tuple(line.partition(" ")[::2]) for line in ran.lines]
    openvino = "encoding openvino takes two builders, the model's XML and its weights, or the XML alone"
    pytorch = "encoding pytorch takes one builder, an archive of torch.export.save"
    neither = "neither an OpenVINO IR nor ONNX nor an archive of torch.export.save: the first builder"
    junk = rf"begins with {bytes(range(8))!r}"
    assert told[:14] == [
        ("three", f"{openvino}; got 3 builders"),
        ("none", f"{openvino}; got 0 builders"),
        ("empty", "the first builder of encoding openvino is the XML; it is empty"),
        ("junk", f"the first builder of encoding openvino is the XML; it {junk}"),
        ("none", "encoding onnx takes one builder, the model; got 0 builders"),
        ("empty", "the builder is no whole ONNX model; it is empty"),
        ("junk", f"the builder is no whole ONNX model; it {junk}"),
        ("none", f"{pytorch}; got 0 builders"),
        ("empty", "the builder is no archive of torch.export.save; it is empty"),
        ("junk", f"the builder is no archive of torch.export.save; it {junk}"),
        ("none", f"{neither} is empty"),
        ("empty", f"{neither} is empty"),
        ("junk", f"{neither} {junk}"),
        ("two", "encoding onnx takes one builder, the model; got 2 builders"),
    ]
    assert [name for name, _ in told[14:17]] == ["onnx", "pytorch", "ir"]
    assert told[17:19] == [
        ("pickle", "the builder is a pickle, which is code; make an archive with torch.export.save"),
        ("torchscript", "the archive is TorchScript, which is code; make one with torch.export.save"),
    ]
    assert told[19:] == [
        *(
            (name, f"no backend of this host reads encoding {name}; it reads openvino, onnx, pytorch")
            for name in ("tensorflow", "tensorflowlite", "ggml")
        ),
        ("('y',", "b'ok')"),
    ]
    assert workers(ran) == []
    assert list(temporary.iterdir()) == []


def test_formats_that_are_code_or_reach_past_their_bytes_are_refused(driver: Driver, tmp_path: Path) -> None:
    """An ONNX model cannot name a file of the host's, nor an address in the worker's memory, as its data."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"the host's own")
    (tmp_path / "models").mkdir()
    for name, location in (("absolute", str(secret)), ("relative", "../secret"), ("address", "*/_ORT_MEM_ADDR_/*")):
        (tmp_path / "models" / name).write_bytes(_with_data_elsewhere(location))
    ran = run(
        driver,
        """
        for name in ("absolute", "relative", "address"):
            say(failure(graph.load, [model(name)], E.ONNX, T.CPU))
        """,
        tmp_path / "models",
    )
    assert ran.lines[:2] == ["invalid-encoding: backend 'openvino' cannot read the graph; the host's log says why"] * 2
    assert ran.lines[2:] == [
        "invalid-encoding: the ONNX model names an address in memory as its data; put the data into the model"
    ]
    failed = [event.detail for event in ran.of(GraphFailed) if isinstance(event, GraphFailed)]
    assert [re.search("Path '(.*?)' resolves to .* outside the base directory", detail) for detail in failed]


def _with_data_elsewhere(location: str) -> bytes:
    """An ONNX model that adds a constant of 14 bytes, whose data lie at ``location``."""
    fourteen = TensorSpec("x", TensorType.U8, (14,))
    nodes = (onnx_file.node("Add", "x c", "y"),)
    entries: Mapping[str, str] = {"location": location, "offset": "4096", "length": "14"}
    data = b"".join(
        onnx_file._field(13, onnx_file._field(1, key) + onnx_file._field(2, value)) for key, value in entries.items()
    )
    constant = b"".join((onnx_file._field(1, 14), onnx_file._field(2, 2), onnx_file._field(8, "c"), data))
    external = constant + onnx_file._field(14, 1)
    return onnx_file.model("elsewhere", nodes, (external,), (fourteen,), (TensorSpec("y", TensorType.U8, (14,)),))


NESTED = """
BOOL = '<port id="0" precision="BOOL"/>'
FP32 = '<port id="{}" precision="FP32" names="y"><dim>2</dim></port>'

def const(ty, shape, size, port):
    data = f'<data element_type="{ty}" shape="{shape}" offset="0" size="{size}"/><output>{port}</output>'
    return f'<layer id="0" name="c" type="Const" version="opset1">{data}</layer>'

def edges(*pairs):
    return "".join(f'<edge from-layer="{a}" from-port="{p}" to-layer="{b}" to-port="0"/>' for a, p, b in pairs)

END = f'<layer id="9" name="r" type="Result" version="opset1"><input>{FP32.format(0)}</input></layer></layers>'
LEAF = f'<layers>{const("f32", 2, 8, FP32.format(0))}{END}<edges>{edges((0, 0, 9))}</edges>'
MAP = '<{0}_port_map><output external_port_id="0" internal_layer_id="9"/></{0}_port_map>'
OPEN = (
    f'<layers>{const("boolean", "", 1, BOOL)}<layer id="1" name="i" type="If" version="opset8"><input>{BOOL}</input>'
    f'<output>{FP32.format(1)}</output>{MAP.format("then")}{MAP.format("else")}<then_body>'
)
CLOSE = f'</then_body><else_body>{LEAF}</else_body></layer>{END}<edges>{edges((0, 0, 1), (1, 1, 9))}</edges>'

def nested(depth):
    xml = f'<?xml version="1.0"?><net name="n" version="11">{OPEN * depth}{LEAF}{CLOSE * depth}</net>'
    return [xml.encode(), bytes(64)]
"""


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        pytest.param(Limits(load_s=2), "timeout: the graph took too long to load", id="wall-clock"),
        pytest.param(
            Limits(worker_cpu_s=2),
            "runtime-error: the process in which backend 'openvino' read the graph died over it",
            id="processor",
        ),
    ],
)
def test_a_parser_that_comes_to_no_end_is_a_typed_error(
    driver: Driver, temporary: Path, limits: Limits, told: str
) -> None:
    """OpenVINO takes minutes over a thousand nested conditions: the guest gets an error in time, and goes on."""
    source = """
        with graph.load(nested(2), E.OPENVINO, T.CPU):
            say("loaded")
        say(failure(graph.load, nested(1000), E.OPENVINO, T.CPU))
        say(works())
    """
    began = time.monotonic()
    ran = run(driver, NESTED + driver.source(source), limits=limits)
    assert ran.lines == ["loaded", told, "('y', b'ok')"]
    assert time.monotonic() - began < 20
    assert len(ran.of(GraphFailed)) == 1
    assert workers(ran) == []
    assert list(temporary.iterdir()) == []


def test_a_guest_whose_time_is_over_takes_its_parser_along(driver: Driver, temporary: Path) -> None:
    """A load counts as the guest's own time."""
    began = time.monotonic()
    with pytest.raises(GuestTrapped, match="its time of 3 s is over"):
        run(driver, NESTED + "graph.load(nested(1000), E.OPENVINO, T.CPU)", limits=Limits(deadline_s=3))
    assert time.monotonic() - began < 20
    assert list(temporary.iterdir()) == []


def test_a_crash_in_compute_costs_that_compute_only(driver: Driver, tmp_path: Path) -> None:
    """OpenVINO 2026.4.1 reads where an index of GatherND says: the guest gets an error, and its graph a new process."""
    x, i = TensorSpec("x", TensorType.FP32, (4,)), TensorSpec("i", TensorType.I64, (None, 1))
    y = TensorSpec("y", TensorType.FP32, (None,))
    (tmp_path / "gather.onnx").write_bytes(
        onnx_file.model("gather", (onnx_file.node("GatherND", "x i", "y"),), (), (x, i), (y,))
    )
    ran = run(
        driver,
        """
        four = lambda: tensor.Tensor([4], tensor.TensorType.FP32, struct.pack("4f", 1, 2, 3, 4))
        with graph.load([model("gather.onnx")], E.ONNX, T.CPU) as loaded, loaded.init_execution_context() as context:
            compute = lambda *at: context.compute([("x", four()), ("i", indices(*at))])
            say(struct.unpack("2f", compute(0, 3)[0][1].data()))
            say(failure(compute, 2**28))
            say(struct.unpack("1f", compute(1)[0][1].data()))
        """,
        tmp_path,
    )
    assert ran.lines == [
        "(1.0, 4.0)",
        "runtime-error: the worker of graph 'loaded-1' died (signal 11); ask again",
        "(2.0,)",
    ]
    assert [type(event) for event in ran.events if not isinstance(event, TensorsAdmitted)] == [
        GraphLoaded,
        WorkerDied,
        GraphLoaded,
    ]
    assert workers(ran) == []


@pytest.mark.slow
def test_memory_over_the_limit_is_a_typed_error(driver: Driver, temporary: Path, tmp_path: Path) -> None:
    """A model that wants more memory than its process may have fails alone: while it is read, and in a compute."""
    weight = _with_a_weight_of_a_gib(MODELS / "pytorch" / "numbers" / "model.pt2")
    (tmp_path / "weight.pt2").write_bytes(weight)
    (tmp_path / "square.onnx").write_bytes((MODELS / "onnx" / "square" / "model.onnx").read_bytes())
    source = """
        def load(path, encoding):
            try:
                return graph.load([model(path)], encoding, T.CPU)
            except Err as error:
                say(in_words(error.value).partition(":")[0])

        if load("weight.pt2", E.PYTORCH):
            say("loaded")
        with load("square.onnx", E.ONNX) as loaded, loaded.init_execution_context() as context:
            line = lambda size: [("x", tensor.Tensor([size], tensor.TensorType.FP32, bytes(4 * size)))]
            say(failure(context.compute, line(30_000)).partition(":")[0])
            say(context.compute(line(2))[0][1].dimensions())
    """
    loaded, computed, after = run(driver, source, tmp_path).lines
    assert (loaded, after) == ("loaded", "[2, 2]")
    assert computed in ("too-large", "runtime-error")
    assert run(driver, source, tmp_path, limits=Limits(worker_bytes=1 << 30)).lines == [
        "invalid-encoding",
        computed,
        after,
    ]
    assert list(temporary.iterdir()) == []


def _with_a_weight_of_a_gib(path: Path) -> bytes:
    """An archive with one more weight, of no bytes and 2**28 elements, which PyTorch makes by itself."""
    target = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("model_weights_config.json"):
                config = json.loads(content)
                spare = copy.deepcopy(config["config"]["hidden"]) | {"path_name": "weight_9"}
                spare["tensor_meta"] |= {"sizes": [{"as_int": 1 << 28}], "strides": [{"as_int": 1}]}
                config["config"]["spare"] = spare
                content = json.dumps(config).encode()
                out.writestr("model/data/weights/weight_9", b"")
            out.writestr(name, content)
    return target.getvalue()


def test_a_process_without_room_for_the_library_is_a_typed_error(driver: Driver) -> None:
    """A limit that is too low for anything is said, and nothing more happens."""
    ran = run(
        driver,
        "say(failure(graph.load, IR('add'), E.OPENVINO, T.CPU).partition(':')[0])",
        limits=Limits(worker_bytes=32 << 20),
    )
    assert ran.lines == ["runtime-error"]


def test_graphs_of_its_own_are_counted_and_measured(driver: Driver) -> None:
    """A guest holds as many as it may, of the size that it may; one that it drops makes room, in whatever order."""
    ran = run(
        driver,
        """
        load = lambda: graph.load(IR("echo"), E.OPENVINO, T.CPU)
        one, two = load(), load()
        say(failure(load))
        context = two.init_execution_context()
        two.__exit__(None, None, None)
        say(failure(load))
        [(name, out)] = context.compute([("x", tensor.Tensor([2], tensor.TensorType.U8, b"ok"))])
        context.__exit__(None, None, None)
        say(name, out.data())
        three = load()
        say(failure(nn_prompt.init, three))
        say(works())
        say(failure(graph.load, [bytes(1_000_001)], E.ONNX, T.CPU))
        """,
        limits=Limits(loaded_graphs=2, graph_bytes=1_000_000),
    )
    most = "too-large: a guest holds at most 2 graphs loaded from bytes: drop some"
    assert ran.lines == [
        most,
        most,
        "y b'ok'",
        "graph 'loaded-3' takes tensors only",
        "('y', b'ok')",
        "too-large: a graph of 1000001 bytes; at most 1000000 go in, larger ones by load-by-name",
    ]
    assert workers(ran) == []


@pytest.mark.parametrize("encoding", ["ONNX", PYTORCH])
def test_a_target_that_is_not_there_is_unsupported(driver: Driver, encoding: str) -> None:
    """A graph goes where it was to go, or nowhere."""
    ran = run(driver, f"say(failure(graph.load, {BUILDERS[encoding]}('add'), E.{encoding}, T.TPU))")
    backend = {"ONNX": "openvino", "PYTORCH": "pytorch"}[encoding]
    there = f"unsupported-operation: backend '{backend}' has no target tpu on this machine; it has "
    assert ran.lines[0].startswith(there), ran.lines


def test_what_a_guest_forgets_to_drop_goes_with_it(driver: Driver, temporary: Path) -> None:
    """The end of a guest, a trap too, ends its graphs and removes their files."""
    ran = run(
        driver,
        """
        held = [graph.load(IR("echo"), E.OPENVINO, T.CPU) for _ in range(2)]
        contexts = [loaded.init_execution_context() for loaded in held]
        raise RuntimeError("no time to tidy up")
        """,
        status=1,
    )
    assert len(ran.of(GraphLoaded)) == 2
    assert workers(ran) == []
    assert list(temporary.iterdir()) == []


def test_files_of_a_graph_are_nobody_elses_to_read(driver: Driver, temporary: Path, tmp_path: Path) -> None:
    """While a graph lives its bytes lie in a folder of mode 0700, and nowhere else."""
    modes: set[str] = set()
    seen = tmp_path / "seen"
    seen.mkdir()
    with Host([], allow_load=True, cache_dir=CACHE / "wit-llm") as host:

        def look(_data: bytes) -> None:
            for folder in temporary.glob("wit-llm-*"):
                modes.add(f"{oct(folder.stat().st_mode)} {sorted(path.name for path in folder.iterdir())}")
            (seen / "shown").touch()

        source = 'kept = graph.load(IR("echo"), E.OPENVINO, T.CPU)\nshow("loaded")'
        dirs = {"models": MODELS, "seen": seen}
        guest = host.start(driver.component, [PRELUDE + source], stdin=b"", stdout=look, dirs=dirs)
        assert guest.wait() == 0
    assert modes == {"0o40700 ['model.bin', 'model.xml']"}
    assert list(temporary.iterdir()) == []


def test_a_host_that_closes_ends_a_compute_in_a_graph_of_the_guest_s(driver: Driver) -> None:
    """A guest that sits in a long compute of its own graph does not keep the process of that graph alive."""
    source = """
        with graph.load(IR("slow"), E.OPENVINO, T.CPU) as loaded, loaded.init_execution_context() as context:
            say("computing")
            context.compute([("x", tensor.Tensor([6000], tensor.TensorType.FP32, bytes(24000)))])
    """
    computing = threading.Event()
    events: list[Event] = []
    with Host([], allow_load=True, sink=events.append, cache_dir=CACHE / "wit-llm") as host:
        host.start(
            driver.component,
            [PRELUDE + driver.source(source)],
            stdin=b"",
            stdout=lambda _: computing.set(),
            stderr=lambda _: None,
            dirs={"models": MODELS},
        )
        assert computing.wait(30)
    assert workers(Run([], events)) == []


def test_the_command_grants_it_with_an_option(command: Command, driver: Driver) -> None:
    """``--allow-load`` is what lets a guest load; what went wrong with a graph is a warning to the operator."""
    source = PRELUDE + "say(works())\nsay(failure(graph.load, IR('numbers')[:1], E.OPENVINO, T.CPU).partition(':')[0])"
    guest = ["--dir", f"{MODELS}::models", str(driver.component)]
    ended = command("run", "--allow-load", *guest, source)
    assert (ended.status, ended.stdout) == (0, "('y', b'ok')\ninvalid-encoding\n")
    assert ended.stderr.startswith("warning: graph 'loaded-2' cannot be loaded: model.xml cannot be read by OpenVINO")
    denied = command("run", *guest, source)
    assert denied.status == 1
    assert "security: loading a graph from a guest's bytes is not granted; use load-by-name" in denied.stderr
