"""
The interfaces that the host offers, and how a component's imports are bound to them.

A host function takes the guest and converted values, and returns a value or raises an ``NNError``. Everything that all
of them need stands here, once: conversion, errors as values, and that no exception of any kind leaves a callback.
wasmtime's Python binding keeps an exception of a host function in one variable for the whole process, where another
guest's thread finds it; so the callback below is our own, and a fault is kept with the guest that caused it.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime import component as wit

from wit_llm.errors import NNError, OperatorError
from wit_llm.wasm.abi import Lift, Lower, Mismatch, boxed, lifter, lowerer, put_result, resource_id, type_hints
from wit_llm.wasm.faults import error_lowerer

if TYPE_CHECKING:
    from wit_llm.wasm.guest import Guest

HostFunction = Callable[..., Any]

# What `wasmtime` itself offers under WASI 0.2.
WASI = {
    "wasi:cli": "environment exit stdin stdout stderr "
    "terminal-input terminal-output terminal-stdin terminal-stdout terminal-stderr",
    "wasi:clocks": "monotonic-clock wall-clock timezone",
    "wasi:filesystem": "types preopens",
    "wasi:io": "error poll streams",
    "wasi:random": "random insecure insecure-seed",
    "wasi:sockets": "network instance-network tcp tcp-create-socket udp udp-create-socket ip-name-lookup",
}


@dataclass(frozen=True, slots=True)
class Interface:
    """
    One WIT interface: its exact name, the classes behind its resources, and its functions by their WIT names.

    Dropping a resource calls ``close`` of the object behind it, where it has one.
    """

    name: str
    resources: dict[str, type] = field(default_factory=dict)
    functions: dict[str, HostFunction] = field(default_factory=dict)

    def func(self, name: str) -> Callable[[HostFunction], HostFunction]:
        """Offer the decorated function under this name, such as ``[method]session.start``."""

        def register(function: HostFunction) -> HostFunction:
            self.functions[name] = function
            return function

        return register


@dataclass(frozen=True, slots=True)
class _Bound:
    """A host function with the converters for one component's declaration of it."""

    name: str
    function: HostFunction
    params: tuple[Lift, ...]
    result: Lower | None
    error: Lower | None
    is_result: bool


class _Current(threading.local):
    """The guest that runs on this thread: a guest has a thread of its own."""

    guest: Guest


CURRENT = _Current()


def link(engine: wasmtime.Engine, component: wit.Component, interfaces: tuple[Interface, ...]) -> wit.Linker:
    """
    Bind what a component imports to what the host offers.

    Raises:
        OperatorError: It imports what is not offered, or by another type; lists what it wants and what there is.
    """
    offered = {interface.name: interface for interface in interfaces}
    linker = wit.Linker(engine)
    linker.add_wasip2()
    unknown: list[str] = []
    with linker.root() as root:
        for name, extern in component.type.imports(engine).items():
            interface = offered.get(name)
            if interface is not None:
                instance_type: Any = extern.ty
                exports = instance_type.exports(engine)
                with root.add_instance(name) as instance:
                    try:
                        unknown += _bind(instance, interface, {n: e.ty for n, e in exports.items()})
                    except Mismatch as exc:
                        raise OperatorError(f"the component was built against another version of {exc}") from exc
            elif not _is_wasi(name):
                unknown.append(name)
    if unknown:
        wanted = "".join(f"\n  wants   {name}" for name in unknown)
        ours = "".join(f"\n  offered {name}" for name in sorted(offered))
        raise OperatorError(f"the component imports what this host does not offer:{wanted}{ours}\n  offered WASI 0.2")
    return linker


def _is_wasi(name: str) -> bool:
    package, _, rest = name.partition("/")
    interface, _, version = rest.partition("@")
    return interface in WASI.get(package, "").split() and version.startswith("0.2.")


def _bind(instance: wit.LinkerInstance, interface: Interface, wanted: dict[str, Any]) -> list[str]:
    """Define one interface as far as the component wants it; returns the names that are not there."""
    unknown = []
    for name, ty in wanted.items():
        if isinstance(ty, wit.FuncType):
            function = interface.functions.get(name)
            if function is None:
                unknown.append(f"{interface.name} {name}")
            else:
                _add(instance, name, _convert(f"{interface.name} {name}", function, ty))
        elif isinstance(ty, wit.ResourceType):  # its own, or one that it uses from the interface that has it
            cls = interface.resources.get(name)
            if cls is not None:
                instance.add_resource(name, wit.ResourceType.host(resource_id(cls)), _dropper(cls))
    return unknown


def _convert(where: str, function: HostFunction, ty: wit.FuncType) -> _Bound:
    hints = type_hints(function)
    returned = hints.pop("return")
    hints.pop("guest")
    params, result = ty.params, ty.result
    if len(params) != len(hints):
        raise Mismatch(f"{where}: {len(params)} parameters declared, the host has {len(hints)}")
    lifts = [lifter(t, hint, f"{where}({name})") for (name, t), hint in zip(params, hints.values(), strict=True)]
    ok = result.ok if isinstance(result, wit.ResultType) else result
    err = result.err if isinstance(result, wit.ResultType) else None
    return _Bound(
        name=where,
        function=function,
        params=tuple(lifts),
        result=None if ok is None else lowerer(ok, returned, where),
        error=None if err is None else error_lowerer(err, where),
        is_result=isinstance(result, wit.ResultType),
    )


# ---------------------------------------------------------------- callbacks

_BOUND: dict[int, _Bound] = {}
_NUMBERS = itertools.count(1)


def _add(instance: wit.LinkerInstance, name: str, bound: _Bound) -> None:
    number = next(_NUMBERS)
    _BOUND[number] = bound
    data = name.encode()
    error = ffi.wasmtime_component_linker_instance_add_func(
        instance.ptr(), ctypes.create_string_buffer(data), len(data), _call, number, _forget
    )
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)  # noqa: SLF001


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # type: ignore[untyped-decorator]
def _forget(number: int) -> None:
    _BOUND.pop(number, None)


@ffi.wasmtime_component_func_callback_t  # type: ignore[untyped-decorator]
def _call(number: int, context: Any, _ty: Any, args: Any, _nargs: int, results: Any, _nresults: int) -> int:
    """What wasmtime calls: returns 0, or an error by which it traps the guest."""
    guest = CURRENT.guest
    bound = _BOUND[number]
    try:
        _run(guest, bound, context, args, results)
    except BaseException as exc:  # noqa: BLE001 -- leaving the callback would end the process
        guest.fault(bound.name, exc, traceback.format_exc())
        return _trap()
    return 0


def _run(guest: Guest, bound: _Bound, context: Any, args: Any, results: Any) -> None:
    handles = guest.handles
    mark = handles.mark()
    try:
        value = bound.function(guest, *[lift(handles, context, args[i]) for i, lift in enumerate(bound.params)])
        payload = boxed(bound.result, handles, context, value) if bound.is_result and bound.result else None
    except NNError as exc:
        handles.rollback(mark)
        if bound.error is None or guest.is_stopped():
            raise
        put_result(results[0], boxed(bound.error, handles, context, exc), is_ok=False)
        return
    if bound.is_result:
        put_result(results[0], payload, is_ok=True)
    elif bound.result is not None:
        bound.result(handles, context, value, results[0])


def _trap() -> int:
    error = ffi.wasmtime_error_new(ctypes.create_string_buffer(b"a host function failed"))
    return ctypes.cast(error, ctypes.c_void_p).value or 0


def _dropper(cls: type) -> Callable[[Any, int], None]:
    def drop(_store: Any, rep: int) -> None:
        guest = CURRENT.guest
        try:
            item = guest.handles.pop(rep, cls)
            close = getattr(item, "close", None)
            if close is not None:
                close()
        except BaseException as exc:  # noqa: BLE001 -- as in _call
            guest.fault(f"dropping a {cls.__name__}", exc, traceback.format_exc())

    return drop
