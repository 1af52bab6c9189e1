"""ARCHITECTURE.md says what is there."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

import pytest

from tests.architecture import PACKAGE, SCRIPT, module_lines, section


def _has_code(path: str) -> bool:
    """Whether a module holds more than its docstring and ``from __future__``."""
    body = ast.parse((PACKAGE / path).read_text()).body
    return any(
        not isinstance(node, ast.Expr) and not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in body
    )


def test_every_module_has_one_line() -> None:
    """The table names each module of the package once, and no module that is not there."""
    there = sorted(
        path for path in (file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py")) if _has_code(path)
    )
    assert sorted(path for _, path in module_lines()) == there


def test_the_table_goes_up_floor_by_floor() -> None:
    """Reading down the table is reading up the house."""
    floors = [floor for floor, _ in module_lines() if floor != SCRIPT]
    assert floors == sorted(floors)


NATIVE = {"openvino", "openvino_genai", "safetensors", "tokenizers", "torch", "transformers", "wasmtime"}


class EntryPoints(NamedTuple):
    """A line of the section: what a file calls straight from its libraries, and which methods of their objects."""

    calls: frozenset[str]
    methods: tuple[str, ...]


def _listed() -> dict[str, EntryPoints]:
    """The lines by their file."""
    rows = re.findall(r"^\| `([\w/.]+)` \| ([^|]*) \| ([^|]*) \|$", section("Native entry points"), re.MULTILINE)
    return {
        path: EntryPoints(frozenset(re.findall(r"`([\w.]+)`", calls)), tuple(re.findall(r"`([\w.]+)`", methods)))
        for path, calls, methods in rows
    }


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of what an expression means, where it begins with an imported one; else nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    known = names.get(node.id) if isinstance(node, ast.Name) else None
    return ".".join([known, *parts]) if known else ""


def _native_calls(path: str) -> set[str]:
    """What a file calls straight from native libraries, without structure types of the C interface."""
    tree = ast.parse((PACKAGE / path).read_text())
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    native = {name: full for name, full in names.items() if full.partition(".")[0] in NATIVE}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    # `_brief` makes of a function the same one that keeps Python's lock.
    brief = [node.args[0] for node in calls if isinstance(node.func, ast.Name) and node.func.id == "_brief"]
    called = {_dotted(function, native) for function in [*(node.func for node in calls), *brief]} - {""}
    return {name.replace("wasmtime._ffi.", "") for name in called if not name.endswith("_t")}


def _callers() -> list[str]:
    """Files of the package, but scripts, that call a native library."""
    files = sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))
    return [path for path in files if not path.startswith("embedded/") and _native_calls(path)]


def test_every_file_that_calls_a_native_library_is_listed() -> None:
    """Who audits the native surface reads of every file that has a part of it."""
    assert sorted(_listed()) == _callers()


@pytest.mark.parametrize("path", _callers())
def test_listed_calls_are_those_that_are_made(path: str) -> None:
    """Each call straight from a native library is listed, and none that has gone."""
    assert _listed()[path].calls == _native_calls(path)


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, listed in _listed().items() for method in listed.methods]
)
def test_listed_method_is_used(path: str, method: str) -> None:
    """No method is listed that has gone."""
    assert re.search(rf"\.{re.escape(method)}\b", (PACKAGE / path).read_text()), f"{path} does not use .{method}"
