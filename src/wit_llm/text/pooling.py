"""
A text's vector from the vectors of its tokens, as sentence-transformers makes it.

Source: ``Pooling``, ``Dense`` and ``Normalize`` of sentence-transformers 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wit_llm.errors import InvalidEncoding, Unsupported
from wit_llm.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

# Of the division by a vector's length, which may be 0: torch.nn.functional.normalize.
_SMALLEST_LENGTH = 1e-12


def _weighted_mean(tokens: Floats) -> Floats:
    weights = np.arange(1, len(tokens) + 1, dtype=np.float32)
    mean: Floats = weights @ tokens / weights.sum()
    return mean


# One vector of the tokens of one text, ``[tokens, hidden]``, without what was padded.
_MODES: dict[str, Callable[[Floats], Floats]] = {
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "mean": lambda tokens: tokens.mean(axis=0),
    "mean_sqrt_len_tokens": lambda tokens: tokens.sum(axis=0) / np.sqrt(np.float32(len(tokens))),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda tokens: tokens[-1],
}
# Switches of folders from before one key said it all, in the order in which the vectors are joined.
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SIZES = ("embedding_dimension", "word_embedding_dimension")
_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "torch.nn.modules.activation.Tanh": np.tanh,
    "torch.nn.modules.linear.Identity": lambda vectors: vectors,
}


@dataclass(frozen=True, slots=True)
class Pooling:
    """
    One vector of a text's tokens.

    Args:
        modes: How; the vectors of several are joined, in this order.
        hidden: Elements of a token's vector.
        with_prompt: Tokens of a prompt that the folder puts before each text count too.
    """

    modes: tuple[str, ...]
    hidden: int
    with_prompt: bool

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Pooling:
        """
        Read a ``1_Pooling/config.json``.

        Raises:
            InvalidEncoding: It says nothing sensible.
            Unsupported: A mode or a key that is not there.
        """
        known = (*_SIZES, "pooling_mode", "include_prompt", *_SWITCHES)
        _refuse_others("Pooling", config, known)
        modes = config.get("pooling_mode") or [mode for key, mode in _SWITCHES.items() if config.get(key)] or ["mean"]
        modes = (modes,) if isinstance(modes, str) else tuple(modes)
        for mode in modes:
            if mode not in _MODES:
                raise Unsupported(f"pooling mode {mode!r} is not supported; there are {', '.join(_MODES)}")
        hidden = next((config[key] for key in _SIZES if key in config), None)
        if type(hidden) is not int or hidden < 1:
            raise InvalidEncoding(f"Pooling wants a number as {_SIZES[0]}, got {hidden!r}")
        return cls(modes, hidden, config.get("include_prompt", True) is not False)

    @property
    def width(self) -> int:
        """Elements of the vector that it makes."""
        return self.hidden * len(self.modes)

    def pool(self, tokens: Floats) -> Floats:
        """The vector ``[width]`` of the tokens ``[tokens, hidden]`` of one text."""
        return np.concatenate([_MODES[mode](tokens) for mode in self.modes])


class Layer(Protocol):
    """What is done to the vectors of texts, ``[texts, elements]``, after pooling."""

    def width(self, before: int) -> int:
        """
        Elements of a vector after it.

        Raises:
            InvalidEncoding: It does not take so many as there are before it.
        """

    def __call__(self, vectors: Floats) -> Floats:
        """Do it."""


class Normalize:
    """Vectors of length 1."""

    def width(self, before: int) -> int:
        """As many."""
        return before

    def __call__(self, vectors: Floats) -> Floats:
        """Divide each by its length."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, np.float32(_SMALLEST_LENGTH)), np.float32)


@dataclass(frozen=True, slots=True)
class Dense:
    """
    A linear layer.

    Args:
        weight: ``[after, before]``.
        bias: ``[after]``.
        activation: What is done to the result.
    """

    weight: Floats
    bias: Floats
    activation: Callable[[Floats], Floats]

    @classmethod
    def read(cls, config: Mapping[str, Any], folder: Path) -> Dense:
        """
        Read a ``2_Dense``.

        Raises:
            InvalidEncoding: A file is not what it should be.
            Unsupported: An activation or another key that is not there.
        """
        _refuse_others("Dense", config, ("in_features", "out_features", "bias", "activation_function"))
        activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
        if activation not in _ACTIVATIONS:
            raise Unsupported(
                f"activation {activation!r} of Dense is not supported; there are {', '.join(_ACTIVATIONS)}"
            )
        try:
            weights = Weights.open(folder / "model.safetensors")
        except FileNotFoundError:
            raise InvalidEncoding(f"{folder.name} has no model.safetensors") from None
        except InvalidEncoding as exc:
            raise InvalidEncoding(f"{folder.name}/{exc}") from exc
        after, before = config.get("out_features"), config.get("in_features")
        there = weights.dimensions
        if there.get("linear.weight") != (after, before) or there.get("linear.bias", (after,)) != (after,):
            raise InvalidEncoding(f"the weights of {folder.name} are not those of its config.json, {after} of {before}")
        weight = weights.f32("linear.weight")
        bias = weights.f32("linear.bias") if "linear.bias" in there else np.zeros(len(weight), np.float32)
        return cls(weight, bias, _ACTIVATIONS[activation])

    def width(self, before: int) -> int:
        """As many as it has rows."""
        after, wanted = self.weight.shape
        if wanted != before:
            raise InvalidEncoding(f"Dense takes vectors of {wanted} elements, and those before it have {before}")
        return int(after)

    def __call__(self, vectors: Floats) -> Floats:
        """Multiply, add, activate."""
        return self.activation(vectors @ self.weight.T + self.bias)


# What newer folders write out that is so anyway.
_DEFAULTS = {
    "module_input_name": (None, "sentence_embedding"),
    "module_output_name": (None, "sentence_embedding"),
    "use_residual": (None, False),
}


def _refuse_others(module: str, config: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key, value in config.items():
        if key not in known and value not in _DEFAULTS.get(key, ()):
            raise Unsupported(f"{key} = {value!r} of {module} is not supported; known are {', '.join(known)}")


def read_normalize(config: Mapping[str, Any]) -> Normalize:
    """
    Read a ``2_Normalize``.

    Raises:
        Unsupported: It has a key that is not there.
    """
    _refuse_others("Normalize", config, ())
    return Normalize()
