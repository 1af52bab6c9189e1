"""The house: who may import whom, which file has which library, and the one place that opens the door."""

from __future__ import annotations

import ast

import pytest

from tests.architecture import PACKAGE, SCRIPT, Module, module_lines, modules_of_the_house

# a library and the only modules that import it; everything else of the package does without
FENCES = {
    "wasmtime": ("wasm/",),
    "torch": ("backends/pytorch",),
    "transformers": ("backends/pytorch_",),
    "safetensors": ("backends/pytorch_",),
    "openvino": ("backends/openvino", "convert/"),
    "nncf": ("convert/compress.py",),
    "openvino_genai": ("backends/openvino.py", "backends/openvino_constraints.py", "backends/openvino_gguf.py"),
    "tokenizers": ("tokenizer.py",),
    "jinja2": ("text/template.py",),
    "matplotlib": ("bench/plot.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
}
SHARED_BY_BACKENDS = {
    f"backends/{name}.py"
    for name in (
        "__init__",
        "base",
        "config",
        "folder",
        "gguf",
        "mistakes",
        "scoring",
        "settings",
        "table",
        "vocabulary",
    )
}

# the lock, and the worker at the other end of the line, which trusts its host
DOORS = ["graph.py", "worker/loop.py"]


def _sources() -> list[str]:
    """Every module of the package by its path in it, but the scripts that make what is embedded."""
    return sorted(
        path
        for path in (file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))
        if not path.startswith("embedded/")
    )


def _imports(path: str) -> set[str]:
    """Dotted names of all that a module imports, wherever in it, and of what it names to ``import_module``."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found |= {f"{module}.{alias.name}" for alias in names}
            case ast.ImportFrom(level=level) if level:
                pytest.fail(f"{path}:{node.lineno}: imports are absolute here")
            case ast.Call(func=ast.Name("import_module" | "__import__"), args=[ast.Constant(str(name)), *_]):
                found.add(name)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(str(name)), *_]):
                found.add(name)
    return found


def _module_file(dotted: str) -> str | None:
    """The module of ours that a dotted name is in: ``wit_llm.errors.Busy`` is in ``errors.py``."""
    parts = dotted.split(".")[1:]
    for end in range(len(parts), 0, -1):
        stem = "/".join(parts[:end])
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            if (PACKAGE / path).is_file():
                return path
    return None


def _may_import(importer: Module, imported: Module) -> bool:
    """Whether the second stands below the first: on a lower floor, in the same package, or on an earlier line."""
    if importer.floor != imported.floor:
        return imported.floor < importer.floor
    return imported.package == importer.package != "" or imported.line < importer.line


@pytest.mark.parametrize("path", _sources())
def test_imports_only_from_below(path: str) -> None:
    """A module imports from lower floors of the table in ARCHITECTURE.md, lazily or not."""
    table = modules_of_the_house()
    scripts = {script for floor, script in module_lines() if floor == SCRIPT}
    if path not in table:  # a package that holds nothing; test_architecture looks after that
        assert not {name for name in _imports(path) if name.startswith("wit_llm")}
        return
    for name in _imports(path):
        if name.split(".")[0] != "wit_llm" or name in {"wit_llm", "wit_llm.__version__"}:
            continue
        imported = _module_file(name)
        assert imported is not None, f"{path} imports {name} by way of the package's front door"
        assert imported not in scripts, f"{path} imports {imported}, a script"
        if imported in table:
            assert _may_import(table[path], table[imported]), f"{path} may not import {imported}"


@pytest.mark.parametrize("library", FENCES)
def test_each_library_has_its_own_file(library: str) -> None:
    """What is heavy or native is imported behind its fence and nowhere else."""
    outside = [
        path
        for path in _sources()
        if not path.startswith(FENCES[library]) and any(name.split(".")[0] == library for name in _imports(path))
    ]
    assert outside == []


def _backend(path: str) -> str:
    """The backend that a file is of: ``backends/pytorch_text.py`` is of ``pytorch``."""
    return path.removeprefix("backends/").removesuffix(".py").partition("_")[0]


def test_backends_do_not_know_each_other() -> None:
    """A backend imports the seam and its own other files, and no other backend."""
    libraries = [path for path in _sources() if path.startswith("backends/") and path not in SHARED_BY_BACKENDS]
    known = [
        (path, other)
        for path in libraries
        for other in libraries
        if _backend(other) != _backend(path) and any(_module_file(name) == other for name in _imports(path))
    ]
    assert known == []


def test_only_the_door_makes_an_admitted() -> None:
    """Tensors are admitted in one place of the host, and handed on by its worker; nothing else can vouch for them."""
    makers = {
        path
        for path in _sources()
        for node in ast.walk(ast.parse((PACKAGE / path).read_text()))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) == "Admitted" or getattr(node.func, "attr", None) == "Admitted")
    }
    assert sorted(makers) == DOORS
