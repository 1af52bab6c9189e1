"""
What makes ``chat.wasm`` of ``chat.c``, and what proves that the committed file belongs to its sources.

A checkout builds with ``python src/wit_llm/embedded/chat/build.py``: ziglang from PyPI, Node with npm; the npm packages
go to ``.cache/`` in the checkout. ``--check`` needs no Node: the same compiler makes the same core module of the same
C, so the module inside the committed component is compared with a fresh one, and ``chat.lock.json`` has the digests of
the rest.
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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ZIGLANG = "0.17.1"
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[3]
WIT = CHECKOUT / "wit-llm"
COMPONENT = "chat.wasm"
LOCK = "chat.lock.json"
STEP = ("package.json", "component.mjs")

_HEADER_BYTES = 8
_CUSTOM = 0
_CORE_MODULE = 1


def main(arguments: list[str]) -> int:
    """Build, or with ``--check`` say whether a build is due."""
    if arguments == ["--check"]:
        reasons = stale()
        for reason in reasons:
            print(f"error: {reason}", file=sys.stderr)
        return 1 if reasons else 0
    if arguments:
        print("usage: build.py [--check]", file=sys.stderr)
        return 2
    build()
    print(f"{COMPONENT}: {(HERE / COMPONENT).stat().st_size} bytes")
    return 0


def build() -> None:
    """Write ``chat.wasm`` and ``chat.lock.json``."""
    componentize(core_module(), WIT, "chat", HERE / COMPONENT)
    (HERE / LOCK).write_text(json.dumps(_digests(HERE), indent=2) + "\n")


def stale(folder: Path = HERE) -> list[str]:
    """Why the component in ``folder`` does not belong to the sources beside it; empty when it does."""
    locked = json.loads((folder / LOCK).read_text())
    found = _digests(folder)
    reasons = [f"{name} is not what {LOCK} has" for name, digest in found.items() if locked.get(name) != digest]
    if not is_made_of(folder / COMPONENT, core_module(folder)):
        reasons.append("chat.wasm holds another module than chat.c and wit_llm.h make")
    if reasons:
        reasons.append(f"run: python {Path(__file__).relative_to(CHECKOUT)}")
    return reasons


def core_module(folder: Path = HERE) -> bytes:
    """``chat.c`` of ``folder``, as ``compiled`` says."""
    return compiled(folder, "chat.c")


# ---------------------------------------------------------------- for other guests in C as well


def compiled(folder: Path, *arguments: str) -> bytes:
    """
    C compiled for WASI preview 1; the same bytes on every machine.

    Args:
        folder: Where the compiler runs.
        arguments: Sources, and options of their own.

    Raises:
        RuntimeError: ziglang is missing or another version.
        subprocess.CalledProcessError: The source does not compile; the compiler's words are on standard error.
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
        subprocess.run([*compiler, *warnings, "-o", str(out), *arguments], cwd=folder, check=True)
        return out.read_bytes()


def componentize(core: bytes, wit: Path, world: str, out: Path) -> None:
    """Write a core module as a component; fetches the npm packages that do it where they are not there yet."""
    tools = CHECKOUT / ".cache" / "chat-guest"
    tools.mkdir(parents=True, exist_ok=True)
    for name in STEP:
        shutil.copy(HERE / name, tools)
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(npm, cwd=tools, check=True, stdout=sys.stderr)
    module = tools / "core.wasm"
    module.write_bytes(core)
    node = ["node", "component.mjs", str(module), str(wit), world, str(out)]
    subprocess.run(node, cwd=tools, check=True)


def is_made_of(component: Path, core: bytes) -> bool:
    """Whether a component holds this core module."""
    return _code(_main_module(component.read_bytes())) == _code(core)


def digests(wit: Path, *files: Path) -> dict[str, str]:
    """SHA-256 of the WIT as a parser sees it, and of files by their names."""
    texts = [
        f"{path.relative_to(CHECKOUT)} {' '.join(re.sub('//.*', '', path.read_text()).split())}"
        for path in sorted(wit.rglob("*.wit"))
    ]
    contents = {str(wit.relative_to(CHECKOUT)): "\n".join(texts).encode()}
    contents |= {path.name: path.read_bytes() for path in files}
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def _digests(folder: Path) -> dict[str, str]:
    """Everything but the core module: the WIT, the component step, its result."""
    return digests(WIT, *(folder / name for name in (*STEP, COMPONENT)))


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
