"""
Values across the wall: every WIT type converted in one place, by the type that the component declares.

A converter is built once for each function of a component, from two declarations that have to agree: the component's
own WIT type, and the annotation of the host function. Kebab-case names become snake_case fields; a variant's cases are
the members of a union, in order; a resource is the object behind its handle.

``wasmtime`` offers dynamic values in C (``wasmtime_component_val_t``). Its own Python conversion asks for every type
again at every call and copies ``list<u8>`` cell by cell in Python, so values are read and written here, from the C
structures, and lists of numbers with one strided copy. Those structures are private names of wasmtime 50.0.1; see
``tests/wasm/test_wasmtime_pin.py``.
"""

from __future__ import annotations

import ctypes
import dataclasses
import sys
import types
import typing
import zlib
from array import array
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol, Union, get_args, get_origin

from wasmtime import _ffi as ffi
from wasmtime import component as wit

Val = Any  # ctypes: a wasmtime_component_val_t, in place
Lift = Callable[["Handles", Any, Val], Any]
Lower = Callable[["Handles", Any, Any, Val], None]

_BYTES = ctypes.POINTER(ctypes.c_char)
# Calls of a microsecond, in which Python's lock is kept: to give it up and win it back from other guests takes longer.
_library = ctypes.PyDLL(str(ffi.filename))


def _brief(function: Any, *parameters: Any, returns: Any = None) -> Any:
    """The same function of wasmtime's C interface, which takes addresses as they come."""
    brief = getattr(_library, function.__name__)
    brief.argtypes = parameters
    brief.restype = returns
    return brief


_val_new = _brief(ffi.wasmtime_component_val_new, ctypes.c_void_p, returns=ctypes.POINTER(ffi.wasmtime_component_val_t))
_val_clone = _brief(ffi.wasmtime_component_val_clone, ctypes.c_void_p, ctypes.c_void_p)
_bytes_new = _brief(ffi.wasm_byte_vec_new, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
_any_to_host = _brief(
    ffi.wasmtime_component_resource_any_to_host,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    returns=ctypes.POINTER(ffi.wasmtime_error_t),
)
_host_rep = _brief(ffi.wasmtime_component_resource_host_rep, ctypes.c_void_p, returns=ctypes.c_uint32)
_host_delete = _brief(ffi.wasmtime_component_resource_host_delete, ctypes.c_void_p)
_WRITABLE = 0x200  # PyBUF_WRITE
_view_of_memory: Any = ctypes.pythonapi.PyMemoryView_FromMemory
_view_of_memory.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_view_of_memory.restype = ctypes.py_object

CELL = ctypes.sizeof(ffi.wasmtime_component_val_t)
PAYLOAD = ffi.wasmtime_component_val_t.of.offset


class Handles(Protocol):
    """A guest's table of live handles."""

    def push(self, item: object) -> int:
        """Keep an object under a new number, or raise ``TooLarge``."""

    def get(self, rep: int, cls: type) -> Any:
        """Look at the object of a number."""

    def pop(self, rep: int, cls: type) -> Any:
        """Take the object of a number out."""


class Mismatch(Exception):
    """A component declares a type otherwise than the host does; the message says where."""


# kind of cell, struct format of its payload
_NUMBERS: dict[type, tuple[int, str]] = {
    wit.U8: (ffi.WASMTIME_COMPONENT_U8.value, "B"),
    wit.U16: (ffi.WASMTIME_COMPONENT_U16.value, "H"),
    wit.U32: (ffi.WASMTIME_COMPONENT_U32.value, "I"),
    wit.U64: (ffi.WASMTIME_COMPONENT_U64.value, "Q"),
    wit.S8: (ffi.WASMTIME_COMPONENT_S8.value, "b"),
    wit.S16: (ffi.WASMTIME_COMPONENT_S16.value, "h"),
    wit.S32: (ffi.WASMTIME_COMPONENT_S32.value, "i"),
    wit.S64: (ffi.WASMTIME_COMPONENT_S64.value, "q"),
    wit.F32: (ffi.WASMTIME_COMPONENT_F32.value, "f"),
    wit.F64: (ffi.WASMTIME_COMPONENT_F64.value, "d"),
}
_FIELD = {
    "B": "u8", "H": "u16", "I": "u32", "Q": "u64", "b": "s8", "h": "s16", "i": "s32", "q": "s64",
    "f": "f32", "d": "f64",
}  # fmt: skip

_KIND_BOOL = ffi.WASMTIME_COMPONENT_BOOL.value
_KIND_STRING = ffi.WASMTIME_COMPONENT_STRING.value
_KIND_LIST = ffi.WASMTIME_COMPONENT_LIST.value
_KIND_RECORD = ffi.WASMTIME_COMPONENT_RECORD.value
_KIND_TUPLE = ffi.WASMTIME_COMPONENT_TUPLE.value
_KIND_VARIANT = ffi.WASMTIME_COMPONENT_VARIANT.value
_KIND_ENUM = ffi.WASMTIME_COMPONENT_ENUM.value
_KIND_OPTION = ffi.WASMTIME_COMPONENT_OPTION.value
_KIND_FLAGS = ffi.WASMTIME_COMPONENT_FLAGS.value
_KIND_RESOURCE = ffi.WASMTIME_COMPONENT_RESOURCE.value
_KIND_RESULT = ffi.WASMTIME_COMPONENT_RESULT.value


def snake(name: str) -> str:
    """The Python spelling of a WIT name."""
    return name.replace("-", "_")


def _name(data: bytes) -> Any:
    """A new C string; who it is given to owns it."""
    vec = ffi.wasm_byte_vec_t()
    _bytes_new(ctypes.byref(vec), len(data), data)
    return vec


def _text(vec: Any) -> str:
    return ctypes.string_at(vec.data, vec.size).decode()


def boxed(write: Lower, handles: Handles, context: Any, value: Any) -> Any:
    """A C cell of its own with a value in it; who it is given to owns it."""
    cell = ffi.wasmtime_component_val_t()
    try:
        write(handles, context, value, cell)
    except BaseException:
        clear(cell)
        raise
    return _val_new(ctypes.byref(cell))


def clear(val: Val) -> None:
    """Free what a cell owns; it is ``false`` afterwards."""
    ffi.wasmtime_component_val_delete(ctypes.byref(val))
    val.kind = _KIND_BOOL
    val.of.boolean = False


# ---------------------------------------------------------------- lists of numbers


def _cells(address: int, count: int, code: Any) -> Any:
    """The payloads of ``count`` cells in a row, as one strided view that copies nothing."""
    size = ctypes.sizeof(_C_TYPES[code])
    return _memory(address, count).cast(code)[PAYLOAD // size :: CELL // size]


def _memory(address: int, count: int) -> memoryview:
    """Cells in a row as bytes; an array type of ctypes, made for each length anew, would take twenty times as long."""
    view: memoryview = _view_of_memory(address, count * CELL, _WRITABLE)
    return view


_C_TYPES: dict[str, Any] = {
    "B": ctypes.c_uint8, "H": ctypes.c_uint16, "I": ctypes.c_uint32, "Q": ctypes.c_uint64, "b": ctypes.c_int8,
    "h": ctypes.c_int16, "i": ctypes.c_int32, "q": ctypes.c_int64, "f": ctypes.c_float, "d": ctypes.c_double,
}  # fmt: skip


def _lift_numbers(code: Any, hint: Any) -> Lift:
    as_tuple = get_origin(hint) is tuple

    def lift(_handles: Handles, _context: Any, val: Val) -> Any:
        cells = val.of.list
        count = cells.size
        if not count:
            return b"" if code == "B" else () if as_tuple else memoryview(array(code))
        address = ctypes.addressof(cells.data.contents)
        if code == "B":
            return ctypes.cast(address, _BYTES)[PAYLOAD : count * CELL : CELL]
        view = _cells(address, count, code)
        return tuple(view.tolist()) if as_tuple else memoryview(view.tobytes()).cast(code)

    return lift


def _lower_numbers(kind: int, code: Any) -> Lower:
    size = ctypes.sizeof(_C_TYPES[code])

    def lower(_handles: Handles, _context: Any, value: Any, val: Val) -> None:
        data = memoryview(array(code, value) if isinstance(value, (list, tuple)) else value)
        data = data if data.format == code and data.ndim == 1 else data.cast("B").cast(code)
        cells = ffi.wasmtime_component_vallist_t()
        count = len(data)
        if count:
            ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(cells), count)
            raw = _memory(ctypes.addressof(cells.data.contents), count)
            raw[::CELL] = bytes((kind,)) * count
            raw.cast(code)[PAYLOAD // size :: CELL // size] = data
        else:
            ffi.wasmtime_component_vallist_new_empty(ctypes.byref(cells))
        val.kind = _KIND_LIST
        val.of.list = cells

    return lower


# ---------------------------------------------------------------- matching annotations


def _optional(hint: Any, where: str) -> Any:
    members = get_args(hint)
    if type(None) not in members:
        raise Mismatch(f"{where}: option expected, the host has {hint}")
    rest = tuple(m for m in members if m is not type(None))
    return rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007 -- built at run time


def _fields(cls: Any, where: str) -> dict[str, Any]:
    if not dataclasses.is_dataclass(cls):
        raise Mismatch(f"{where}: record expected, the host has {cls}")
    hints = type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def type_hints(item: Any) -> dict[str, Any]:
    """The resolved annotations of a function or class, whatever its own fields are called."""
    return typing.get_type_hints(item, vars(sys.modules[item.__module__]))


def _cases(ty: Any, hint: Any, where: str) -> list[tuple[str, Any, Any]]:
    """Each case's name, payload type and class, matched in order."""
    members = get_args(hint) if isinstance(hint, types.UnionType) or get_origin(hint) is Union else (hint,)
    if len(members) != len(ty.cases):
        raise Mismatch(f"{where}: {[name for name, _ in ty.cases]} declared, the host has {members}")
    return [(name, payload, member) for (name, payload), member in zip(ty.cases, members, strict=True)]


# ---------------------------------------------------------------- guest to host


def lifter(ty: wit.ValType, hint: Any, where: str) -> Lift:  # noqa: C901, PLR0911 -- one branch a WIT type
    """
    Build the function that reads a C value as ``hint`` says.

    Raises:
        Mismatch: The WIT type and the annotation do not agree.
    """
    number = _NUMBERS.get(type(ty))
    if number is not None:
        field = _FIELD[number[1]]
        return lambda _h, _c, val: getattr(val.of, field)
    if isinstance(ty, wit.Bool):
        return lambda _h, _c, val: bool(val.of.boolean)
    if isinstance(ty, wit.String):
        return lambda _h, _c, val: _text(val.of.string)
    if isinstance(ty, wit.EnumType):
        return _lift_enum(ty, hint, where)
    if isinstance(ty, wit.OptionType):
        inner = lifter(ty.payload, _optional(hint, where), where)
        return lambda h, c, val: inner(h, c, val.of.option.contents) if val.of.option else None
    if isinstance(ty, wit.ListType):
        element = _NUMBERS.get(type(ty.element))
        return _lift_numbers(element[1], hint) if element is not None else _lift_list(ty, hint, where)
    if isinstance(ty, wit.RecordType):
        return _lift_record(ty, hint, where)
    if isinstance(ty, wit.TupleType):
        return _lift_tuple(ty, hint, where)
    if isinstance(ty, wit.VariantType):
        return _lift_variant(ty, hint, where)
    if isinstance(ty, (wit.OwnType, wit.BorrowType)):
        return _lift_handle(hint, owned=isinstance(ty, wit.OwnType))
    raise Mismatch(f"{where}: values of {type(ty).__name__} cannot come from a guest here")


def _lift_enum(ty: Any, hint: Any, where: str) -> Lift:
    names = [member.value for member in hint]
    if names != ty.names:
        raise Mismatch(f"{where}: {ty.names} declared, the host has {names}")
    members = {member.value: member for member in hint}
    return lambda _h, _c, val: members[_text(val.of.enumeration)]


def _lift_list(ty: Any, hint: Any, where: str) -> Lift:
    inner = lifter(ty.element, get_args(hint)[0], f"{where}[]")

    def lift(handles: Handles, context: Any, val: Val) -> Any:
        cells = val.of.list
        data = cells.data
        return tuple(inner(handles, context, data[i]) for i in range(cells.size))

    return lift


def _lift_record(ty: Any, hint: Any, where: str) -> Lift:
    fields = _fields(hint, where)
    declared = [snake(name) for name, _ in ty.fields]
    if declared != list(fields):
        raise Mismatch(f"{where}: fields {declared} declared, the host has {list(fields)}")
    inner = [lifter(t, fields[snake(name)], f"{where}.{name}") for name, t in ty.fields]

    def lift(handles: Handles, context: Any, val: Val) -> Any:
        data = val.of.record.data
        return hint(*[read(handles, context, data[i].val) for i, read in enumerate(inner)])

    return lift


def _lift_tuple(ty: Any, hint: Any, where: str) -> Lift:
    record = dataclasses.is_dataclass(hint)
    hints = list(_fields(hint, where).values()) if record else list(get_args(hint))
    if len(hints) != len(ty.elements):
        raise Mismatch(f"{where}: a tuple of {len(ty.elements)} declared, the host has {hint}")
    inner = [lifter(t, h, f"{where}.{i}") for i, (t, h) in enumerate(zip(ty.elements, hints, strict=True))]
    make: Callable[..., Any] = hint if record else lambda *values: values

    def lift(handles: Handles, context: Any, val: Val) -> Any:
        data = val.of.tuple.data
        return make(*[read(handles, context, data[i]) for i, read in enumerate(inner)])

    return lift


def _lift_variant(ty: Any, hint: Any, where: str) -> Lift:
    reads: dict[str, Callable[[Handles, Any, Any], Any]] = {}
    for name, payload, member in _cases(ty, hint, where):
        reads[name] = _lift_case(payload, member, f"{where}.{name}")

    def lift(handles: Handles, context: Any, val: Val) -> Any:
        variant = val.of.variant
        return reads[_text(variant.discriminant)](handles, context, variant.val)

    return lift


def _lift_case(payload: Any, member: Any, where: str) -> Callable[[Handles, Any, Any], Any]:
    fields = _fields(member, where)
    if payload is None:
        instance = member()
        return lambda _h, _c, _p: instance
    if len(fields) == 1 and not _same_record(payload, fields):
        inner = lifter(payload, next(iter(fields.values())), where)
        return lambda h, c, pointer: member(inner(h, c, pointer.contents))
    whole = lifter(payload, member, where)
    return lambda h, c, pointer: whole(h, c, pointer.contents)


def _same_record(payload: Any, fields: dict[str, Any]) -> bool:
    """Whether a one-field class is the payload's own record, and not a wrapper around it."""
    return isinstance(payload, wit.RecordType) and [snake(n) for n, _ in payload.fields] == list(fields)


def _lift_handle(cls: type, *, owned: bool) -> Lift:
    def lift(handles: Handles, context: Any, val: Val) -> Any:
        host = ctypes.c_void_p()
        error = _any_to_host(context, val.of.resource, ctypes.byref(host))
        if error:
            ffi.wasmtime_error_delete(error)
            raise LookupError("a handle that is not of this host")
        rep = _host_rep(host)
        _host_delete(host)
        return handles.pop(rep, cls) if owned else handles.get(rep, cls)

    return lift


# ---------------------------------------------------------------- host to guest


def lowerer(ty: wit.ValType, hint: Any, where: str) -> Lower:  # noqa: C901, PLR0911 -- one branch a WIT type
    """
    Build the function that writes a Python value, annotated with ``hint``, into a C cell.

    Where that fails half-way (a handle over the limit), what was written is reachable from the cell, to be cleared.

    Raises:
        Mismatch: The WIT type and the annotation do not agree.
    """
    number = _NUMBERS.get(type(ty))
    if number is not None:
        return _lower_scalar(number[0], _FIELD[number[1]])
    if isinstance(ty, wit.Bool):
        return _lower_scalar(_KIND_BOOL, "boolean")
    if isinstance(ty, wit.String):
        return _lower_string
    if isinstance(ty, wit.EnumType):
        return _lower_enum(ty, hint, where)
    if isinstance(ty, wit.OptionType):
        return _lower_option(lowerer(ty.payload, _optional(hint, where), where))
    if isinstance(ty, wit.ListType):
        element = _NUMBERS.get(type(ty.element))
        return _lower_numbers(*element) if element is not None else _lower_list(ty, hint, where)
    if isinstance(ty, wit.RecordType):
        return _lower_record(ty, hint, where)
    if isinstance(ty, wit.TupleType):
        return _lower_tuple(ty, hint, where)
    if isinstance(ty, wit.VariantType):
        return _lower_variant(ty, hint, where)
    if isinstance(ty, wit.FlagsType):
        return _lower_flags
    if isinstance(ty, wit.OwnType):
        return _lower_own(hint)
    raise Mismatch(f"{where}: values of {type(ty).__name__} cannot go to a guest here")


def _lower_scalar(kind: int, field: str) -> Lower:
    def lower(_handles: Handles, _context: Any, value: Any, val: Val) -> None:
        val.kind = kind
        setattr(val.of, field, value)

    return lower


def _lower_string(_handles: Handles, _context: Any, value: str, val: Val) -> None:
    text = _name(value.encode())
    val.kind = _KIND_STRING
    val.of.string = text


def _lower_enum(ty: Any, hint: Any, where: str) -> Lower:
    if [member.value for member in hint] != ty.names:
        raise Mismatch(f"{where}: {ty.names} declared, the host has {[member.value for member in hint]}")

    def lower(_handles: Handles, _context: Any, value: Enum, val: Val) -> None:
        val.kind = _KIND_ENUM
        val.of.enumeration = _name(value.value.encode())

    return lower


def _lower_option(inner: Lower) -> Lower:
    def lower(handles: Handles, context: Any, value: Any, val: Val) -> None:
        payload = None if value is None else boxed(inner, handles, context, value)
        val.kind = _KIND_OPTION
        val.of.option = payload

    return lower


def _lower_list(ty: Any, hint: Any, where: str) -> Lower:
    inner = lowerer(ty.element, get_args(hint)[0], f"{where}[]")

    def lower(handles: Handles, context: Any, value: Any, val: Val) -> None:
        cells = ffi.wasmtime_component_vallist_t()
        if value:
            ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(cells), len(value))
        else:
            ffi.wasmtime_component_vallist_new_empty(ctypes.byref(cells))
        data = cells.data
        for i in range(len(value)):
            data[i].kind = _KIND_BOOL
        val.kind = _KIND_LIST
        val.of.list = cells
        for i, item in enumerate(value):
            inner(handles, context, item, data[i])

    return lower


def _lower_record(ty: Any, hint: Any, where: str) -> Lower:
    fields = _fields(hint, where)
    declared = [snake(name) for name, _ in ty.fields]
    if declared != list(fields):
        raise Mismatch(f"{where}: fields {declared} declared, the host has {list(fields)}")
    blank = _blank_record([name.encode() for name, _ in ty.fields])
    writes = [(lowerer(t, fields[snake(name)], f"{where}.{name}"), snake(name)) for name, t in ty.fields]

    def lower(handles: Handles, context: Any, value: Any, val: Val) -> None:
        _val_clone(ctypes.byref(blank), ctypes.byref(val))
        data = val.of.record.data
        for i, (write, attribute) in enumerate(writes):
            write(handles, context, getattr(value, attribute), data[i].val)

    return lower


def _blank_record(names: list[bytes]) -> Val:
    """A record in which every field is ``false``, to be copied; it is there as long as the process."""
    cell = ffi.wasmtime_component_val_t()
    record = cell.of.record
    ffi.wasmtime_component_valrecord_new_uninit(ctypes.byref(record), len(names))
    for i, name in enumerate(names):
        record.data[i].name = _name(name)
        record.data[i].val.kind = _KIND_BOOL
    cell.kind = _KIND_RECORD
    return cell


def _lower_tuple(ty: Any, hint: Any, where: str) -> Lower:
    record = dataclasses.is_dataclass(hint)
    fields = _fields(hint, where) if record else {}
    hints = list(fields.values()) if record else list(get_args(hint))
    if len(hints) != len(ty.elements):
        raise Mismatch(f"{where}: a tuple of {len(ty.elements)} declared, the host has {hint}")
    inner = [lowerer(t, h, f"{where}.{i}") for i, (t, h) in enumerate(zip(ty.elements, hints, strict=True))]

    def lower(handles: Handles, context: Any, value: Any, val: Val) -> None:
        values = [getattr(value, name) for name in fields] if record else value
        cells = ffi.wasmtime_component_valtuple_t()
        ffi.wasmtime_component_valtuple_new_uninit(ctypes.byref(cells), len(inner))
        data = cells.data
        for i in range(len(inner)):
            data[i].kind = _KIND_BOOL
        val.kind = _KIND_TUPLE
        val.of.tuple = cells
        for i, (write, item) in enumerate(zip(inner, values, strict=True)):
            write(handles, context, item, data[i])

    return lower


def _lower_variant(ty: Any, hint: Any, where: str) -> Lower:
    writes: dict[type, tuple[bytes, str | None, Lower | None]] = {}
    for name, payload, member in _cases(ty, hint, where):
        fields = _fields(member, f"{where}.{name}")
        if payload is None:
            writes[member] = (name.encode(), None, None)
        elif len(fields) == 1 and not _same_record(payload, fields):
            field, inner = next(iter(fields.items()))
            writes[member] = (name.encode(), field, lowerer(payload, inner, f"{where}.{name}"))
        else:
            writes[member] = (name.encode(), None, lowerer(payload, member, f"{where}.{name}"))

    def lower(handles: Handles, context: Any, value: Any, val: Val) -> None:
        name, field, write = writes[type(value)]
        item = value if field is None else getattr(value, field)
        put_case(val, name, None if write is None else boxed(write, handles, context, item))

    return lower


def put_case(val: Val, name: bytes, payload: Any) -> None:
    """Make a cell a variant of this case, which owns the boxed payload."""
    val.kind = _KIND_VARIANT
    val.of.variant.discriminant = _name(name)
    val.of.variant.val = payload


def put_result(val: Val, payload: Any, *, is_ok: bool) -> None:
    """Make a cell a result, which owns the boxed payload."""
    val.kind = _KIND_RESULT
    val.of.result.is_ok = is_ok
    val.of.result.val = payload


def _lower_flags(_handles: Handles, _context: Any, value: Any, val: Val) -> None:
    flags = ffi.wasmtime_component_valflags_t()
    ffi.wasmtime_component_valflags_new_uninit(ctypes.byref(flags), len(value))
    for i, flag in enumerate(value):
        flags.data[i] = _name(flag.value.encode())
    val.kind = _KIND_FLAGS
    val.of.flags = flags


def _lower_own(cls: type) -> Lower:
    ty = resource_id(cls)

    def lower(handles: Handles, context: Any, value: Any, val: Val) -> None:
        rep = handles.push(value)
        host = ffi.wasmtime_component_resource_host_new(True, rep, ty)  # noqa: FBT003 -- C API
        handle = ctypes.POINTER(ffi.wasmtime_component_resource_any_t)()
        error = ffi.wasmtime_component_resource_host_to_any(context, host, ctypes.byref(handle))
        ffi.wasmtime_component_resource_host_delete(host)
        if error:
            ffi.wasmtime_error_delete(error)
            handles.pop(rep, cls)
            raise LookupError("the guest's table of handles is full")
        val.kind = _KIND_RESOURCE
        val.of.resource = handle

    return lower


def resource_id(cls: type) -> int:
    """The number under which wasmtime knows the resource that ``cls`` stands for: one for all interfaces."""
    return zlib.crc32(f"{cls.__module__}.{cls.__qualname__}".encode())
