"""Values across the wall, against wasmtime's own slower conversion."""

from __future__ import annotations

import ctypes
import random
from array import array
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
import wasmtime
from wasmtime import _ffi as ffi
from wasmtime import component as wit

from wit_llm.errors import TooLarge
from wit_llm.wasm import abi

NUMBERS = dict(zip(("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64"), "BHIQbhiqfd", strict=True))


class NoHandles:
    """A guest's table that holds nothing."""

    def push(self, item: object) -> int:
        """Refuse."""
        raise TooLarge(f"no room for {item}")

    def get(self, rep: int, cls: type) -> Any:
        """Find nothing."""
        raise LookupError(rep, cls)

    pop = get


def declared(text: str, *, types: str = "") -> wit.ValType:
    """The WIT type that component text spells."""
    engine = wasmtime.Engine()
    source = f'(component {types} (import "f" (func (param "x" {text}))))'
    function: Any = wit.Component(engine, source).type.imports(engine)["f"].ty
    return function.params[0][1]  # type: ignore[no-any-return]


def lowered(ty: wit.ValType, hint: Any, value: Any) -> Any:
    """A C cell that our side wrote."""
    cell = ffi.wasmtime_component_val_t()
    abi.lowerer(ty, hint, "f")(NoHandles(), None, value, cell)
    return cell


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_lists_of_numbers_equal_the_slow_conversion_both_ways(name: str, count: int) -> None:
    """What the strided copy writes, wasmtime's own loop reads, and the other way round, for every type and size."""
    ty, code = declared(f"(list {name})"), NUMBERS[name]
    raw = random.Random(count).randbytes(count * array(code).itemsize)
    values = array(code, raw) if name not in {"f32", "f64"} else array(code, [i * 0.5 - 3 for i in range(count)])
    wanted: Any = bytes(values) if name == "u8" else values.tolist()
    hint: Any = bytes if name == "u8" else memoryview
    assert ty.convert_from_c(lowered(ty, hint, values)) == wanted

    cell = ffi.wasmtime_component_val_t()
    ty.convert_to_c(None, wanted, ctypes.pointer(cell))  # type: ignore[arg-type]  # no store for plain numbers
    lifted = abi.lifter(ty, hint, "f")(NoHandles(), None, cell)
    abi.clear(cell)
    assert lifted == (wanted if name == "u8" else memoryview(values))


def test_a_view_of_another_type_goes_in_as_its_bytes() -> None:
    """Tensor data may be a memoryview of anything; what crosses is its bytes."""
    ty = declared("(list u8)")
    assert ty.convert_from_c(lowered(ty, bytes, memoryview(array("q", [1, -1])))) == bytes(array("q", [1, -1]))


@dataclass(frozen=True)
class Point:
    x: int
    label: str | None


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Several:
    points: tuple[Point, ...]


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


POINT = '(type $p\' (record (field "x" s32) (field "label" (option string)))) (import "p" (type $p (eq $p\')))'
SHAPE = POINT + (
    ' (type $v\' (variant (case "nothing") (case "named" string) (case "point" $p) (case "several" (list $p))))'
    ' (import "v" (type $v (eq $v\')))'
)
COLOUR = '(type $c\' (enum "red" "dark-blue")) (import "c" (type $c (eq $c\')))'


@pytest.mark.parametrize(
    ("text", "types", "hint", "value"),
    [
        pytest.param("string", "", str, "héllo ✓\0", id="string"),
        pytest.param("bool", "", bool, True, id="bool"),
        pytest.param("(option u32)", "", int | None, None, id="none"),
        pytest.param("(option u32)", "", int | None, 7, id="some"),
        pytest.param("(list string)", "", tuple[str, ...], ("a", "", "c"), id="strings"),
        pytest.param("(tuple u32 string)", "", tuple[int, str], (1, "b"), id="tuple"),
        pytest.param("$p", POINT, Point, Point(-3, "here"), id="record"),
        pytest.param("(list $p)", POINT, tuple[Point, ...], (Point(1, None), Point(2, "b")), id="records"),
        pytest.param("$c", COLOUR, Colour, Colour.DARK_BLUE, id="enum"),
        pytest.param("$v", SHAPE, Nothing | Named | Point | Several, Nothing(), id="case-without-payload"),
        pytest.param("$v", SHAPE, Nothing | Named | Point | Several, Named("n"), id="case-of-one-field"),
        pytest.param("$v", SHAPE, Nothing | Named | Point | Several, Point(5, None), id="case-that-is-its-record"),
        pytest.param("$v", SHAPE, Nothing | Named | Point | Several, Several((Point(1, "x"),)), id="case-of-a-list"),
    ],
)
def test_every_shape_comes_back_as_it_went(text: str, types: str, hint: Any, value: Any) -> None:
    """Lowering and lifting by the same declaration is the identity."""
    ty = declared(text, types=types)
    cell = lowered(ty, hint, value)
    assert abi.lifter(ty, hint, "f")(NoHandles(), None, cell) == value
    abi.clear(cell)


@pytest.mark.parametrize(
    ("text", "types", "hint", "told"),
    [
        pytest.param("$p", POINT, Named, r"f: fields \['x', 'label'\] declared, the host has \['name'\]", id="record"),
        pytest.param("$c", COLOUR, Enum("Other", {"RED": "red"}), r"f: \['red', 'dark-blue'\] declared", id="enum"),
        pytest.param("$v", SHAPE, Nothing | Named, r"f: \['nothing', 'named', 'point', 'sev", id="variant"),
        pytest.param("(option u32)", "", int, "f: option expected, the host has <class 'int'>", id="option"),
        pytest.param("(tuple u32 u32)", "", tuple[int], "f: a tuple of 2 declared", id="tuple"),
    ],
)
def test_a_declaration_that_differs_is_refused_by_name(text: str, types: str, hint: Any, told: str) -> None:
    """A component built against another version of an interface fails when it is linked, not when it is called."""
    ty = declared(text, types=types)
    with pytest.raises(abi.Mismatch, match=told):
        abi.lifter(ty, hint, "f")
    with pytest.raises(abi.Mismatch, match=told):
        abi.lowerer(ty, hint, "f")


def test_resources_have_numbers_of_their_own() -> None:
    """No two classes behind handles share the number under which wasmtime tells them apart."""
    from wit_llm.wasm.engine import INTERFACES

    classes = {cls for interface in INTERFACES for cls in interface.resources.values()}
    assert len({abi.resource_id(cls) for cls in classes}) == len(classes) == 8
