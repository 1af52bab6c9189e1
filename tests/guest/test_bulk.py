"""Large tensors: in and out whole, in words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.conftest import CACHE, Driver
from wit_llm import GuestTrapped, Host, Limits

GUESTS = ROOT / "benchmarks" / "guests"
MIB_64 = 64 << 20


@pytest.fixture
def c_guest() -> Path:
    """The guest in C that the benchmark of tensors runs."""
    return GUESTS / "tensors.wasm"


@pytest.mark.parametrize("graph", ["echo", "echo-worker"])
def test_64_mib_go_in_and_out_whole_from_c(c_guest: Path, graph: str) -> None:
    """The guest compares every byte of what came back with what it sent."""
    with Host([graph], cache_dir=CACHE / "wit-llm") as host:
        outcome = host.run(c_guest, [graph, "bulk", str(MIB_64 + 3), "1"])
    assert (outcome.exit_code, outcome.stderr) == (0, b"")
    [[into_ns, compute_ns, out_ns]] = json.loads(outcome.stdout)
    assert min(into_ns, compute_ns, out_ns) > 0


@pytest.mark.slow
def test_64_mib_go_in_and_out_whole_from_python(driver: Driver) -> None:
    """The same from a guest whose words are numbers of its language."""
    outcome = driver.run(
        """
        size, piece = 64 << 20, 1 << 16
        pattern = array.array("Q", [(i * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF for i in range(piece)])
        words = size // 8
        with bulk.Builder([size], tensor.TensorType.U8) as builder:
            for at in range(0, words, piece):
                pattern[0] = at
                builder.append(pattern.tolist())
            made = builder.finish()
        with graph.load_by_name("echo-worker").init_execution_context() as context:
            [(name, out)] = context.compute([("x", made)])
        with out:
            say(name, out.dimensions())
            wrong = 0
            for at in range(0, words, piece):
                pattern[0] = at
                wrong += bulk.read(out, at, piece) != pattern.tolist()
            say(wrong, bulk.read(out, words - 1, 2) == [pattern[-1]], bulk.read(out, words, 1))
        """,
        graphs=["echo-worker"],
    )
    assert outcome.stdout.decode().splitlines() == [f"x [{MIB_64}]", "0 True []"]


@pytest.mark.parametrize(("size", "goes"), [(2_796_000, True), (2_900_000, False)])
def test_a_list_of_bytes_ends_where_one_call_does(c_guest: Path, size: int, goes: bool) -> None:
    """Beyond what a call carries the guest is ended, and the host says why and what carries more."""
    with Host(["echo"], cache_dir=CACHE / "wit-llm") as host:
        if goes:
            assert host.run(c_guest, ["echo", "list", str(size), "1"]).exit_code == 0
            return
        with pytest.raises(GuestTrapped) as caught:
            host.run(c_guest, ["echo", "list", str(size), "1"])
        assert str(caught.value) == (
            "the guest trapped: more than the 2,796,202 list elements that one call can carry; "
            "send large tensors through wit-llm:nn/bulk, and load large graphs by name"
        )
        assert host.run(c_guest, ["echo", "bulk", str(size), "1"]).exit_code == 0


def test_builders_count_as_the_tensors_that_they_become(driver: Driver) -> None:
    """What a guest has not finished yet is held in the host as well, and has the same limit."""
    outcome = driver.run(
        """
        words = [1] * 1000
        held = []
        def fill():
            builder = bulk.Builder([8000], tensor.TensorType.U8)
            builder.append(words)
            held.append(builder)
        fill(), fill()
        say(failure(fill))
        made = held.pop().finish()
        say(failure(fill))
        made.__exit__(None, None, None)
        fill()
        say("made room")
        held.clear()
        say(failure(bulk.Builder([20_000], tensor.TensorType.U8).append, words))
        """,
        limits=Limits(held_bytes=20_000, tensor_bytes=10_000),
    )
    most = "invalid: a guest holds at most 20000 bytes of tensors: drop some"
    assert outcome.stdout.decode().splitlines() == [
        most,
        most,
        "made room",
        "invalid: a tensor of 20000 bytes; at most 10000 go in",
    ]


def test_the_c_guest_is_what_its_source_makes(environment: dict[str, str]) -> None:
    """The committed component holds the module that the compiler makes of ``tensors.c``."""
    check = [sys.executable, str(GUESTS / "build.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
