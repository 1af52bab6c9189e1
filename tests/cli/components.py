"""Small components, from their text."""

from __future__ import annotations

from wasmtime import wat2wasm

LOOPS_FOR_EVER = "(loop $forever (br $forever)) unreachable"

_PROGRAM = """
(component
  (core module $m (func (export "run") (result i32) {body}))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
"""


def program_of(body: str) -> bytes:
    """A program whose ``run`` does what the body says; 0 is ok and 1 is err."""
    return bytes(wat2wasm(_PROGRAM.format(body=body)))
