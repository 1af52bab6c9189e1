"""Packaged guests in C: the committed components belong to their sources, and their header to the WIT."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import wasmtime.component as wc
from wasmtime import Engine

from wit_llm.embedded.bench.build import BENCH
from wit_llm.embedded.c.build import CHECKOUT, HERE, Committed, Guest
from wit_llm.embedded.chat.build import CHAT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


PACKAGED = [pytest.param(CHAT, id="chat"), pytest.param(BENCH, id="bench")]


@pytest.mark.parametrize("packaged", PACKAGED)
def test_committed_component_belongs_to_its_sources(packaged: Committed) -> None:
    """Compiling the committed C again gives the module that the committed component holds."""
    assert packaged.stale() == []


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        pytest.param(
            "chat/chat.c",
            "standard input cannot be read",
            "standard input is broken",
            "chat.wasm is not what its sources make",
            id="source",
        ),
        pytest.param(
            "c/wit_llm.h", "no call has failed", "no call failed", "chat.wasm is not what its sources make", id="header"
        ),
        pytest.param(
            "chat/chat.lock.json",
            '"component.mjs": "',
            '"component.mjs": "0',
            "component.mjs is not what chat.lock.json has",
            id="step",
        ),
        pytest.param(
            "chat/chat.lock.json", '"wit-llm": "', '"wit-llm": "0', "wit-llm is not what chat.lock.json has", id="wit"
        ),
    ],
)
def test_a_changed_source_makes_the_component_stale(tmp_path: Path, name: str, old: str, new: str, reason: str) -> None:
    """Every source that the component is made of is watched."""
    for folder in (HERE, CHAT.home):
        shutil.copytree(folder, tmp_path / folder.name)
    before = (tmp_path / name).read_text()
    assert old in before
    (tmp_path / name).write_text(before.replace(old, new))
    assert CHAT.stale(tmp_path / "chat") == [reason, "run: python -m wit_llm.embedded.chat.build"]


def test_core_module_does_not_depend_on_where_it_is_built(tmp_path: Path) -> None:
    """A checkout elsewhere makes the same bytes."""
    for folder in (HERE, BENCH.home):
        shutil.copytree(folder, tmp_path / "some" / "where" / folder.name)
    guest = BENCH.sources["bench.wasm"]
    assert isinstance(guest, Guest)
    assert guest.core_module(tmp_path / "some" / "where" / "bench") == guest.core_module(BENCH.home)


def test_header_is_laid_out_as_the_canonical_abi_has_it(tmp_path: Path) -> None:
    """Size, alignment, every field's offset and every case's number in wit_llm.h are those of the component's types."""
    types = _types()
    assertions = [line for name, ty in types.items() for line in _assertions(name, ty)]
    # The chat program does not call `ask`, so its component does not have this one record.
    reply = [("text", wc.String()), ("message", types["message"]), ("summary", types["summary"])]
    assertions += _record_assertions("llm_reply", reply)
    source = tmp_path / "layout.c"
    source.write_text("\n".join(['#include "wit_llm.h"', *assertions, ""]))
    assert _compile("-c", str(source), "-o", str(tmp_path / "layout.o")) == (0, "")
    assert len(assertions) > 100


def test_header_has_the_quota_kinds_in_order() -> None:
    """The names that `llm_strerror` prints stand in the order of the WIT's cases."""
    assert _named("quotas", "quota-kind")


def test_header_has_the_finish_reasons_in_order() -> None:
    """The names that `llm_reason` gives stand in the order of the WIT's cases."""
    assert _named("reasons", "finish-reason")


def _named(array: str, enum: str) -> bool:
    """Whether an array of the header has the names of an enum in their order."""
    kinds = _types()[enum]
    assert isinstance(kinds, wc.EnumType)
    header = " ".join((HERE / "wit_llm.h").read_text().split())
    return f"{array}[] = {{ " + ", ".join(f'"{name}"' for name in kinds.names) + " };" in header


def test_the_c_guest_in_the_reference_compiles(tmp_path: Path) -> None:
    """What the interface's README shows in C is a program as it stands."""
    reference = (CHECKOUT / "wit-llm" / "README.md").read_text()
    source = tmp_path / "hello.c"
    source.write_text(reference.partition("```c\n")[2].partition("```")[0])
    assert _compile("-Wall", "-Wextra", "-Werror", str(source), "-o", str(tmp_path / "hello.wasm")) == (0, "")


def _compile(*arguments: str) -> tuple[int, str]:
    """Exit status and words of the compiler, with the header in reach."""
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-std=c11", f"-I{HERE}"]
    result = subprocess.run([*compiler, *arguments], capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def _types() -> dict[str, wc.ValType]:
    """The types that the chat guest imports, by their names in the WIT."""
    engine = Engine()
    imports = wc.Component(engine, (CHAT.home / "chat.wasm").read_bytes()).type.imports(engine)
    types: dict[str, wc.ValType] = {}
    for interface in ("wit-llm:nn/types@0.1.0", "wit-llm:nn/prompt@0.1.0"):
        instance = imports[interface].ty
        assert isinstance(instance, wc.ComponentInstanceType)
        for name, item in instance.exports(engine).items():
            if isinstance(item.ty, wc.RecordType | wc.VariantType | wc.EnumType):
                types[name] = item.ty
    return types


# How the header calls the cases of an enum or a variant, and which member of a variant's union shows where it begins.
PREFIXES = {"part": "LLM_PART_", "tool-choice": "LLM_TOOL_", "error": "LLM_E_"}
MEMBERS = {
    "part": "text",
    "sampling": "exact",
    "constraint": "text",
    "tool-choice": "only",
    "error": "quota",
    "turn": "text",
}


def _assertions(name: str, ty: wc.ValType) -> list[str]:
    """C assertions that say what the canonical ABI makes of one type."""
    struct = f"llm_{_snake(name)}"
    match ty:
        case wc.RecordType():
            return _record_assertions(struct, ty.fields)
        case wc.VariantType():
            size, alignment = _layout(ty)
            offset = _round_up(1, max(_layout(payload)[1] for _, payload in ty.cases))
            return [
                _shape(struct, size, alignment),
                _same(f"offsetof({struct}, {MEMBERS[name]})", offset),
                *_case_assertions(name, [case for case, _ in ty.cases]),
            ]
        case wc.EnumType() if name != "quota-kind":
            return _case_assertions(name, ty.names)
    return []


def _record_assertions(struct: str, fields: Sequence[tuple[str, wc.ValType]]) -> list[str]:
    size, alignment, offsets = _record_layout([ty for _, ty in fields])
    members = [_same(f"offsetof({struct}, {_snake(name)})", at) for (name, _), at in zip(fields, offsets, strict=True)]
    return [_shape(struct, size, alignment), *members]


def _case_assertions(name: str, cases: Sequence[str]) -> list[str]:
    prefix = PREFIXES.get(name, "LLM_")
    return [_same(f"{prefix}{_snake(case).upper()}", number) for number, case in enumerate(cases)]


def _shape(struct: str, size: int, alignment: int) -> str:
    return f'_Static_assert(sizeof({struct}) == {size} && _Alignof({struct}) == {alignment}, "{struct}");'


def _same(expression: str, number: int) -> str:
    return f'_Static_assert({expression} == {number}, "{expression}");'


def _snake(name: str) -> str:
    return name.replace("-", "_")


# Source: "Alignment" and "Element Size" in the component model's CanonicalABI.md; no type here has over 256 cases.
SCALARS: dict[type[wc.ValType], int] = {wc.Bool: 1, wc.U8: 1, wc.U32: 4, wc.F32: 4, wc.U64: 8}


def _layout(ty: wc.ValType | None) -> tuple[int, int]:
    """Size and alignment of one type in memory, in bytes."""
    match ty:
        case None:
            return 0, 1
        case wc.String() | wc.ListType():
            return 8, 4
        case wc.EnumType():
            return 1, 1
        case wc.RecordType():
            return _record_layout([field for _, field in ty.fields])[:2]
        case wc.VariantType():
            payloads = [_layout(payload) for _, payload in ty.cases]
        case wc.OptionType():
            payloads = [_layout(ty.payload)]
        case _:
            return (SCALARS[type(ty)],) * 2
    alignment = max(payload[1] for payload in payloads)
    return _round_up(_round_up(1, alignment) + max(payload[0] for payload in payloads), alignment), alignment


def _record_layout(fields: Sequence[wc.ValType]) -> tuple[int, int, list[int]]:
    """Size and alignment of a record, and the offset of each field, in bytes."""
    offsets, at, largest = [], 0, 1
    for size, alignment in map(_layout, fields):
        offsets.append(_round_up(at, alignment))
        at = offsets[-1] + size
        largest = max(largest, alignment)
    return _round_up(at, largest), largest, offsets


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
