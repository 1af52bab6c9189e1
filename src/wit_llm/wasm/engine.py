"""Compiling components, and keeping what was compiled."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import wasmtime
from wasmtime import component as wit

from wit_llm.errors import OperatorError
from wit_llm.wasm import budget, bulk, embed, models, nn, prompt, tokenizer
from wit_llm.wasm.clock import Clock
from wit_llm.wasm.linking import link

INTERFACES = (
    *nn.INTERFACES,
    prompt.TYPES,
    prompt.PROMPT,
    tokenizer.TOKENIZER,
    embed.EMBED,
    models.MODELS,
    budget.BUDGET,
    bulk.BULK,
)

_MAGIC = b"\0asm"
_COMPONENT = b"\x0d\0\x01\0"
_MODULE = b"\x01\0\0\0"


@dataclass(frozen=True, slots=True)
class Program:
    """A component, compiled and bound to the host's interfaces; any number of guests run from it."""

    engine: wasmtime.Engine
    clock: Clock
    component: wit.Component
    linker: wit.Linker


class Runtime:
    """
    One wasmtime engine with its clock.

    Args:
        cache: Folder of compiled components, which is code that this process runs: nobody else may write there.
    """

    def __init__(self, cache: Path) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        # A library that takes over SIGILL or SIGSEGV after this (faulthandler does) would end the process at a trap.
        config.signals_based_traps = False
        self._engine = wasmtime.Engine(config)
        self._cache = cache
        self._clock = Clock(self._engine)

    def close(self) -> None:
        """Stop the clock."""
        self._clock.close()

    def program(self, binary: bytes) -> Program:
        """
        Compile a component, or take it from the cache, and bind its imports.

        Raises:
            OperatorError: It is no component, cannot be compiled, or imports what is not offered.
        """
        check_component(binary)
        component = self._compile(binary)
        return Program(self._engine, self._clock, component, link(self._engine, component, INTERFACES))

    def _compile(self, binary: bytes) -> wit.Component:
        digest = hashlib.sha256(binary).hexdigest()
        kept = _private(self._cache) / f"{digest}-{version('wasmtime')}.cwasm"
        if kept.exists():
            try:
                return wit.Component.deserialize_file(self._engine, str(kept))
            except wasmtime.WasmtimeError:
                kept.unlink(missing_ok=True)  # another build of wasmtime, or cut short
        try:
            component = wit.Component(self._engine, binary)
        except wasmtime.WasmtimeError as exc:
            raise OperatorError(f"the component cannot be compiled: {str(exc).splitlines()[0]}") from exc
        _write(kept, component.serialize())
        return component


def check_component(binary: bytes) -> None:
    """
    See from its first bytes that it is a component.

    Raises:
        OperatorError: It is text, a core module or something else; says the way to a component.
    """
    magic, version = binary[:4], binary[4:8]
    if magic == _MAGIC and version == _COMPONENT:
        return
    if magic == _MAGIC and version == _MODULE:
        raise OperatorError(
            "this is a core WebAssembly module, not a component: make one of it with "
            "`wasm-tools component new MODULE.wasm -o COMPONENT.wasm`, or build for the target wasm32-wasip2"
        )
    if binary.lstrip()[:1] == b"(":
        raise OperatorError("this is WebAssembly text, not a component: `wasm-tools parse TEXT -o COMPONENT` makes one")
    raise OperatorError(f"this is not a WebAssembly component: it begins with {binary[:8]!r}")


def _private(folder: Path) -> Path:
    """The cache folder, made when missing; refused where others could plant code in it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stat = folder.stat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o022:
        raise OperatorError(f"the cache folder {folder} can be written by others: `chmod go-w {folder}`")
    return folder


def _write(path: Path, data: bytes | bytearray) -> None:
    """Appear whole or not at all, however many processes write it at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
