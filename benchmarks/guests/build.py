"""
What makes ``tensors.wasm`` of ``tensors.c``, as the packaged guests are made.

A checkout builds with ``python benchmarks/guests/build.py``: ziglang from PyPI, Node with npm. The component is
committed, so that who measures needs neither. ``--check`` needs no Node: it compares the module in the component with
what the compiler makes of the source.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wit_llm.embedded.c.build import CHECKOUT, Guest

HERE = Path(__file__).parent
COMPONENT = HERE / "tensors.wasm"
HEADERS = CHECKOUT / "src" / "wit_llm" / "embedded" / "conformance" / "guest"
TENSORS = Guest(("tensors.c",), "guest", options=("-std=gnu11", "-O2", "-I", str(HEADERS)))


def main(arguments: list[str]) -> int:
    """Build, or with ``--check`` say whether a build is due."""
    if arguments == ["--check"]:
        if TENSORS.has_made(HERE, COMPONENT):
            return 0
        print("error: tensors.wasm holds another module than tensors.c makes; run build.py", file=sys.stderr)
        return 1
    TENSORS.write(HERE, COMPONENT)
    print(f"{COMPONENT.name}: {COMPONENT.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
