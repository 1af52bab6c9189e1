"""Several guests at once: each has its solo answer, and nobody else's error."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import CACHE, Driver
from tests.work import opcodes
from wit_llm import GuestTrapped, Host, Limits
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.events import Event, GraphLoaded
from wit_llm.host import Running

STORY = """
talk = session(graph.load_by_name("tiny"))
say(read(talk.start(types.Turn_Say(sys.argv[1]), greedy()))[0])
"""
QUESTIONS = ["Write a long story.", "Say the alphabet.", "Count from one to ten.", "What is WebAssembly?"]


@pytest.mark.parametrize("backend", ["openvino", pytest.param("pytorch", marks=pytest.mark.slow)])
def test_guests_that_stream_at_the_same_time_have_their_solo_answers(driver: Driver, backend: str) -> None:
    """Four guests of one host on one graph, together, say what each says alone."""
    graphs = [f"tiny,backend={backend}"]

    def answer(question: str) -> str:
        return driver.run(STORY, graphs=graphs, args=[question]).stdout.decode()

    alone = [answer(question) for question in QUESTIONS]
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        together = list(pool.map(answer, QUESTIONS * 3))
    assert together == alone * 3
    assert alone[2] == "one two three four five six seven eight nine ten\n"


def test_two_guests_stream_interleaved_from_one_graph(driver: Driver) -> None:
    """Neither waits for the other's end: their pieces come in turns."""
    order: list[str] = []
    host = driver.host(["echo,settings.delay_ms=30"])
    source = """
        talk = session(graph.load_by_name("echo"))
        reply = talk.start(types.Turn_Say(sys.argv[1]), None)
        while not (fragment := reply.next_text()).finished:
            say(fragment.text)
    """

    def note(letter: str) -> Callable[[bytes], None]:
        return lambda _: order.append(letter)

    both = [
        host.start(driver.component, [driver.source(source), letter * 30], stdin=b"", stdout=note(letter))
        for letter in "ab"
    ]
    assert [guest.wait() for guest in both] == [0, 0]
    turns = sum(1 for here, there in pairwise(order) if here != there)
    assert turns > 10


def test_a_guest_without_input_reads_its_end(driver: Driver) -> None:
    """No input is an input that is over, as often as it is read."""
    assert driver.run("say(repr([sys.stdin.read(), sys.stdin.readline()]))", stdin=b"").stdout == b"['', '']\n"


def test_who_computes_need_not_wait_for_a_guest_that_wakes(driver: Driver) -> None:
    """A guest's thread is one of those that take no core when they wake, and a worker is none of those."""
    policies: list[int] = []
    workers: list[set[int]] = []

    def note(event: Event) -> None:
        if isinstance(event, GraphLoaded):  # told on the guest's thread
            policies.append(os.sched_getscheduler(0))
            threads = [int(thread.name) for thread in Path(f"/proc/{event.pid}/task").iterdir()]
            workers.append({os.sched_getscheduler(thread) for thread in threads})

    source = driver.source('graph.load_by_name("echo-worker"); say("loaded")')
    with Host(["echo-worker"], sink=note, cache_dir=CACHE / "wit-llm") as host:
        assert host.run(driver.component, [source]).stdout == b"loaded\n"
    assert (policies, workers) == ([os.SCHED_BATCH], [{os.SCHED_OTHER}])


def test_an_exception_never_crosses_guests(driver: Driver) -> None:
    """Eight threads of guests that trap, fail and succeed: each ends in its own way, hundreds of times over."""
    endings = {
        "trap": "tensor.Tensor([3_000_000], tensor.TensorType.U8, bytes(3_000_000))",
        "error": 'raise RuntimeError("of " + sys.argv[1])',
        "typed": "say(failure(graph.load_by_name, sys.argv[1]))",
        "fine": "say(sys.argv[1])",
    }
    wrong: list[object] = []

    def run(number: int) -> None:
        kind = list(endings)[number % 4]
        name = f"guest-{number}"
        try:
            outcome = driver.host(["echo"]).run(driver.component, [endings[kind], name])
            seen = (outcome.exit_code, outcome.stdout.decode().strip(), outcome.stderr.decode().strip())
        except GuestTrapped as exc:
            seen = (-1, "", str(exc).partition(":")[0])
        wanted = {
            "trap": (-1, "", "the guest trapped"),
            "error": (1, "", f"RuntimeError: of {name}"),
            "typed": (0, f"not-found: no graph '{name}' is granted; granted: echo", ""),
            "fine": (0, name, ""),
        }[kind]
        if seen != wanted:
            wrong.append((seen, wanted))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(400)))
    assert wrong == []


def test_a_guest_that_spins_is_stopped_by_its_deadline_and_hurts_nobody(driver: Driver) -> None:
    """An endless loop ends at its time, while a neighbour answers as ever."""
    limits = Limits(deadline_s=1.0)
    ended: list[str] = []

    def spin() -> None:
        with pytest.raises(GuestTrapped, match=r"the guest was stopped: its time of 1 s is over") as caught:
            driver.run("while True: pass", graphs=["echo"], limits=limits)
        ended.append(str(caught.value))

    thread = threading.Thread(target=spin)
    thread.start()
    outcome = driver.run(
        'say(session(graph.load_by_name("echo")).ask(types.Turn_Say("hi"), None).text)', graphs=["echo"]
    )
    thread.join(10)
    assert outcome.stdout == b"hi\n"
    assert len(ended) == 1


def test_a_guest_that_waits_for_the_host_is_stopped_by_its_deadline_too(driver: Driver) -> None:
    """Waiting for a slow reply ends at the guest's deadline, not at the reply's end."""
    source = """
        session(graph.load_by_name("echo")).ask(types.Turn_Say("x" * 1000), None)
    """
    with pytest.raises(GuestTrapped, match="its time of 1 s is over"):
        driver.run(source, graphs=["echo,settings.delay_ms=50"], limits=Limits(deadline_s=1.0))


def test_memory_is_capped(driver: Driver) -> None:
    """A guest that grows without end gets its own memory error, and no more."""
    outcome = driver.run(
        """
        held = []
        while True:
            held.append(bytearray(8 << 20))
        """,
        limits=Limits(memory_bytes=128 << 20),
        status=1,
    )
    assert outcome.stderr.startswith(b"MemoryError")


def test_a_guest_that_floods_its_output_is_stopped(driver: Driver) -> None:
    """What a guest writes is kept up to a limit, and no further."""
    with pytest.raises(GuestTrapped, match="it wrote more than 1048576 bytes"):
        driver.run("while True: say('x' * 65536)", limits=Limits(output_bytes=1 << 20))


def test_a_guest_starts_beside_many_as_it_starts_beside_few(driver: Driver) -> None:
    """To start one does not look at each of those that run, and those that have ended are forgotten."""
    host = driver.host(["echo,settings.delay_ms=20"])

    def start() -> Running:
        return host.start(CHAT_GUEST, ["echo", "x" * 3000], stdin=b"", stdout=len, stderr=len)

    first = start()
    beside_one = opcodes(start)
    guests = [start() for _ in range(100)]
    assert opcodes(start) - beside_one < 10 * len(guests)
    assert first.alive
    assert len(host._running) == len(guests) + 3
    for guest in list(host._running):
        guest.end()
        with pytest.raises(GuestTrapped, match="the guest was stopped"):
            guest.wait(10)
    assert not host._running


def test_a_guest_leaves_nothing_behind(driver: Driver) -> None:
    """However it ends, its handles are gone and its reply is cancelled, so that the next guest has the graph alone."""
    host = driver.host(["echo,settings.max_num_seqs=1,settings.delay_ms=5"])
    hoard = """
        held = [tensor.Tensor([1], tensor.TensorType.U8, b"x") for _ in range(50)]
        talk = session(graph.load_by_name("echo"))
        reply = talk.start(types.Turn_Say("x" * 3000), None)
        reply.next_text()
    """
    for ending, status in (
        ("", 0),
        ("raise RuntimeError", 1),
        ("tensor.Tensor([], tensor.TensorType.U8, bytes(3 << 20))", None),
    ):
        guest = host.start(driver.component, [driver.source(hoard) + ending], stdin=b"", stdout=len, stderr=len)
        if status is None:
            with pytest.raises(GuestTrapped):
                guest.wait()
        else:
            assert guest.wait() == status
        assert guest.handles == 0
        began = time.monotonic()
        outcome = host.run(
            driver.component, ['say(session(graph.load_by_name("echo")).ask(types.Turn_Say("hi"), None).text)']
        )
        assert outcome.stdout == b"hi\n"
        assert time.monotonic() - began < 3
