"""A host that is wrong on purpose: ours, with some of its functions replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.conformance.wrong import Functions
from tests.conftest import CACHE
from wit_llm.conformance.hosts import LIMITS, Ended
from wit_llm.errors import GuestTrapped
from wit_llm.events import ignore
from wit_llm.registry import Grant, Registry
from wit_llm.wasm.engine import INTERFACES, Program, Runtime
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import link
from wit_llm.wasm.stdio import Stdio


class WrongHost:
    """
    Runs guests whose calls may go to other functions than the host's own; graphs are loaded once for all.

    Args:
        graphs: Folders by name.
    """

    def __init__(self, graphs: Mapping[str, Path]) -> None:
        grants = [Grant(name, path, "openvino") for name, path in graphs.items()]
        self._registry = Registry(grants, LIMITS, ignore)
        self._runtime = Runtime(CACHE / "wit-llm")

    def sandbox(self, wrong: Functions) -> WrongSandbox:
        """A sandbox with these functions, by their WIT names, in the place of the right ones."""
        return WrongSandbox(self._runtime, self._registry, wrong)

    def close(self) -> None:
        """Unload everything."""
        self._registry.close()
        self._runtime.close()


class WrongSandbox:
    """A ``Sandbox``."""

    def __init__(self, runtime: Runtime, registry: Registry, wrong: Functions) -> None:
        self._runtime = runtime
        self._registry = registry
        self._wrong = wrong

    def run(self, component: Path, args: Sequence[str]) -> Ended:
        """Run a guest to its end, on this thread."""
        engine = self._runtime._engine
        compiled = self._runtime._compile(component.read_bytes())
        interfaces = tuple(
            replace(it, functions=it.functions | {name: f for name, f in self._wrong.items() if name in it.functions})
            for it in INTERFACES
        )
        guest = Guest(
            Program(engine, self._runtime._clock, compiled, link(engine, compiled, interfaces)),
            self._registry,
            LIMITS,
            ignore,
        )
        out = bytearray()
        how = ""
        try:
            guest.run(Stdio("guest", args, b"", out.extend, out.extend))
        except GuestTrapped as exc:
            how = str(exc)
        return Ended(out.decode(errors="replace"), how)

    def run_until(self, component: Path, args: Sequence[str], deadline_s: float) -> None:
        """It has no deadlines."""
