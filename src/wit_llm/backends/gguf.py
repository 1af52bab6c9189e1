"""What a GGUF file says of itself: its metadata and the names and types of its tensors, read without the weights."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Self

from wit_llm.backends.config import ModelConfig
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# Source: ``enum gguf_metadata_value_type``, docs/gguf.md of github.com/ggml-org/ggml.
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
# Source: ``enum ggml_type``, at the same place.
_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K"}
_TYPES |= {13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 30: "BF16", 39: "MXFP4"}
# More than any vocabulary or template has; a broken length would ask for all memory.
_MOST = 1 << 27

Value = str | int | float | bool


@dataclass(frozen=True)
class GGUF:
    """
    The head of a file.

    Args:
        metadata: Values by key; of an array only how many elements it has.
        tensors: Types by name.
    """

    metadata: Mapping[str, Value]
    tensors: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """
        Read the head of a file.

        Raises:
            OperatorError: It is no GGUF file, one of another version, or one that is cut off.
        """
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                raise OperatorError(f"{path} is no GGUF file: it does not begin with the letters GGUF")
            head = _Head(file)
            try:
                version = head.number("<I")
                if version not in _VERSIONS:
                    raise OperatorError(f"{path} is GGUF of version {version}; versions 2 and 3 are read")
                tensors, keys = int(head.number("<Q")), int(head.number("<Q"))
                metadata = {head.string(): head.value(int(head.number("<I"))) for _ in range(keys)}
                return cls(metadata, dict(head.tensor() for _ in range(tensors)))
            except (struct.error, ValueError, LookupError, OverflowError) as error:
                raise OperatorError(f"{path} is cut off or broken: {error}") from error

    @property
    def architecture(self) -> str:
        """The family, by llama.cpp's name."""
        return str(self.metadata.get("general.architecture"))

    def about(self, key: str) -> Value | None:
        """A value of the architecture's own."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @cached_property
    def config(self) -> ModelConfig:
        """The same as a ``config.json``."""
        return ModelConfig(
            vocab_size=self._count("vocab_size") or _whole(self.metadata.get("tokenizer.ggml.tokens")),
            max_position_embeddings=self._count("context_length"),
            num_hidden_layers=self._count("block_count"),
            num_attention_heads=self._count("attention.head_count"),
            num_key_value_heads=self._count("attention.head_count_kv"),
            hidden_size=self._count("embedding_length"),
            head_dim=self._count("attention.key_length"),
        )

    def _count(self, key: str) -> int | None:
        return _whole(self.about(key))


def _whole(value: Value | None) -> int | None:
    return value if type(value) is int else None


class _Head:
    """The bytes before the weights, one value after another."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def number(self, form: str) -> int | float:
        """A number of a form of ``struct``."""
        value: int | float = struct.unpack(form, self._file.read(struct.calcsize(form)))[0]
        return value

    def string(self) -> str:
        """A text with its length before it; what is no UTF-8 in it is of no account here."""
        return self._bytes(int(self.number("<Q"))).decode(errors="replace")

    def value(self, kind: int) -> Value:
        """A value of a kind; of an array its length."""
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        inner, length = int(self.number("<I")), int(self.number("<Q"))
        if inner == _STRING:
            for _ in range(length):
                self._bytes(int(self.number("<Q")))
        else:
            self._bytes(length * struct.calcsize(_NUMBERS[inner]))
        return length

    def tensor(self) -> tuple[str, str]:
        """A tensor's name and type."""
        name = self.string()
        axes = int(self.number("<I"))
        self._bytes(8 * axes)
        kind = int(self.number("<I"))
        self.number("<Q")
        return name, _TYPES.get(kind, f"type {kind}")

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count) if count <= _MOST else b""
        if len(data) != count:
            raise ValueError(f"{count} bytes are announced, and {len(data)} are there")
        return data
