"""What builds Python guests for the tests, each once for each state of its sources."""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
WIT = HERE.parents[2] / "wit-llm"


def build(cache: Path) -> Path:
    """The driver as a component in ``cache``; as ``component``."""
    # Two interfaces are called `prompt`; the short name is ours.
    names = ["wit-llm:nn/prompt@0.1.0=prompt", "wasi:nn/prompt@0.2.0-rc-2024-10-28=nn_prompt"]
    renames = [word for name in names for word in ("--import-interface-name", name)]
    # One world of its own, because componentize-py 0.25.1 panics when it has to merge two.
    return component(cache, HERE / "driver.py", "wit-llm:tests/driver", ["-d", str(HERE / "driver.wit"), *renames])


def component(
    cache: Path, app: Path, world: str, options: list[str] | None = None, folders: Sequence[Path] = ()
) -> Path:
    """
    A component in ``cache``, built unless it is there for these very sources.

    Args:
        cache: A folder, made when missing.
        app: The Python module that has ``Run``.
        world: Which one of the WIT it takes.
        options: More of componentize-py's.
        folders: What the module imports, and what it reads while it is imported.

    Raises:
        subprocess.CalledProcessError: componentize-py failed; ``stderr`` is what it said.
    """
    wanted = [world, *(options or []), version("componentize-py")]
    worlds = [Path(word) for word in wanted if word.endswith(".wit")]
    beside = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    built = cache / f"{app.stem}-{_digest(wanted, [app, *WIT.rglob('*.wit'), *worlds, *beside])}.wasm"
    with held(cache), tempfile.TemporaryDirectory(dir=cache) as scratch:
        if built.exists():
            return built
        out = Path(scratch) / "guest.wasm"
        tool = Path(sys.executable).with_name("componentize-py")
        command = [str(tool), "-d", str(WIT), "-w", world, *(options or []), "componentize", app.stem]
        for folder in dict.fromkeys([app.parent, *folders]):
            command += ["-p", str(folder)]
        subprocess.run([*command, "-o", str(out)], check=True, capture_output=True, text=True)
        # In one step, as a process that dies meanwhile must not leave half of it.
        out.replace(built)
    return built


@contextmanager
def held(cache: Path) -> Iterator[None]:
    """For one process at a time, of those that fill the same folder: what one makes, the others find."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(words: list[str], files: list[Path]) -> str:
    """Short digest of all that a component is made of."""
    digest = hashlib.sha256("\n".join(words).encode())
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
