"""
What makes the conformance suite's components, and what proves that the committed files belong to their sources.

A checkout builds with ``python -m wit_llm.embedded.conformance.build``; what that needs, and what ``--check`` compares,
is said of the chat guest's build, which does the work.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from wit_llm.embedded.chat import build as chat

HERE = Path(__file__).parent
LOCK = HERE / "conformance.lock.json"
STEP = tuple(chat.HERE / name for name in chat.STEP)


@dataclass(frozen=True, slots=True)
class Guest:
    """
    A component in C.

    Args:
        sources: In ``guest/``.
        wit: The folder that has its world.
        world: What it may import; it imports what it calls.
    """

    sources: tuple[str, ...]
    wit: Path
    world: str

    def core_module(self, folder: Path = HERE) -> bytes:
        """Its sources compiled; models are embedded in them, for which C11 has no word."""
        return chat.compiled(folder / "guest", "-Wno-c23-extensions", *self.sources)


_NN = ("nn.c", "tensors.c", "errors.c", "graphs.c", "compute.c", "limits.c", "numbers.c", "acts.c", "suite.c")
GUESTS = {
    "nn.wasm": Guest(_NN, chat.WIT / "deps" / "wasi-nn", "ml"),
    "prompt.wasm": Guest(("prompt.c", "door.c", "suite.c"), chat.WIT, "guest"),
}


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
    return 0


def build() -> None:
    """Write every component and the lock."""
    for name, guest in GUESTS.items():
        chat.componentize(guest.core_module(), guest.wit, guest.world, HERE / name)
    for text in _texts(HERE):
        text.with_suffix(".wasm").write_bytes(_assembled(text))
    LOCK.write_text(json.dumps(_digests(HERE), indent=2) + "\n")


def stale(folder: Path = HERE) -> list[str]:
    """Why components in ``folder`` do not belong to the sources beside them; empty when they do."""
    locked = json.loads((folder / LOCK.name).read_text())
    reasons = [
        f"{name} is not what {LOCK.name} has" for name, found in _digests(folder).items() if locked.get(name) != found
    ]
    reasons += [
        f"{name} holds another module than its sources make"
        for name, guest in GUESTS.items()
        if not chat.is_made_of(folder / name, guest.core_module(folder))
    ]
    reasons += [
        f"linking/{text.stem}.wasm is not what {text.name} says"
        for text in _texts(folder)
        if text.with_suffix(".wasm").read_bytes() != _assembled(text)
    ]
    if reasons:
        reasons.append("run: python -m wit_llm.embedded.conformance.build")
    return reasons


def _texts(folder: Path) -> list[Path]:
    return sorted((folder / "linking").glob("*.wat"))


def _assembled(text: Path) -> bytes:
    return bytes(wasmtime.wat2wasm(text.read_text()))


def _digests(folder: Path) -> dict[str, str]:
    """Everything but the core modules: the WIT, the component step, its results."""
    return chat.digests(chat.WIT, *STEP, *(folder / name for name in GUESTS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
