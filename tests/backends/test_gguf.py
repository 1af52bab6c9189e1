"""The head of a GGUF file: what it says, and what is wrong with it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests import gguf_file
from tests.contract.conftest import TINY
from wit_llm.backends.base import TextInfo
from wit_llm.backends.gguf import GGUF
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path


def test_says_what_a_config_says(tmp_path: Path) -> None:
    """Vocabulary, window and the size of a token's cache are those of the model that the file was made from."""
    gguf_file.write(tmp_path / "m.gguf", *gguf_file.tiny(TINY))
    gguf = GGUF.read(tmp_path / "m.gguf")
    assert (gguf.architecture, gguf.config.text_info()) == ("llama", TextInfo(640, 1024))
    assert gguf.config.kv_elements() == 2 * 4 * 2 * 32
    assert gguf.metadata["tokenizer.ggml.tokens"] == 640
    assert gguf.metadata["tokenizer.chat_template"] == (TINY / "chat_template.jinja").read_text()
    assert (gguf.tensors["token_embd.weight"], gguf.tensors["output_norm.weight"]) == ("F16", "F32")
    assert len(gguf.tensors) == 2 + 4 * 9


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"", "is no GGUF file: it does not begin with the letters GGUF", id="empty"),
        pytest.param(b"ggjt" + bytes(99), "is no GGUF file: it does not begin with the letters GGUF", id="older"),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "is GGUF of version 1; versions 2 and 3 are read", id="one"
        ),
        pytest.param(b"GGUF" + struct.pack("<I", 3), "is cut off or broken: ", id="cut-counts"),
        pytest.param(
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40),
            "is cut off or broken: 1099511627776 bytes are announced, and 0 are there",
            id="endless-key",
        ),
        pytest.param(b"GGUF" + struct.pack("<IQQQI", 3, 0, 1, 0, 77), "is cut off or broken: 77", id="unknown-kind"),
        pytest.param(
            b"GGUF" + struct.pack("<IQQQIIQ", 3, 0, 1, 0, 9, 8, 1 << 62), "is cut off or broken: ", id="endless-list"
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQQIIQ", 3, 0, 1, 0, 9, 9, 1), "is cut off or broken: 9", id="list-of-lists"
        ),
        pytest.param(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "is cut off or broken: ", id="endless-tensors"),
    ],
)
def test_a_broken_head_is_an_error(tmp_path: Path, data: bytes, text: str) -> None:
    """Nothing is believed of lengths that the file does not have."""
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(OperatorError) as caught:
        GGUF.read(tmp_path / "m.gguf")
    assert str(caught.value).startswith(f"{tmp_path}/m.gguf {text}")
