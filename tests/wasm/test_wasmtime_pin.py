"""The wall reads wasmtime's C structures: this tells when they move."""

from __future__ import annotations

import ctypes
import importlib.metadata

from wasmtime import _bindings
from wasmtime import _ffi as ffi

from wit_llm.wasm import abi


def test_wasmtime_is_the_release_that_the_wall_was_read_against() -> None:
    """Another release needs another look at ``wasm/abi.py`` and ``wasm/linking.py`` before this number moves."""
    assert importlib.metadata.version("wasmtime") == "50.0.1"


def test_a_cell_is_laid_out_as_the_wall_reads_it() -> None:
    """32 bytes: a kind, and a payload 8 bytes on; strings and lists are a size and a pointer."""
    assert (abi.CELL, abi.PAYLOAD) == (32, 8)
    assert ffi.wasmtime_component_val_t.kind.size == 1
    assert [field[0] for field in ffi.wasmtime_component_vallist_t._fields_] == ["size", "data"]
    assert [field[0] for field in ffi.wasm_name_t._fields_] == ["size", "data"]
    assert ctypes.sizeof(ffi.wasmtime_component_valrecord_entry_t) == 48


def test_callbacks_have_the_signatures_that_the_wall_gives_them() -> None:
    """The function callback returns an error or 0 and takes seven arguments; the epoch callback takes four."""
    assert len(ffi.wasmtime_component_func_callback_t._argtypes_) == 7
    assert ffi.wasmtime_component_func_callback_t._restype_ is ctypes.c_size_t
    assert len(_bindings._wasmtime_store_epoch_deadline_callback.argtypes[1]._argtypes_) == 4
