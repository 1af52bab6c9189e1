"""What a guest sees when something breaks behind its back."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

import wit_llm
from tests.conftest import CACHE, Driver
from wit_llm import GuestTrapped, Host, OperatorError
from wit_llm.events import Event, GraphFailed, GraphLoaded, HostFault, WorkerDied

TINY = Path(wit_llm.__file__).parent / "embedded" / "tiny"


@pytest.mark.parametrize(
    ("graph", "question", "answer"),
    [
        pytest.param("echo-worker,settings.delay_ms=20", "x" * 200, "x" * 200, id="echo-worker"),
        pytest.param("tiny", "Write a long story.", "Once upon a time", id="openvino"),
    ],
)
def test_a_worker_killed_in_mid_reply_is_a_typed_error_and_the_next_prompt_works(
    driver: Driver, graph: str, question: str, answer: str
) -> None:
    """The reply fails with ``backend``, its turn is taken back, and the same session goes on with a new worker."""
    events: list[Event] = []
    printed = bytearray()

    def look(data: bytes) -> None:
        printed.extend(data)
        loaded = [event for event in events if isinstance(event, GraphLoaded)]
        if b"kill me" in data and loaded[0].pid is not None:
            os.kill(loaded[0].pid, signal.SIGKILL)

    source = """
        talk = session(graph.load_by_name(sys.argv[1]))
        reply = talk.start(types.Turn_Say(sys.argv[2]), greedy(ignore_eos=True))
        reply.next_text()
        say("kill me")
        try:
            read(reply)
        except Err as error:
            say(in_words(error.value))
        say(failure(reply.next) == failure(reply.poll), failure(reply.summary).startswith("invalid: "), talk.mark())
        say(talk.ask(types.Turn_Say(sys.argv[2]), greedy()).text)
    """
    with Host([graph], sink=events.append, cache_dir=CACHE / "wit-llm") as host:
        name = graph.partition(",")[0]
        guest = host.start(
            driver.component, [driver.source(source), name, question], stdin=b"", stdout=look, stderr=printed.extend
        )
        assert guest.wait() == 0, printed.decode()
    lines = printed.decode().splitlines()
    assert lines[1].startswith(f"backend: the worker of graph '{name}' died (signal 9)")
    assert lines[2] == "True True 0"
    assert lines[3].startswith(answer)
    assert [type(event) for event in events if isinstance(event, GraphLoaded | WorkerDied)] == [
        GraphLoaded,
        WorkerDied,
        GraphLoaded,
    ]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        pytest.param("openvino_model.bin", None, id="weights-missing"),
        pytest.param("openvino_model.xml", b"<net", id="graph-cut-short"),
        pytest.param("config.json", b"{", id="config-broken"),
    ],
)
def test_a_broken_graph_is_a_typed_error_and_the_operator_is_told_where(
    driver: Driver, tmp_path: Path, file: str, damage: bytes | None
) -> None:
    """The guest learns that the graph cannot be loaded, and no path; the operator learns the file."""
    folder = tmp_path / "broken"
    shutil.copytree(TINY, folder)
    if damage is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(damage)
    events: list[Event] = []
    outcome = driver.run('say(failure(graph.load_by_name, "broken"))', graphs=[f"broken={folder}"], sink=events.append)
    assert outcome.stdout.startswith(b"runtime-error: graph 'broken' cannot be loaded")
    assert str(tmp_path).encode() not in outcome.stdout
    [failed] = [event for event in events if isinstance(event, GraphFailed)]
    assert failed.graph == "broken"
    assert file.partition(".")[0] in failed.detail


@pytest.mark.parametrize("file", ["tokenizer.json"])
def test_a_graph_without_its_tokenizer_takes_tensors_only(driver: Driver, tmp_path: Path, file: str) -> None:
    """Prompting it says what is missing and how to make it."""
    folder = tmp_path / "bare"
    shutil.copytree(TINY, folder)
    (folder / file).unlink()
    outcome = driver.run(
        """
        loaded = graph.load_by_name("bare")
        say(failure(session, loaded))
        say(loaded.init_execution_context() is not None)
        """,
        graphs=[f"bare={folder}"],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[0].startswith("not-promptable: graph 'bare' has no tokenizer.json")
    assert "copy that of the model that it was made from" in lines[0]
    assert lines[1] == "True"


def test_a_bug_of_the_host_traps_its_guest_with_constant_text_and_is_told_to_the_operator(driver: Driver) -> None:
    """A callback that raises costs its guest, with no word of the exception in what the guest's runtime sees."""
    events: list[Event] = []

    def broken(data: bytes) -> None:
        raise RuntimeError(f"secret {data!r}")

    with Host(["echo"], sink=events.append, cache_dir=CACHE / "wit-llm") as host:
        guest = host.start(driver.component, ['say("x"); say("y")'], stdin=b"", stdout=broken, stderr=lambda _: None)
        with pytest.raises(GuestTrapped, match="its log says how") as caught:
            guest.wait()
    assert "secret" not in str(caught.value)
    assert any(isinstance(event, HostFault) and "secret" in event.detail for event in events)


@pytest.mark.parametrize(
    ("graphs", "told"),
    [
        pytest.param(["nothing"], "embedded are tiny, echo and echo-worker, not 'nothing'", id="no-such-embedded"),
        pytest.param(["a=/does/not/exist"], "there is no folder /does/not/exist", id="no-folder"),
        pytest.param(
            ["echo,speed=high"], "unknown key 'speed'; known: path, backend, target, settings", id="unknown-key"
        ),
        pytest.param(
            ["echo,backend=magic"], "no backend 'magic'; there are echo, echo-worker, openvino, pytorch", id="backend"
        ),
        pytest.param(["echo,target=npu"], "no target 'npu'; there are cpu, gpu, tpu", id="target"),
        pytest.param(["a b=/"], "'a b' is no graph name", id="name"),
        pytest.param(["echo", "echo"], "graph 'echo' is granted twice", id="twice"),
    ],
)
def test_grants_that_cannot_be_are_refused_at_once(graphs: list[str], told: str) -> None:
    """The operator hears what was asked, what was found and what there is, before any guest runs."""
    with pytest.raises(OperatorError) as caught:
        Host(graphs, cache_dir=CACHE / "wit-llm")
    assert told in str(caught.value)
