"""
What makes ``tensors.wasm`` of ``tensors.c``, with the tools of the packaged chat guest.

A checkout builds with ``python benchmarks/guests/build.py``: ziglang from PyPI, Node with npm. The component is
committed, so that who measures needs neither. ``--check`` needs no Node: it compares the module in the component with
what the compiler makes of the source.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wit_llm.embedded.chat import build as chat

HERE = Path(__file__).parent
COMPONENT = HERE / "tensors.wasm"
HEADERS = chat.CHECKOUT / "src" / "wit_llm" / "embedded" / "conformance" / "guest"


def main(arguments: list[str]) -> int:
    """Build, or with ``--check`` say whether a build is due."""
    if arguments == ["--check"]:
        if _code(COMPONENT.read_bytes()) == _code(core_module(), whole=False):
            return 0
        print("error: tensors.wasm holds another module than tensors.c makes; run build.py", file=sys.stderr)
        return 1
    build()
    print(f"{COMPONENT.name}: {COMPONENT.stat().st_size} bytes")
    return 0


def core_module() -> bytes:
    """``tensors.c`` compiled for WASI preview 1."""
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-std=gnu11", "-O2", "-s"]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wno-gnu", "-Werror", "-I", str(HEADERS)]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "core.wasm"
        subprocess.run([*compiler, *warnings, "-o", str(out), "tensors.c"], cwd=HERE, check=True)
        return out.read_bytes()


def build() -> None:
    """Write ``tensors.wasm``."""
    tools = chat.CHECKOUT / ".cache" / "chat-guest"
    tools.mkdir(parents=True, exist_ok=True)
    for name in chat.STEP:
        shutil.copy(chat.HERE / name, tools)
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(npm, cwd=tools, check=True, stdout=sys.stderr)
    core = tools / "tensors.core.wasm"
    core.write_bytes(core_module())
    node = ["node", "component.mjs", str(core), str(chat.CHECKOUT / "wit-llm"), "guest", str(COMPONENT)]
    subprocess.run(node, cwd=tools, check=True)


def _code(binary: bytes, *, whole: bool = True) -> list[tuple[int, bytes]]:
    """What a core module does; that of a ``whole`` component is its first."""
    return chat._code(chat._main_module(binary) if whole else binary)  # noqa: SLF001 -- its way to compare, not two


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
