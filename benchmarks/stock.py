"""A guest on wasmtime-py as its documentation has it, with wasmtime's own conversions."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from measure import BENCH
from wasmtime import component as wit

WASI = ("wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/")

HostFunction = Callable[..., Any]


class Stock:
    """
    Some functions for a guest, of which every other import traps.

    Args:
        component: Its file.
    """

    def __init__(self, component: Path) -> None:
        self._engine = wasmtime.Engine()
        self._component = _compiled(self._engine, component)
        self._resources: dict[str, int] = {}
        self._reps = itertools.count(1)
        self._items: dict[int, Any] = {}
        self._linker = wit.Linker(self._engine)
        self._linker.add_wasip2()

    def offer(self, functions: Mapping[str, Mapping[str, HostFunction]]) -> None:
        """Bind functions by interface, its version left out, and name."""
        # By hand: define_unknown_imports_as_traps of wasmtime 50.0.1 takes WASI 0.2.9, which a guest wants, for
        # unknown, although the linker's own is taken for it where nothing else is there.
        with self._linker.root() as root:
            for name, interface in self._component.type.imports(self._engine).items():
                if isinstance(interface.ty, wit.ComponentInstanceType) and not name.startswith(WASI):
                    self._define(root, name, interface.ty, functions.get(name.partition("@")[0], {}))

    def _define(
        self, root: wit.LinkerInstance, name: str, ty: wit.ComponentInstanceType, offered: Mapping[str, HostFunction]
    ) -> None:
        """One interface, of which what is not offered traps."""
        with root.add_instance(name) as instance:
            for item, extern in ty.exports(self._engine).items():
                if isinstance(extern.ty, wit.ResourceType):
                    number = self._resources.setdefault(item, len(self._resources) + 1)
                    instance.add_resource(item, wit.ResourceType.host(number), lambda _store, rep: self._drop(rep))
                elif isinstance(extern.ty, wit.FuncType):
                    instance.add_func(item, offered.get(item, _trap))

    def _drop(self, rep: int) -> None:
        del self._items[rep]

    def give(self, resource: str, item: object) -> wit.ResourceHost:
        """A handle for the guest, by the name of its resource."""
        rep = next(self._reps)
        self._items[rep] = item
        return wit.ResourceHost.own(rep, self._resources[resource])

    def look(self, store: wasmtime.Store | wasmtime.StoreContext | wasmtime.Caller, handle: wit.ResourceAny) -> Any:  # noqa: ANN401 -- what was given
        """What is behind a handle that the guest lends."""
        return self._items[handle.to_host(store).rep]

    def run(self, arguments: Sequence[str]) -> bytes:
        """What a run of the guest prints."""
        with tempfile.NamedTemporaryFile() as printed:
            wasi = wasmtime.WasiConfig()
            wasi.argv = ["guest", *arguments]
            wasi.stdout_file = printed.name
            wasi.inherit_stderr()
            self._run(wasi)
            return printed.read()

    def _run(self, wasi: wasmtime.WasiConfig) -> None:
        store = wasmtime.Store(self._engine)
        store.set_wasi(wasi)
        instance = self._linker.instantiate(store, self._component)
        interface = instance.get_export_index(store, "wasi:cli/run@0.2.0")
        index = instance.get_export_index(store, "run", interface)
        function = None if index is None else instance.get_func(store, index)
        if function is None:
            raise RuntimeError("the guest exports no `run`")
        function(store)
        store.close()


def _trap(*_arguments: object) -> None:
    raise RuntimeError("the guest has no use for this")


def _compiled(engine: wasmtime.Engine, component: Path) -> wit.Component:
    """Compiled once: a Python guest takes ten seconds."""
    kept = BENCH / f"{component.stem}-{version('wasmtime')}.cwasm"
    if not kept.exists():
        BENCH.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        part.write_bytes(wit.Component(engine, component.read_bytes()).serialize())
        part.replace(kept)
    return wit.Component.deserialize_file(engine, str(kept))
