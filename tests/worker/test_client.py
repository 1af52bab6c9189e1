"""The host's end of a loaded graph, on the backend that needs no weights: inside the host, and in a worker."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.worker.asking import SOON_S, Heard, ask, generate, open_descriptors, prompt, row
from wit_llm.backends.base import End, GraphInfo, Likelihood, Target, TextInfo
from wit_llm.errors import BackendFailure, DeadlinePassed, OperatorError, Unsupported
from wit_llm.events import Event, GraphFailed, GraphLoaded, HostFault, WorkerDied
from wit_llm.options import Decoding
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOREVER = Decoding(10**9)


class Start(Protocol):
    """Starts an engine that is closed after the test."""

    def __call__(self, backend: str, **settings: str) -> tuple[Engine, list[Event]]:
        """The engine, and what its sink is told."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts engines that are closed after the test."""
    engines: list[Engine] = []

    def make(backend: str, **settings: str) -> tuple[Engine, list[Event]]:
        events: list[Event] = []
        engine = Engine(GraphSource("x", backend, tmp_path, settings=settings), events.append)
        engines.append(engine)
        return engine, events

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture(params=["echo", "echo-worker"])
def backend(request: pytest.FixtureRequest) -> str:
    """Echo inside the host, and in a process of its own: nothing above can tell."""
    return str(request.param)


def _stop(pid: int) -> None:
    """Let a process stand still: all its threads, some of which may be told a little later."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        if all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks):
            return
        time.sleep(0.001)
    raise AssertionError(f"process {pid} does not stop")


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _kill(engine: Engine, how: signal.Signals = signal.SIGKILL) -> None:
    """End a worker behind its engine's back, and wait until it is buried."""
    pid = engine.pid
    assert pid is not None
    os.kill(pid, how)
    while not _gone(pid):
        time.sleep(0.01)


def test_says_what_it_loaded(start: Start, backend: str) -> None:
    """An engine knows what its graph takes, and the sink hears of it once."""
    engine, events = start(backend, window="99", vocab_size="7")
    assert engine.info == GraphInfo((), (), TextInfo(7, 99, max_logprobs=0), any_tensors=True)
    assert len(events) == 1
    (loaded,) = events
    assert isinstance(loaded, GraphLoaded)
    assert (loaded.graph, loaded.backend, loaded.pid) == ("x", backend, engine.pid)
    assert loaded.load_ms > 0
    assert (engine.pid is None) == (backend == "echo")


def test_computes(start: Start, backend: str) -> None:
    """Outputs come back under their names, in order, byte by byte."""
    engine, _ = start(backend)
    tensors = (
        NamedTensor("b", Tensor((3,), TensorType.U8, b"abc")),
        NamedTensor("a", Tensor((1 << 20,), TensorType.FP16, os.urandom(2 << 20))),
    )
    outputs = engine.compute(Admitted(tensors))
    assert [(o.name, o.tensor.dimensions, o.tensor.ty) for o in outputs] == [
        ("b", (3,), TensorType.U8),
        ("a", (1 << 20,), TensorType.FP16),
    ]
    assert [bytes(o.tensor.data) for o in outputs] == [t.tensor.data for t in tensors]


def test_generates(start: Start, backend: str) -> None:
    """Tokens come in order, the stop token included, and then nothing."""
    engine, _ = start(backend)
    heard, _ = ask(engine, [5, 6, 7], Decoding(10, (9,)))
    heard.wait()
    assert heard.begun.is_set()
    assert (heard.token_ids, heard.end, heard.error) == ([5, 6, 7, 9], End.STOP, None)
    assert generate(engine, [5, 6], Decoding(5)) == ([5, 6, 5, 6, 5], End.LENGTH)


def test_many_ask_at_once(start: Start, backend: str) -> None:
    """Threads that ask at the same time each get their own answer, of tokens and of tensors."""
    engine, _ = start(backend)
    answers: dict[int, tuple[list[int], bytes]] = {}

    def guest(number: int) -> None:
        token_ids, _ = generate(engine, [number, number + 1], Decoding(100))
        (output,) = engine.compute(Admitted((row("x", [number] * 50),)))
        answers[number] = (token_ids, bytes(output.tensor.data))

    threads = [threading.Thread(target=guest, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: ([number, number + 1] * 50, number.to_bytes(8, "little") * 50) for number in range(16)}


def test_cancel_ends_a_request(start: Start, backend: str) -> None:
    """A cancelled request ends once, as cancelled, and a second cancel or a late one does nothing."""
    engine, _ = start(backend, delay_ms="1")
    heard, request = ask(engine, [1, 2], FOREVER)
    assert heard.first.wait(SOON_S)
    request.cancel()
    request.cancel()
    assert heard.wait().end is End.CANCELLED
    request.cancel()
    assert generate(engine, [3], Decoding(2)) == ([3, 3], End.LENGTH)
    assert heard.error is None


def test_the_rest_wait_for_a_slot(start: Start, backend: str) -> None:
    """With one slot a second request begins only when the first has ended, and a waiting one can be cancelled."""
    engine, _ = start(backend, delay_ms="1", max_num_seqs="1")
    first, request = ask(engine, [1], FOREVER)
    assert first.begun.wait(SOON_S)
    second, _ = ask(engine, [2], Decoding(2))
    third, waiting = ask(engine, [3], FOREVER)
    waiting.cancel()
    assert (third.wait().token_ids, third.end) == ([], End.CANCELLED)
    assert not second.begun.is_set()
    request.cancel()
    assert (second.wait().token_ids, second.end) == ([2, 2], End.LENGTH)
    assert not third.begun.is_set()


def test_a_listener_with_a_bug_harms_nobody_else(start: Start, backend: str) -> None:
    """An exception in a listener ends its own request and is told to the operator; others go on."""

    class Broken(Heard):
        def tokens(
            self, token_ids: Sequence[int], end: End | None, at_ns: int, logprobs: Sequence[Sequence[Likelihood]] = ()
        ) -> None:
            raise ZeroDivisionError(f"{token_ids} {end} {at_ns > 0} {logprobs}")

    engine, events = start(backend, max_num_seqs="1")
    engine.generate(prompt(engine, [1]), FOREVER, Broken())
    assert generate(engine, [2], Decoding(3)) == ([2, 2, 2], End.LENGTH)
    (fault,) = [event for event in events if isinstance(event, HostFault)]
    assert fault.where == "handing out tokens of graph 'x'"
    assert "ZeroDivisionError: (1,) None True ()" in fault.detail


def test_closing_fails_what_is_in_flight(start: Start, backend: str) -> None:
    """An engine that is closed says so to calls in flight and to later ones; closing again does nothing."""
    engine, events = start(backend, delay_ms="1")
    pid = engine.pid
    heard, request = ask(engine, [1], FOREVER)
    assert heard.first.wait(SOON_S)
    engine.close()
    engine.close()
    request.cancel()
    assert str(heard.wait().error) == "graph 'x' is unloaded"
    with pytest.raises(BackendFailure, match="^graph 'x' is unloaded$"):
        engine.compute(prompt(engine, [1]))
    with pytest.raises(BackendFailure, match="^graph 'x' is unloaded$"):
        ask(engine, [1], FOREVER)
    assert pid is None or _gone(pid)
    assert [type(event) for event in events] == [GraphLoaded]


def test_a_killed_worker_fails_calls_and_is_replaced(start: Start) -> None:
    """A reply whose worker is killed fails with a typed error; the next call finds a new worker."""
    engine, events = start("echo-worker", delay_ms="1")
    pid = engine.pid
    assert pid is not None
    heard, _ = ask(engine, [1], FOREVER)
    assert heard.first.wait(SOON_S)
    os.kill(pid, signal.SIGKILL)
    error = heard.wait().error
    assert type(error) is BackendFailure
    assert str(error) == "the worker of graph 'x' died (signal 9); ask again"
    assert generate(engine, [4], Decoding(2)) == ([4, 4], End.LENGTH)
    assert engine.pid != pid
    assert [type(event) for event in events] == [GraphLoaded, WorkerDied, GraphLoaded]
    assert events[1] == WorkerDied("x", pid, "signal 9; the line ended")


def test_a_worker_that_died_unseen_is_replaced(start: Start) -> None:
    """A worker that dies between two calls costs none of them."""
    engine, _ = start("echo-worker")
    for _ in range(3):
        _kill(engine)
        assert generate(engine, [4], Decoding(2)) == ([4, 4], End.LENGTH)


def test_a_graph_that_cannot_be_loaded_again_says_so(start: Start, tmp_path: Path) -> None:
    """When the files are gone, the guest learns that there is no graph, and the operator why."""
    engine, events = start("echo-worker")
    _kill(engine)
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    with pytest.raises(BackendFailure, match="^graph 'x' cannot be loaded again; its operator knows why$"):
        engine.compute(prompt(engine, [1]))
    assert events[-1] == GraphFailed("x", f"a graph is a folder; {tmp_path} is none")
    tmp_path.with_name("elsewhere").rename(tmp_path)
    assert generate(engine, [4], Decoding(2)) == ([4, 4], End.LENGTH)


def test_a_late_answer_is_dropped(start: Start) -> None:
    """A compute that takes too long is given up with a typed error; its answer is not taken for the next one's."""
    engine, _ = start("echo-worker")
    assert engine.pid is not None
    _stop(engine.pid)
    try:
        with pytest.raises(DeadlinePassed, match=r"^the answer did not come within 0\.1 s$"):
            engine.compute(Admitted((row("late", [1]),)), timeout_s=0.1)
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    assert engine.compute(Admitted((row("next", [2]),)), timeout_s=SOON_S) == (row("next", [2]),)


def test_a_worker_that_does_not_end_is_killed(start: Start) -> None:
    """Closing takes a second or so, whatever the worker does."""
    engine, _ = start("echo-worker")
    assert engine.pid is not None
    _stop(engine.pid)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    assert _gone(engine.pid)


def test_engines_leave_no_descriptor_open(start: Start) -> None:
    """Starting and ending workers, killed ones too, leaves no descriptor behind."""
    start("echo-worker")[0].close()
    before = open_descriptors()
    for fate in (signal.SIGKILL, signal.SIGTERM, None):
        engine, _ = start("echo-worker")
        assert engine.compute(Admitted((row("x", range(50_000)),)))
        if fate is not None:
            _kill(engine, fate)
            generate(engine, [1], Decoding(1))
        engine.close()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param(
            {"colour": "red"},
            "setting 'colour' of backend 'echo' is unknown; known: delay_ms, window, vocab_size, max_num_seqs",
            id="unknown",
        ),
        pytest.param(
            {"window": "wide"},
            "settings of backend 'echo': Expected `int`, got `str` - at `$.window`",
            id="not-a-number",
        ),
        pytest.param(
            {"window": "0"},
            "settings of backend 'echo': Expected `int` >= 1 - at `$.window`",
            id="out-of-range",
        ),
    ],
)
def test_refuses_a_wrong_setting(start: Start, backend: str, settings: dict[str, str], text: str) -> None:
    """A setting that is not known, or not of its type, is named before anything is loaded."""
    with pytest.raises(OperatorError, match=f"^{re.escape(text)}$"):
        start(backend, **settings)


def test_refuses_a_target_that_is_not_there(tmp_path: Path, backend: str) -> None:
    """A target is never replaced by another."""
    with pytest.raises(Unsupported, match="^backend 'echo' runs on target cpu, not on gpu$"):
        Engine(GraphSource("x", backend, tmp_path, Target.GPU))


def test_refuses_an_unknown_backend(tmp_path: Path) -> None:
    """The message lists what there is."""
    text = r"^no backend 'llama'; there are: openvino, pytorch, echo, echo-worker$"
    with pytest.raises(OperatorError, match=text):
        Engine(GraphSource("x", "llama", tmp_path))


def test_what_nobody_meant_is_told_to_the_operator(start: Start, backend: str) -> None:
    """A bug of a backend is a typed error without details for the guest, and a traceback for the sink."""
    engine, events = start(backend)
    heard = Heard()
    engine.generate(Admitted((row("nothing", [1]),)), Decoding(1), heard)
    error = heard.wait().error
    assert (type(error), str(error)) == (BackendFailure, "the backend failed with KeyError")
    (fault,) = [event for event in events if isinstance(event, HostFault)]
    assert fault.where == "the worker of graph 'x'"
    assert fault.detail.endswith("KeyError: 'input_ids'\n")
