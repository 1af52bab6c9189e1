"""What a model folder's ``config.json`` says that the door and the engines have to know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from wit_llm.backends.base import TextInfo
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

# Encoders whose first token has the position behind that of padding, so that they have fewer tokens than positions.
_BEHIND_PADDING = frozenset(
    "camembert data2vec-text esm ibert longformer luke mpnet roberta roberta-prelayernorm xlm-roberta xlm-roberta-xl "
    "xmod".split()
)
_PADDING = 1


class ModelConfig(msgspec.Struct, frozen=True):
    """
    The fields of a transformers config that are read here; the rest is the library's business.

    Args:
        dtype: Of the weights; older files call it ``torch_dtype``.
        max_position_embeddings: Tokens of the window; the names after it are those of other families for the same.
        auto_map: Names Python code in the folder, which is never run.
        quantization_config: How the weights are packed, where they are.
        quantization: The same as MLX says it.
        text_config: Where a model of several media keeps the other fields for its language part.
    """

    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    max_sequence_length: int | None = None
    max_seq_len: int | None = None
    seq_length: int | None = None
    pad_token_id: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    num_key_value_heads: int | None = None
    hidden_size: int | None = None
    head_dim: int | None = None
    dtype: str | None = None
    torch_dtype: str | None = None
    model_type: str = ""
    is_encoder_decoder: bool = False
    auto_map: dict[str, object] | None = None
    quantization_config: dict[str, object] | None = None
    quantization: dict[str, object] | None = None
    text_config: ModelConfig | None = None

    @property
    def language(self) -> ModelConfig:
        """The fields of the language part."""
        return self.text_config or self

    @property
    def stored(self) -> str | None:
        """The weights' type, in the words of PyTorch."""
        return self.dtype or self.torch_dtype or (self.text_config.stored if self.text_config else None)

    @property
    def window(self) -> int | None:
        """Tokens that the model can hold, by whatever name."""
        return (
            self.max_position_embeddings
            or self.n_positions
            or self.max_sequence_length
            or self.max_seq_len
            or self.seq_length
        )

    @property
    def longest_text(self) -> int | None:
        """Tokens that an encoder has positions for; none where it counts them otherwise, or does not say."""
        positions = self.max_position_embeddings or self.n_positions
        if not positions or self.model_type not in _BEHIND_PADDING:
            return positions
        return positions - 1 - (_PADDING if self.pad_token_id is None else self.pad_token_id)

    @property
    def quantised(self) -> str | None:
        """Who packed the weights; none where they are as they were trained."""
        if self.quantization_config is not None:
            return str(self.quantization_config.get("quant_method", "a method that it does not name"))
        return None if self.quantization is None else "mlx"

    def text_info(self, file: str = "config.json") -> TextInfo:
        """
        Vocabulary and window.

        Raises:
            OperatorError: One of them is not there; ``file`` is where it was looked for.
        """
        vocab_size = self.language.vocab_size
        window = self.language.window
        if not vocab_size or not window:
            missing = "max_position_embeddings" if vocab_size else "vocab_size"
            raise OperatorError(f"{file} does not say {missing!r}, without which no prompt can be checked")
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
    return _read(folder / "config.json", ModelConfig)


MODULES = "modules.json"
MODULE_FOLDER = re.compile(r"(\d+_\w+)?")
# The first is today's name; the others are of folders that were written before there was one for all.
SENTENCE_CONFIGS = tuple(
    f"sentence_{model}_config.json"
    for model in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


class _Module(msgspec.Struct, frozen=True):
    """A line of ``modules.json``."""

    type: str
    path: str


class _SentenceConfig(msgspec.Struct, frozen=True):
    """What sentence-transformers says of its encoder."""

    max_seq_length: int | None = None


class _TokenizerConfig(msgspec.Struct, frozen=True):
    """What transformers says of a tokenizer; a number beyond all bounds where it has none."""

    model_max_length: float | None = None


def text_folder(folder: Path) -> Path:
    """Where ``config.json`` and tokenizer of a graph lie: its folder, or that of the encoder in ``modules.json``."""
    path = folder / MODULES
    try:
        modules = msgspec.json.decode(path.read_bytes(), type=list[_Module]) if path.is_file() else []
    except msgspec.DecodeError:
        return folder  # what is wrong with it is told by who reads all of it
    encoder = modules[0] if modules and modules[0].type.endswith(".Transformer") else None
    own = encoder and MODULE_FOLDER.fullmatch(encoder.path) and folder / encoder.path
    return own if own and own.is_dir() else folder


def read_encoder(folder: Path) -> TextInfo | None:
    """
    Vocabulary and window of a sentence-transformers folder; none where ``modules.json`` is missing.

    The window is that of sentence-transformers: ``max_seq_length``, or else the tokenizer's ``model_max_length``; and
    never more than the model has positions.

    Raises:
        OperatorError: A file is not JSON, a field is of another type, or none says vocabulary or window.
    """
    if not (folder / MODULES).is_file():
        return None
    folder = text_folder(folder)
    config = (read_config(folder) or ModelConfig()).language
    sentence = next(filter(None, (_read(folder / name, _SentenceConfig) for name in SENTENCE_CONFIGS)), None)
    tokenizer = _read(folder / "tokenizer_config.json", _TokenizerConfig)
    chosen = (sentence.max_seq_length if sentence else None) or (tokenizer.model_max_length if tokenizer else None)
    windows = [int(size) for size in (chosen, config.longest_text) if size is not None]
    if not config.vocab_size or not windows or min(windows) < 1:
        missing = "max_position_embeddings" if config.vocab_size else "vocab_size"
        raise OperatorError(f"config.json does not say {missing!r}, without which no text can be checked")
    return TextInfo(config.vocab_size, min(windows))


_Fields = TypeVar("_Fields", bound=msgspec.Struct)


def _read(path: Path, fields: type[_Fields]) -> _Fields | None:
    """Some fields of a file of JSON, where there is one."""
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=fields)
    except msgspec.DecodeError as error:
        raise OperatorError(f"{path}: {error}") from error
