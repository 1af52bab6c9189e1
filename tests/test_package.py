"""What is shipped: an installed wheel, far from the checkout, does the main job."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.architecture import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(shipped: Path) -> Path:
    """The wheel."""
    (wheel,) = shipped.glob("*.whl")
    return wheel


def test_wheel_carries_what_the_command_needs(wheel: Path) -> None:
    """The WIT, the embedded model, the packaged guests and the mark of typed packages are inside."""
    names = set(ZipFile(wheel).namelist())
    wit = {f"wit_llm/wit/{path.relative_to(ROOT / 'wit-llm')}" for path in (ROOT / "wit-llm").rglob("*.wit")}
    assert len(wit) >= 4
    tiny = {f"wit_llm/embedded/tiny/{name}" for name in ("openvino_model.xml", "model.safetensors", "tokenizer.json")}
    guests = {"wit_llm/embedded/chat/chat.wasm", "wit_llm/embedded/bench/bench.wasm"}
    assert (wit | tiny | guests | {"wit_llm/py.typed"}) - names == set()


def test_wheel_carries_the_conformance_suite(wheel: Path) -> None:
    """Every component and every model of the suite is inside, and what says how to read them."""
    names = set(ZipFile(wheel).namelist())
    suite = ROOT / "src" / "wit_llm" / "embedded" / "conformance"
    files = [path for part in ("models", "linking") for path in (suite / part).rglob("*") if path.is_file()]
    wanted = {suite / "nn.wasm", suite / "prompt.wasm", suite / "README.md", suite / "guest" / "wasi_nn.h", *files}
    assert len(wanted) > 4 * 15
    assert {str(path.relative_to(ROOT / "src")) for path in wanted} - names == set()


def test_embedded_model_is_small(wheel: Path) -> None:
    """The model's files stay under 4 MB."""
    sizes = [file.file_size for file in ZipFile(wheel).infolist() if file.filename.startswith("wit_llm/embedded/tiny/")]
    assert 1_000_000 < sum(sizes) < 4_000_000


def test_source_distribution_holds_the_tests_and_no_litter(shipped: Path) -> None:
    """What is needed to build and to test is there; caches and environments are not."""
    (sdist,) = shipped.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"tests/test_package.py", "wit-llm/nn.wit", "Makefile", "examples/embed.py"} - names == set()
    assert [name for name in names if name.startswith((".venv", ".cache")) or "__pycache__" in name] == []


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that has the wheel, and the dependencies of this one."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home)
    python = home / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)],
        capture_output=True,
        timeout=120,
        check=True,
    )
    (site,) = home.glob("lib/python*/site-packages")
    # our own package is found in `site` first, and a path in a .pth file runs no .pth file in turn
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return home / "bin"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        pytest.param(["wit-llm", "chat", "Hello!"], ["Hello! How can I help you?"], id="chat"),
        pytest.param(["wit-llm", "--version"], ["wit-llm 0.1.0"], id="version"),
        pytest.param(
            ["wit-llm", "run", "--graph", "tiny", "chat", "tiny", "Who are you?"],
            ["I am a tiny test model that lives inside this package."],
            id="run",
        ),
        pytest.param(
            ["wit-llm", "bench", "echo", "--concurrency", "1", "--repeats", "1"],
            ["graph: name echo, backend echo, target cpu"],
            id="bench",
        ),
        pytest.param(
            ["wit-llm", "conformance", "--backend", "onnx", "A.tensor"],
            ["case      result  seen", "A.tensor  pass    linked, and ran"],
            id="conformance",
        ),
    ],
)
def test_installed_command_works_outside_the_checkout(
    installed: Path, tmp_path: Path, command: list[str], told: list[str]
) -> None:
    """From an empty folder, with nothing of the checkout on its path, the command answers."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [str(installed / command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**env, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rstrip() for line in done.stdout.splitlines()][: len(told)] == told
    where = subprocess.run(
        [str(installed / "python"), "-c", "import wit_llm; print(wit_llm.__file__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=env,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed.parent)
