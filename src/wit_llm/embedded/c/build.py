"""
What makes components of guests in C, and what proves that the committed files belong to their sources.

A checkout builds with ``python -m wit_llm.embedded.chat.build``, and so on: ziglang from PyPI, Node with npm; the npm
packages go to ``.cache/`` in the checkout. ``--check`` needs no Node: the same compiler makes the same core module of
the same C, so the module inside a committed component is compared with a fresh one, and the lock beside it has the
digests of the rest.
"""

# ruff: noqa: S603, T201 -- a script that prints, and runs commands of its own making

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ZIGLANG = "0.17.1"
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[3]
WIT = CHECKOUT / "wit-llm"
TOOLS = CHECKOUT / ".cache" / "chat-guest"

STEP = ("package.json", "component.mjs")

_HEADER_BYTES = 8
_CUSTOM = 0
_CORE_MODULE = 1


class Source(Protocol):
    """What a component is made of."""

    def write(self, folder: Path, out: Path) -> None:
        """Make the component."""

    def has_made(self, folder: Path, component: Path) -> bool:
        """Whether a component is what these sources make."""


@dataclass(frozen=True, slots=True)
class Guest:
    """
    A guest in C.

    Args:
        files: Its sources, by their paths in the folder.
        world: What it may import; it imports what it calls.
        wit: The folder that has its world.
        options: Of the compiler.
    """

    files: tuple[str, ...]
    world: str
    wit: Path = WIT
    options: tuple[str, ...] = ()

    def core_module(self, folder: Path) -> bytes:
        """
        Its sources compiled for WASI preview 1; the same bytes on every machine.

        Raises:
            RuntimeError: ziglang is missing or another version.
            subprocess.CalledProcessError: They do not compile; the compiler's words are on standard error.
        """
        try:
            found = version("ziglang")
        except PackageNotFoundError:
            found = "none"
        if found != ZIGLANG:
            raise RuntimeError(
                f"the guests are made with ziglang {ZIGLANG}, found {found}; run: pip install ziglang=={ZIGLANG}"
            )
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-std=c11", "-Oz", "-s"]
        warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wno-gnu", "-Werror"]
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "core.wasm"
            command = [*compiler, *warnings, "-o", str(out), *self.options, *self.files]
            subprocess.run(command, cwd=folder, check=True)
            return out.read_bytes()

    def write(self, folder: Path, out: Path) -> None:
        """Make the component."""
        core = TOOLS / "core.wasm"
        TOOLS.mkdir(parents=True, exist_ok=True)
        core.write_bytes(self.core_module(folder))
        node(HERE / "component.mjs", str(core), str(self.wit), self.world, str(out))

    def has_made(self, folder: Path, component: Path) -> bool:
        """Whether a component holds this core module."""
        return _code(_main_module(component.read_bytes())) == _code(self.core_module(folder))


@dataclass(frozen=True, slots=True)
class Committed:
    """
    Components that lie beside their sources, and a lock that has the digests of what the compiler cannot tell.

    Args:
        home: The folder, one of ``embedded/``.
        sources: Of each component, by its path in the folder.
    """

    home: Path
    sources: Mapping[str, Source]

    def main(self, arguments: Sequence[str]) -> int:
        """Build, or with ``--check`` say whether a build is due."""
        if arguments == ["--check"]:
            reasons = self.stale()
            for reason in reasons:
                print(f"error: {reason}", file=sys.stderr)
            return 1 if reasons else 0
        if arguments:
            print("usage: build.py [--check]", file=sys.stderr)
            return 2
        self.build()
        return 0

    def build(self) -> None:
        """Write every component, and the lock."""
        for name, source in self.sources.items():
            source.write(self.home, self.home / name)
            print(f"{name}: {(self.home / name).stat().st_size} bytes")
        (self.home / self._lock).write_text(json.dumps(self._digests(self.home), indent=2) + "\n")

    def stale(self, folder: Path | None = None) -> list[str]:
        """Why components in ``folder``, else in ``home``, do not belong to the sources there; empty when they do."""
        folder = folder or self.home
        locked = json.loads((folder / self._lock).read_text())
        found = self._digests(folder)
        reasons = [f"{name} is not what {self._lock} has" for name in found if locked.get(name) != found[name]]
        reasons += [
            f"{name} is not what its sources make"
            for name, source in self.sources.items()
            if not source.has_made(folder, folder / name)
        ]
        return [*reasons, f"run: python -m wit_llm.embedded.{self.home.name}.build"] if reasons else []

    @property
    def _lock(self) -> str:
        return f"{self.home.name}.lock.json"

    def _digests(self, folder: Path) -> dict[str, str]:
        """SHA-256 of everything but the core modules: the WIT as a parser sees it, the component step, its results."""
        texts = [
            f"{path.relative_to(CHECKOUT)} {' '.join(re.sub('//.*', '', path.read_text()).split())}"
            for path in sorted(WIT.rglob("*.wit"))
        ]
        contents = {WIT.name: "\n".join(texts).encode()}
        contents |= {name: (HERE / name).read_bytes() for name in STEP}
        contents |= {name: (folder / name).read_bytes() for name in self.sources}
        return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def node(script: Path, *arguments: str) -> None:
    """Run a script of JavaScript among the npm packages; fetches these where they are not there yet."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    for file in (HERE / "package.json", script):
        shutil.copy(file, TOOLS)
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(npm, cwd=TOOLS, check=True, stdout=sys.stderr)
    command = ["node", script.name, *arguments]
    subprocess.run(command, cwd=TOOLS, check=True)


def _code(module: bytes) -> list[tuple[int, bytes]]:
    """What a core module does: its sections without the custom ones, which the component step moves about."""
    return [(ident, body) for ident, body in _sections(module) if ident != _CUSTOM]


def _main_module(component: bytes) -> bytes:
    """The first core module of a component: the guest itself, before adapters."""
    return next(body for ident, body in _sections(component) if ident == _CORE_MODULE)


def _sections(binary: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and body of each section of a module or a component."""
    at = _HEADER_BYTES
    while at < len(binary):
        ident = binary[at]
        size, at = _leb128(binary, at + 1)
        yield ident, binary[at : at + size]
        at += size


def _leb128(binary: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = binary[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
