"""What makes the conformance suite's components: guests in C, and components that stand in a text as they are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from wit_llm.embedded.c.build import WIT, Committed, Guest

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Text:
    """A component's own text, by its path in the folder."""

    file: str

    def write(self, folder: Path, out: Path) -> None:
        """Make the component."""
        out.write_bytes(self._assembled(folder))

    def has_made(self, folder: Path, component: Path) -> bool:
        """Whether a component is what the text says."""
        return component.read_bytes() == self._assembled(folder)

    def _assembled(self, folder: Path) -> bytes:
        return bytes(wasmtime.wat2wasm((folder / self.file).read_text()))


_NN = ("nn.c", "tensors.c", "errors.c", "graphs.c", "compute.c", "limits.c", "numbers.c", "acts.c", "suite.c")
_PROMPT = ("prompt.c", "door.c", "suite.c")
# Models are embedded in the sources, for which C11 has no word.
_OPTIONS = ("-Wno-c23-extensions",)


def _in_c(files: tuple[str, ...], world: str, wit: Path = WIT) -> Guest:
    return Guest(tuple(f"guest/{file}" for file in files), world, wit, _OPTIONS)


SUITE = Committed(
    HERE,
    {
        "nn.wasm": _in_c(_NN, "ml", WIT / "deps" / "wasi-nn"),
        "prompt.wasm": _in_c(_PROMPT, "guest"),
        **{f"linking/{text.stem}.wasm": Text(f"linking/{text.name}") for text in sorted(HERE.glob("linking/*.wat"))},
    },
)

if __name__ == "__main__":
    sys.exit(SUITE.main(sys.argv[1:]))
