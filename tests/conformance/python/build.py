"""What builds the suite's guests in Python: ``python -m tests.conformance.python.build FOLDER``, for ``--guests``."""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.architecture import ROOT
from tests.guest.driver.build import component
from wit_llm.conformance.suite import MODELS, Guests

HERE = Path(__file__).parent
GUESTS = {
    "nn.wasm": ("nn", [HERE, MODELS]),
    "prompt.wasm": ("prompt", [HERE]),
    "linking/tensor.wasm": ("tensor_alone", []),
}


def build(folder: Path, cache: Path = ROOT / ".cache" / "conformance") -> Guests:
    """The guests in a folder of their own, each built once for each state of its sources."""
    for name, (app, folders) in GUESTS.items():
        world = f"wit-llm:conformance/{app.replace('_', '-')}"
        made = component(cache, HERE / f"{app}.py", world, ["-d", str(HERE / "guests.wit")], folders)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, folder / name)
    return Guests(folder)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])).folder)
