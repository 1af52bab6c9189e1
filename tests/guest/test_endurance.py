"""Ten thousand computes: what host, worker and guest have in use afterwards is what they had before."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CACHE, Driver
from tests.contract.conftest import SETTINGS, Graphs
from tests.contract.graphs import SIGNATURES
from tests.worker.asking import SOON_S, open_descriptors
from wit_llm import Grant, Host
from wit_llm.backends.base import Signature
from wit_llm.events import Event, GraphLoaded

WARM_UP = 1_000
COMPUTES = 10_000
# What allocators keep for later; a leak of one small tensor a compute would be over it.
SLACK_BYTES = 8 << 20

# Every tenth is large enough to go by shared memory.
SOURCE = """
context = graph.load_by_name("square").init_execution_context()
count = 0
for part in sys.argv[1:]:
    for _ in range(int(part)):
        count += 1
        size = 130 if count % 10 == 0 else 16
        [(_, out)] = context.compute([("x", tensor.Tensor([size], tensor.TensorType.FP32, bytes(4 * size)))])
        del out
    show(count)
"""


@dataclass(frozen=True, slots=True)
class Use:
    """What a process has in use."""

    rss_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Use:
        """Read ``/proc``."""
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(int(status["VmRSS"].split()[0]) << 10, open_descriptors(pid), _threads(pid))

    def is_no_more_than(self, other: Use) -> bool:
        """Whether it is as little as what was in use before."""
        # Fewer is what an earlier test has left behind and the collector has found meanwhile.
        return (
            self.descriptors <= other.descriptors
            and self.threads <= other.threads
            and self.rss_bytes - other.rss_bytes < SLACK_BYTES
        )


def _threads(pid: int) -> int:
    """How many there are, without wasmtime's for the files that a guest looks at, which come and go."""
    names = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            names.append((task / "comm").read_text())
    return sum("tokio" not in name for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["echo", "echo-worker", "openvino", "pytorch", "torchscript"])
def test_ten_thousand_computes_leave_nothing(
    driver: Driver, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, library: str
) -> None:
    """Memory, descriptors, threads and handles of host and worker do not grow with what was computed."""
    echoes = library.startswith("echo")
    backend = "pytorch" if library == "torchscript" else library
    folder = tmp_path_factory.mktemp("echo")
    if not echoes:
        folder = Graphs(tmp_path_factory.mktemp("graphs")).folder(library, "square")
    signature = SIGNATURES["square"] if library == "torchscript" else Signature()
    grant = Grant("square", folder, backend, settings=SETTINGS.get(backend, {}), signature=signature)
    workers: list[int | None] = []
    seen: list[tuple[str, int, list[Use]]] = []

    def note(event: Event) -> None:
        if isinstance(event, GraphLoaded):
            workers.append(event.pid)

    def hear(data: bytes) -> None:
        if data.strip():
            pids = [os.getpid(), *filter(None, workers)]
            uses = [Use.of(pid) for pid in pids]
            # A worker closes the memory that it has sent when the guest may have been told already.
            until = time.monotonic() + SOON_S
            while seen and not all(map(Use.is_no_more_than, uses, seen[0][2])) and time.monotonic() < until:
                time.sleep(0.05)
                uses = [Use.of(pid) for pid in pids]
            seen.append((data.decode().strip(), guest.handles, uses))
            (tmp_path / "shown").touch()

    with Host([grant], sink=note, cache_dir=CACHE / "wit-llm") as host:
        arguments = [SOURCE, str(WARM_UP), str(COMPUTES)]
        dirs = {"seen": tmp_path}
        guest = host.start(driver.component, arguments, stdin=b"", stdout=hear, stderr=hear, dirs=dirs)
        assert guest.wait() == 0, seen
    assert len(workers) == 1
    (first, handles, before), (last, handles_after, after) = seen
    assert (first, last, handles_after) == (str(WARM_UP), str(WARM_UP + COMPUTES), handles)
    for then, now in zip(before, after, strict=True):
        print(f"{library}: {then} -> {now}")  # noqa: T201 -- the numbers are what one wants to read
        assert now.is_no_more_than(then)
