"""What an import costs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.architecture import ROOT

HEAVY = {
    "jinja2",
    "numpy",
    "openvino",
    "openvino_genai",
    "rich",
    "tokenizers",
    "torch",
    "transformers",
    "wasmtime",
}
ROUNDS = 5


def _loaded_by(code: str) -> set[str]:
    """The heavy libraries that are loaded once a fresh Python has run the code."""
    script = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        pytest.param("import wit_llm", set(), id="package"),
        pytest.param("import wit_llm.cli", set(), id="command"),
        pytest.param("from wit_llm import Limits, NNError, Overflow", set(), id="errors-and-limits"),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(code: str, loaded: set[str]) -> None:
    """Importing the package, its command or its errors loads no library."""
    assert _loaded_by(code) == loaded


def test_host_leaves_engines_to_its_workers() -> None:
    """The process that runs guests holds no engine: those live in the workers."""
    assert _loaded_by("from wit_llm import Host") <= {"wasmtime", "numpy", "tokenizers", "jinja2"}


def test_every_name_of_the_front_door_opens() -> None:
    """What ``__all__`` lists is there, and nothing else."""
    import wit_llm

    assert [name for name in wit_llm.__all__ if not hasattr(wit_llm, name)] == []
    with pytest.raises(AttributeError, match="module 'wit_llm' has no attribute 'Hostess'"):
        _ = wit_llm.Hostess


def _fastest_s(*args: str) -> float:
    """Wall-clock seconds of the fastest of some runs of Python."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *args], cwd=ROOT / "src", stdout=subprocess.DEVNULL, timeout=60, check=True)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize(
    ("args", "limit_s"),
    [
        pytest.param(["-c", "import wit_llm"], 0.3, id="import"),
        pytest.param(["-m", "wit_llm", "--help"], 0.4, id="help"),
    ],
)
def test_start_is_quick(args: list[str], limit_s: float) -> None:
    """Nobody waits for the package; on a slow machine it may take as many times longer as Python itself does."""
    usual_s = 0.03
    slowness = max(1, _fastest_s("-c", "pass") / usual_s)
    assert _fastest_s(*args) < limit_s * slowness
