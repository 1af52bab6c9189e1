"""What a model is built of, by its ``config.json``; families that the converter does not know are refused by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


class Rope(msgspec.Struct, frozen=True):
    """
    Rotary positions; ``rope_type`` was called ``type`` once.

    Args:
        factor: How many times longer texts are than those that were first trained on.
        low_freq_factor: Of ``llama3``: waves longer than the first length by this are stretched.
        high_freq_factor: Of ``llama3``: waves shorter than the first length by this stay.
    """

    rope_theta: float | None = None
    rope_type: str | None = None
    type: str | None = None
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int | None = None
    partial_rotary_factor: float = 1.0

    @property
    def kind(self) -> str:
        """Which stretching."""
        return self.rope_type or self.type or "default"


class Architecture(msgspec.Struct, frozen=True):
    """
    The fields of ``config.json`` that a model is built from.

    Args:
        rope_parameters: Where transformers 5 writes what 4 wrote as ``rope_scaling`` and ``rope_theta``.
    """

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    hidden_act: str = "silu"
    tie_word_embeddings: bool = False
    rope_theta: float | None = None
    rope_scaling: Rope | None = None
    rope_parameters: Rope | None = None
    sliding_window: int | None = None
    use_sliding_window: bool | None = None
    quantization_config: dict[str, object] | None = None

    @classmethod
    def read(cls, path: Path) -> Architecture:
        """
        Read a ``config.json``.

        Raises:
            OperatorError: It is not there, lacks a field, or is of a model that cannot be converted; says which can.
        """
        if not path.is_file():
            raise OperatorError(f"{path.parent} has no config.json; what is converted is a transformers folder")
        try:
            family = msgspec.json.decode(path.read_bytes(), type=_Family).model_type
            if family not in FAMILIES:
                raise OperatorError(
                    f"{path.parent} is a model of the family {family!r}; converted are {', '.join(FAMILIES)}; others "
                    "become an IR by `optimum-cli export openvino` in an environment of its own"
                )
            found = msgspec.json.decode(path.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise OperatorError(f"{path}: {error}") from error
        found.check(path)
        return found

    def check(self, path: Path) -> None:
        """
        Whether the graph has all that this asks for.

        Raises:
            OperatorError: It has not; ``path`` is where the fields come from.
        """
        window = self.sliding_window if self.use_sliding_window is not False else None
        if self.quantization_config is not None:
            method = self.quantization_config.get("quant_method")
            raise OperatorError(
                f"the weights in {path.parent} are quantised by {method}; take the model that they were made from"
            )
        if window is not None and window < self.max_position_embeddings:
            raise OperatorError(
                f"{path}: each token sees {window} tokens only (sliding_window), which is not converted"
            )
        for name, found, known in (
            ("hidden_act", self.hidden_act, ("silu",)),
            ("rope_type", self.rope.kind, ("default", "linear", "llama3")),
            ("partial_rotary_factor", self.rope.partial_rotary_factor, (1.0,)),
        ):
            if found not in known:
                raise OperatorError(f"{path}: {name} is {found!r}; converted are {', '.join(map(str, known))}")
        if min(self.heads, self.cached_heads, self.head_size) < 1 or self.heads % self.cached_heads:
            raise OperatorError(f"{path}: {self.heads} heads cannot share {self.cached_heads} key_value_heads")

    @property
    def heads(self) -> int:
        """Of queries."""
        return self.num_attention_heads

    @property
    def cached_heads(self) -> int:
        """Of keys and values."""
        return self.heads if self.num_key_value_heads is None else self.num_key_value_heads

    @property
    def head_size(self) -> int:
        """Numbers of a head."""
        return self.head_dim or self.hidden_size // max(self.heads, 1)

    @property
    def rope(self) -> Rope:
        """Rotary positions, wherever they are said."""
        return self.rope_parameters or self.rope_scaling or Rope()

    def frequencies(self) -> npt.NDArray[np.float32]:
        """
        Radians that each pair of a head turns by from token to token, [head size / 2].

        Source: ``_compute_llama3_parameters``, modeling_rope_utils.py of transformers.
        """
        theta = self.rope.rope_theta or self.rope_theta or 10_000.0
        exponents = np.arange(0, self.head_size, 2, dtype=np.float64) / self.head_size
        plain = theta**-exponents
        if self.rope.kind == "default":
            return plain.astype(np.float32)
        stretched = plain / self.rope.factor
        if self.rope.kind == "linear":
            return stretched.astype(np.float32)
        first = self.rope.original_max_position_embeddings or self.max_position_embeddings
        low, high = self.rope.low_freq_factor, self.rope.high_freq_factor
        turns = first * plain / (2 * math.pi)  # within the length that was first trained on
        share = np.clip((turns - low) / (high - low), 0, 1)
        mixed: npt.NDArray[np.float64] = (1 - share) * stretched + share * plain
        return mixed.astype(np.float32)

    def dimensions(self) -> dict[str, tuple[int, ...]]:
        """The weights that every model of these families has, but for biases."""
        hidden, queries, cached = self.hidden_size, self.heads * self.head_size, self.cached_heads * self.head_size
        wanted: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocab_size, hidden),
            "model.norm.weight": (hidden,),
        }
        if not self.tie_word_embeddings:
            wanted["lm_head.weight"] = (self.vocab_size, hidden)
        of_a_layer: dict[str, tuple[int, ...]] = {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (cached, hidden),
            "self_attn.v_proj": (cached, hidden),
            "self_attn.o_proj": (hidden, queries),
            "post_attention_layernorm": (hidden,),
            "mlp.gate_proj": (self.intermediate_size, hidden),
            "mlp.up_proj": (self.intermediate_size, hidden),
            "mlp.down_proj": (hidden, self.intermediate_size),
        }
        if self.model_type == "qwen3":
            of_a_layer |= {"self_attn.q_norm": (self.head_size,), "self_attn.k_norm": (self.head_size,)}
        for layer in range(self.num_hidden_layers):
            wanted |= {f"model.layers.{layer}.{name}.weight": sizes for name, sizes in of_a_layer.items()}
        return wanted


class _Family(msgspec.Struct, frozen=True):
    model_type: str | None = None
