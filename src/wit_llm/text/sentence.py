"""What a sentence-transformers folder says: how a text is read, and what becomes of the vectors of its tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wit_llm.backends.config import MODULE_FOLDER, MODULES, SENTENCE_CONFIGS
from wit_llm.errors import InvalidEncoding, Unsupported
from wit_llm.text.pooling import Dense, Pooling, read_normalize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wit_llm.text.pooling import Floats, Layer

_CONFIG = "config.json"
_LIBRARY = "sentence_transformers."
# Keys of ``sentence_bert_config.json`` that are honoured here or in the backend, or that only say how fast it is done.
_HONOURED = ("max_seq_length", "do_lower_case", "unpad_inputs")
_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
# What newer folders write out that is so anyway.
_AS_IT_IS = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """
    From a text to tokens, and from vectors of tokens to its own.

    Args:
        prompt: What is put before each text.
        lower_case: The texts are to be in lower case, whatever the tokenizer does.
        pooling: From tokens to the text.
        layers: What comes after that, in order.
        dimensions: Elements of the last vector.
    """

    prompt: str
    lower_case: bool
    pooling: Pooling
    layers: tuple[Layer, ...]
    dimensions: int

    def vectors(self, hidden: Floats, lengths: Sequence[int]) -> Floats:
        """
        The vectors of texts, ``[texts, dimensions]``.

        Args:
            hidden: Of their tokens, ``[texts, tokens, hidden]``.
            lengths: Tokens of each; the rest is padding.
        """
        vectors: Floats = np.stack(
            [self.pooling.pool(tokens[:length]) for tokens, length in zip(hidden, lengths, strict=True)]
        )
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors


def read_sentence(folder: Path) -> Sentence:
    """
    Read a folder that has a ``modules.json``.

    Raises:
        InvalidEncoding: A file is not what it should be.
        Unsupported: A module, or a key of one, that is not there.
    """
    modules = [_module(entry) for entry in _read(folder / MODULES, list)]
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise Unsupported(f"{MODULES} has {kinds}; supported are Transformer and Pooling after it")
    lower_case = _lower_case(folder / modules[0][1])
    pooling = Pooling.read(_read(folder / modules[1][1] / _CONFIG, dict))
    prompt = _prompt(folder)
    if prompt and not pooling.with_prompt:
        raise Unsupported("a default prompt whose tokens are left out of the pooling is not supported")
    layers = tuple(_layer(kind, folder / path) for kind, path in modules[2:] if kind != "Dropout")
    width = pooling.width
    for layer in layers:
        width = layer.width(width)
    return Sentence(prompt, lower_case, pooling, layers, width)


def _module(entry: object) -> tuple[str, str]:
    """Kind and folder of one line of ``modules.json``."""
    match entry:
        case {"type": str(name), "path": str(path)} if name.startswith(_LIBRARY):
            if not MODULE_FOLDER.fullmatch(path):
                raise Unsupported(f"{MODULES} has path {path!r}; a module lies in a folder such as 1_Pooling")
            return name.rpartition(".")[2], path
        case {"type": str(name), "path": str()}:
            raise Unsupported(f"{MODULES} has a module {name}, which is Python code that no host runs")
    raise InvalidEncoding(f"{MODULES} must be a list of modules with type and path")


def _layer(kind: str, folder: Path) -> Layer:
    if kind == "Dense":
        return Dense.read(_read(folder / _CONFIG, dict), folder)
    if kind == "Normalize":
        path = folder / _CONFIG
        return read_normalize(_read(path, dict) if path.is_file() else {})
    raise Unsupported(f"module {kind!r} of {MODULES} is not supported; after Pooling there are Dense and Normalize")


def _lower_case(folder: Path) -> bool:
    """Read ``sentence_bert_config.json``, under the name that it has."""
    name = next((name for name in SENTENCE_CONFIGS if (folder / name).is_file()), None)
    config: dict[str, Any] = _read(folder / name, dict) if name else {}
    for key, value in config.items():
        as_it_is = value.get("text") == _TEXT if key == "modality_config" else value == _AS_IT_IS.get(key)
        if key not in _HONOURED and value and not as_it_is:
            raise Unsupported(f"{key} = {value!r} of {name} is not supported; honoured are {', '.join(_HONOURED)}")
    return bool(config.get("do_lower_case"))


def _prompt(folder: Path) -> str:
    """What ``config_sentence_transformers.json`` puts before each text, where it puts something."""
    path = folder / "config_sentence_transformers.json"
    config: dict[str, Any] = _read(path, dict) if path.is_file() else {}
    kind = config.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise Unsupported(f"{path.name} says that this is a {kind}; supported is SentenceTransformer")
    name = config.get("default_prompt_name")
    if name is None:
        return ""
    match config.get("prompts"):
        case {**prompts} if isinstance(prompts.get(name), str):
            return str(prompts[name])
    raise InvalidEncoding(f"{path.name} has no prompt {name!r}, which is its default_prompt_name")


def _read(path: Path, kind: type) -> Any:  # noqa: ANN401 -- looked at by who asks
    """What a file of JSON holds, which is of that kind."""
    where = path.name if path.name != _CONFIG else f"{path.parent.name}/{path.name}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidEncoding(f"{where} is not there, and {MODULES} names it") from None
    except ValueError as exc:
        raise InvalidEncoding(f"{where} is not JSON: {exc}") from exc
    if not isinstance(content, kind):
        raise InvalidEncoding(f"{where} must hold a {kind.__name__}, got {type(content).__name__}")
    return content
