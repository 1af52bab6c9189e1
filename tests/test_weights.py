"""Weights in safetensors files."""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.sentences import safetensors
from wit_llm.errors import InvalidEncoding
from wit_llm.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path


def _file(data: bytes, dtype: str, shape: list[int], offsets: tuple[int, int]) -> bytes:
    """A file of one weight, which says of it what it is told."""
    head = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()
    return struct.pack("<Q", len(head)) + head + data


@pytest.mark.parametrize(
    ("dtype", "raw", "expected"),
    [
        pytest.param("F32", "0000803f000000c0", [1, -2], id="f32"),
        pytest.param("F64", "000000000000f03f00000000000000c0", [1, -2], id="f64"),
        pytest.param("F64", "000000000000f03f9c7500883ce4377e", [1, np.inf], id="f64-beyond-f32"),
        pytest.param("F16", "003c00c0", [1, -2], id="f16"),
        pytest.param("BF16", "803f00c0", [1, -2], id="bf16"),
    ],
)
def test_weights_of_every_float_are_read(tmp_path: Path, dtype: str, raw: str, expected: list[float]) -> None:
    """Whatever the file has, FP32 comes out."""
    data = bytes.fromhex(raw)
    path = tmp_path / "w.safetensors"
    path.write_bytes(_file(data, dtype, [2, 1], (0, len(data))))
    weights = Weights.open(path)
    values = weights.f32("a")
    assert (weights.dimensions, weights.parameters) == ({"a": (2, 1)}, 2)
    assert values.dtype == np.float32
    assert values.tolist() == [[value] for value in expected]


def test_files_are_read_as_one(tmp_path: Path) -> None:
    """A model's shards, one of them with a weight of no numbers."""
    paths = [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    paths[0].write_bytes(safetensors({"a": [1.0], "b": [[2.0, 3.0], [4.0, 5.0]]}))
    paths[1].write_bytes(_file(b"", "F32", [0, 3], (0, 0)).replace(b'"a"', b'"c"'))
    weights = Weights.open(*paths)
    assert weights.dimensions == {"a": (1,), "b": (2, 2), "c": (0, 3)}
    assert {name: weights.f32(name).tolist() for name in weights.dimensions} == {
        "a": [1.0],
        "b": [[2.0, 3.0], [4.0, 5.0]],
        "c": [],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"", "w.safetensors is cut off or no safetensors file: unpack requires a buffer of 8 bytes", id="empty"
        ),
        pytest.param(b"\xff" * 9, "w.safetensors is cut off or no safetensors file", id="no-head"),
        pytest.param(
            b"\x02\x00\x00\x00\x00\x00\x00\x00[]",
            "w.safetensors is cut off or no safetensors file: Expected `object`, got `array`",
            id="list",
        ),
        pytest.param(
            safetensors({"a": [1.0]})[:-1], "w.safetensors is cut off or broken: weight a is not whole", id="cut"
        ),
        pytest.param(
            _file(bytes(8), "F32", [1], (0, 8)),
            "w.safetensors is cut off or broken: weight a is not whole",
            id="longer",
        ),
        pytest.param(
            _file(bytes(4), "F32", [1], (-4, 0)),
            "w.safetensors is cut off or no safetensors file: Expected `int` >= 0 - at `$.data_offsets[0]`",
            id="before-the-data",
        ),
        pytest.param(
            _file(bytes(4), "F32", [-1, -1], (0, 4)),
            "w.safetensors is cut off or no safetensors file: Expected `int` >= 0 - at `$.shape[0]`",
            id="negative-dimensions",
        ),
        pytest.param(
            safetensors({"a": [1.0]}, "I8"),
            "w.safetensors: weight a has type I8; F64, F32, F16, BF16 are read",
            id="integers",
        ),
    ],
)
def test_junk_is_no_weights(tmp_path: Path, content: bytes, message: str) -> None:
    """Whatever lies there, it is a typed error that names the file and not its folder."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidEncoding, match=f"^{re.escape(message)}$"):
        Weights.open(path)
