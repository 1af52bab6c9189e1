"""What a model folder's ``config.json`` says that the door and the engines have to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wit_llm.backends.base import TextInfo
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path


class ModelConfig(msgspec.Struct, frozen=True):
    """
    The fields of a transformers config that are read here; the rest is the library's business.

    Args:
        auto_map: Names Python code in the folder, which is never run.
        text_config: Where a model of several media keeps the other fields for its language part.
    """

    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    num_key_value_heads: int | None = None
    hidden_size: int | None = None
    head_dim: int | None = None
    auto_map: dict[str, object] | None = None
    text_config: ModelConfig | None = None

    @property
    def language(self) -> ModelConfig:
        """The fields of the language part."""
        return self.text_config or self

    def text_info(self) -> TextInfo:
        """
        Vocabulary and window.

        Raises:
            OperatorError: One of them is not there.
        """
        vocab_size = self.language.vocab_size
        window = self.language.max_position_embeddings or self.language.n_positions
        if not vocab_size or not window:
            missing = "max_position_embeddings" if vocab_size else "vocab_size"
            raise OperatorError(f"config.json does not say {missing!r}, without which no prompt can be checked")
        return TextInfo(vocab_size, window)

    def kv_elements(self) -> int | None:
        """Elements of the KV cache for one token; none where the config does not say."""
        config = self.language
        heads = config.num_key_value_heads or config.num_attention_heads
        size = config.head_dim
        if size is None and config.hidden_size and config.num_attention_heads:
            size = config.hidden_size // config.num_attention_heads
        if not (config.num_hidden_layers and heads and size):
            return None
        return 2 * config.num_hidden_layers * heads * size


def read_config(folder: Path) -> ModelConfig | None:
    """
    Read ``config.json``; none where there is none.

    Raises:
        OperatorError: It is not JSON, or a field is of another type.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelConfig)
    except msgspec.DecodeError as error:
        raise OperatorError(f"{path}: {error}") from error
