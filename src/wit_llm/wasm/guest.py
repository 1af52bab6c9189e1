"""A guest: one component instance with its own store, handles and limits, on one thread."""

from __future__ import annotations

import contextlib
import ctypes
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import wasmtime
from wasmtime import _ffi as ffi

from wit_llm.bell import Bell
from wit_llm.errors import GuestTrapped, NNError, TooLarge
from wit_llm.events import HostFault, Sink
from wit_llm.limits import Limits
from wit_llm.tensor import Tensor
from wit_llm.text.generation import Generation
from wit_llm.wasm.linking import CURRENT
from wit_llm.wasm.stdio import Output, Stdio

if TYPE_CHECKING:
    from wit_llm.loading.loader import Loader
    from wit_llm.registry import Registry
    from wit_llm.wasm.engine import Program

# Instances, tables and memories that a component may be made of; a Python guest has some fifty of each.
MANY = 1_000


# What one number of a tensor's dimensions takes in the host.
AXIS_BYTES = 40


def _held(tensor: Tensor) -> int:
    """Bytes that a tensor takes; one of no elements may have millions of axes."""
    return tensor.data_bytes + AXIS_BYTES * len(tensor.dimensions)


class Table:
    """
    A guest's live handles: objects under numbers that are never used again.

    Raises:
        TooLarge: Too many handles, or too many bytes of tensors.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._items: dict[int, Any] = {}
        # The same by class: how many sessions there are is asked at each new one.
        self._kinds: defaultdict[type, dict[int, Any]] = defaultdict(dict)
        self._next = 1
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all tensors in it."""
        return self._held_bytes

    def push(self, item: object) -> int:
        """Keep an object under a new number; errors may go over the limit once, so that they can be told."""
        limit = self._limits.handles * (2 if isinstance(item, NNError) else 1)
        if len(self._items) >= limit:
            raise TooLarge(f"a guest holds at most {self._limits.handles} handles: drop some")
        if isinstance(item, Tensor):
            self._hold(_held(item))
        rep = self._next
        self._next += 1
        self._items[rep] = self._kinds[type(item)][rep] = item
        return rep

    def _hold(self, data_bytes: int) -> None:
        if self._held_bytes + data_bytes > self._limits.held_bytes:
            raise TooLarge(f"a guest holds at most {self._limits.held_bytes} bytes of tensors: drop some")
        self._held_bytes += data_bytes

    def get(self, rep: int, cls: type) -> Any:
        """The object of a number."""
        item = self._items[rep]
        if not isinstance(item, cls):
            raise TypeError(f"handle {rep} is a {type(item).__name__}, not a {cls.__name__}")
        return item

    def pop(self, rep: int, cls: type) -> Any:
        """The object of a number, which is free afterwards."""
        item = self.get(rep, cls)
        del self._items[rep], self._kinds[type(item)][rep]
        if isinstance(item, Tensor):
            self._held_bytes -= _held(item)
        return item

    def mark(self) -> int:
        """The number that the next object gets."""
        return self._next

    def rollback(self, mark: int) -> None:
        """Forget every object pushed since ``mark``."""
        for rep in range(mark, self._next):
            if rep in self._items:
                self.pop(rep, object)

    def of(self, cls: type) -> list[Any]:
        """The live objects of a class; from any thread."""
        return [item for items in self._of(cls) for item in list(items.values())]

    def count(self, cls: type) -> int:
        """How many of a class are live, without a look at each of them."""
        return sum(map(len, self._of(cls)))

    def _of(self, cls: type) -> list[dict[int, Any]]:
        return [items for kind, items in list(self._kinds.items()) if issubclass(kind, cls)]

    def __len__(self) -> int:
        return len(self._items)

    def close(self) -> None:
        """End what has an end, newest first, and forget everything."""
        for item in reversed(list(self._items.values())):
            close = getattr(item, "close", None)
            if close is not None:
                close()
        self._items.clear()
        self._kinds.clear()
        self._held_bytes = 0


@runtime_checkable
class Conversation(Protocol):
    """What counts as a session, and can be told to stop talking."""

    def interrupt(self) -> int:
        """Stop the reply that is being produced; returns how many that were."""


class Guest:
    """
    One run of a program.

    Args:
        program: The compiled component, linked.
        registry: The graphs that it was granted.
        limits: What it may use.
        sink: Where faults of the host are told.
        loader: Makes graphs of its own bytes; none where it was not granted that.
    """

    def __init__(
        self,
        program: Program,
        registry: Registry,
        limits: Limits,
        sink: Sink,
        loader: Loader | None = None,
    ) -> None:
        self.program = program
        self.registry = registry
        self.limits = limits
        self.loader = loader
        self.handles = Table(limits)
        self._deadline = None if limits.deadline_s is None else time.monotonic() + limits.deadline_s
        self.bell = Bell(self._deadline)
        self._sink = sink
        self._written_bytes = 0
        self._fault = ""
        self._stopped = ""

    def run(self, stdio: Stdio) -> int:
        """
        Run the program to its end, on this thread.

        Returns:
            Its exit status.

        Raises:
            GuestTrapped: It was ended.
        """
        with stdio.configured(self._counted) as wasi:
            exit_code = self._run_in_store(wasi, stdio)
        if self._stopped:
            raise GuestTrapped(self._stopped)
        return exit_code

    def _run_in_store(self, wasi: wasmtime.WasiConfig, stdio: Stdio) -> int:
        store = wasmtime.Store(self.program.engine)
        CURRENT.guest = self
        try:
            store.set_limits(
                self.limits.memory_bytes, table_elements=MANY**2, instances=MANY, tables=MANY, memories=MANY
            )
            store.set_wasi(wasi)
            self._make_stoppable(store)
            with self.program.clock.watching(self.bell, lambda: self._has_to_end(stdio)):
                exit_code = self._run(store)
            self._check_written(stdio.captured_bytes)
            return exit_code
        finally:
            del CURRENT.guest
            self.handles.close()
            store.close()
            self.close_graphs()

    def _run(self, store: wasmtime.Store) -> int:
        try:
            instance = self.program.linker.instantiate(store, self.program.component)
            interface = instance.get_export_index(store, "wasi:cli/run@0.2.0")
            index = instance.get_export_index(store, "run", interface)
            function = None if index is None else instance.get_func(store, index)
            if function is None:
                raise GuestTrapped("the component exports no function `run` in wasi:cli/run")
            ended = function(store)
        except wasmtime.ExitTrap as exc:
            return exc.code
        except (wasmtime.WasmtimeError, wasmtime.Trap) as exc:
            raise GuestTrapped(self._why(str(exc))) from exc
        if self._fault:
            raise GuestTrapped(self._fault)
        return 0 if ended.tag == "ok" else 1

    def _why(self, message: str) -> str:
        if self._stopped:
            return self._stopped
        if self._fault:
            return self._fault
        if "fuel allocated for hostcalls" in message:
            return (
                "the guest trapped: more than the 2,796,202 list elements that one call can carry; "
                "send large tensors through wit-llm:nn/bulk, and load large graphs by name"
            )
        causes = [line.strip() for line in message.splitlines() if line.strip()]
        return f"the guest trapped: {causes[-1].partition('wasm trap: ')[2] or causes[-1]}" if causes else "trapped"

    def _counted(self, output: Output) -> Output:
        def told(data: bytes) -> None:
            left_bytes = max(0, self.limits.output_bytes - self._written_bytes)
            self._written_bytes += len(data)
            self._check_written(self._written_bytes)
            if not (heard := data[:left_bytes]):
                return
            try:
                output(heard)
            except BaseException as exc:  # noqa: BLE001 -- it ends the guest, which has to be able to write until then
                self.fault("writing the guest's output", exc, traceback.format_exc())
                self.end(self._fault)

        return told

    def _check_written(self, written_bytes: int) -> None:
        if written_bytes > self.limits.output_bytes:
            self.end(f"the guest was stopped: it wrote more than {self.limits.output_bytes} bytes")

    def is_stopped(self) -> bool:
        """Whether it was ended, or its time is over."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.end(f"the guest was stopped: its time of {self.limits.deadline_s:g} s is over")
        return bool(self._stopped)

    def _has_to_end(self, stdio: Stdio) -> bool:
        """The same, or whether it wrote too much."""
        try:
            self._check_written(stdio.captured_bytes)
        except Exception as exc:  # noqa: BLE001 -- the clock goes on for the others
            self.fault("looking at the guest's output", exc, traceback.format_exc())
            self.end(self._fault)
        return self.is_stopped()

    def _make_stoppable(self, store: wasmtime.Store) -> None:
        """Let the guest end, when it has to, as the engine's epoch goes on."""

        @_EpochCallback  # type: ignore[untyped-decorator]
        def tick(_context: Any, _data: Any, delta: Any, _kind: Any) -> int:
            if not self._stopped:
                delta[0] = 1
                return 0
            error = ffi.wasmtime_error_new(ctypes.create_string_buffer(b"stopped"))
            return ctypes.cast(error, ctypes.c_void_p).value or 0

        self._tick = tick  # C keeps a bare pointer
        store.set_epoch_deadline(1)
        ffi.wasmtime_store_epoch_deadline_callback(store.ptr(), tick, None, ctypes.cast(0, _Finalizer))

    def fault(self, where: str, exc: BaseException, trace: str) -> None:
        """Remember why the host failed this guest, and tell the operator."""
        if isinstance(exc, NNError):
            self._fault = f"the guest was stopped: {exc}"
        else:
            self._fault = f"the host failed in {where}; its log says how"
            # A sink that fails, too, must not take the process along: this runs inside callbacks from C.
            with contextlib.suppress(Exception):
                self._sink(HostFault(where, trace))

    def end(self, why: str) -> None:
        """Stop the guest at its next tick; from any thread."""
        self._stopped = self._stopped or why
        self.bell.close()

    def close_graphs(self) -> None:
        """End the workers of the graphs that it loaded from bytes; from any thread."""
        if self.loader is not None:
            self.loader.close()

    def interrupt(self) -> int:
        """Stop the replies that are being produced, as a Ctrl-C does; returns how many. From any thread."""
        return sum(talk.interrupt() for talk in self.handles.of(Conversation))

    def sessions(self) -> int:
        """How many it has in use."""
        return self.handles.count(Conversation)

    def time_left_s(self) -> float | None:
        """Seconds until its deadline; none where it has none."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def wait_any(self, keys: Sequence[int], timeout_ms: int | None) -> tuple[int, ...]:
        """The keys of the generations that can be read; waits for the first one, as long as every key is known."""
        known = {generation.key: generation for generation in self.handles.of(Generation)}
        asked = [known[key] for key in keys if key in known]

        def readable() -> tuple[int, ...]:
            return tuple(generation.key for generation in asked if generation.readable)

        if keys and len(asked) == len(keys):
            ends = [generation.deadline for generation in asked]
            ends.append(None if timeout_ms is None else time.monotonic() + timeout_ms / 1000)
            sources = tuple({source for generation in asked for source in generation.sources})
            until = min((end for end in ends if end is not None), default=None)
            self.bell.wait_for(lambda: bool(readable()), until, sources)
        return readable()


_EpochCallback = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.POINTER(ffi.wasmtime_context_t), ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ctypes.c_uint8),
)  # fmt: skip
_Finalizer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
