"""
A transformers Llama becomes an OpenVINO IR that keeps its own cache.

``python -m wit_llm.embedded.recipe.openvino_ir SOURCE TARGET [fp16|int8|int4]``

The graph is written op by op, not traced: it comes out smaller, and it follows the patterns that OpenVINO fuses
(normalisation, rotary embedding, attention with a cache) and that continuous batching turns into paged attention.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

import nncf
import numpy as np
import numpy.typing as npt
import openvino as ov
import torch
from openvino import Node
from openvino import opset15 as op
from openvino.op.util import Variable, VariableInfo
from safetensors.torch import load_file
from transformers import LlamaConfig

Weights = Mapping[str, npt.NDArray[np.float32]]

# Added to the score of a key that is not to be seen. Finite: a query that sees nothing, which is padding, would become
# NaN, and NaN in the cache spoils even what gives it no weight.
UNSEEN_SCORE: Final = np.float32(-65504)


class WeightFormat(Enum):
    """How weights are stored. What is computed with is the plugin's choice."""

    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"


class UnsupportedModel(ValueError):
    """The folder holds something else than a plain Llama."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the graph is built from."""

    layers: int
    heads: int
    cached_heads: int
    head_size: int
    epsilon: float
    rope_theta: float
    tied: bool

    @classmethod
    def of(cls, config: LlamaConfig) -> Architecture:
        """
        Read a configuration.

        Raises:
            UnsupportedModel: It asks for what the graph does not have.
        """
        rope = config.rope_parameters or {}
        for name, found, supported in (
            ("model_type", config.model_type, "llama"),
            ("hidden_act", config.hidden_act, "silu"),
            ("attention_bias", config.attention_bias, False),
            ("mlp_bias", config.mlp_bias, False),
            ("rope_type", rope.get("rope_type"), "default"),
        ):
            if found != supported:
                raise UnsupportedModel(f"{name} is {found!r}; only {supported!r} can be converted")
        rope_theta = rope.get("rope_theta")
        if rope_theta is None:
            raise UnsupportedModel("rope_theta is missing")
        return cls(
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            cached_heads=config.num_key_value_heads or config.num_attention_heads,
            head_size=config.head_dim or config.hidden_size // config.num_attention_heads,
            epsilon=config.rms_norm_eps,
            rope_theta=rope_theta,
            tied=config.tie_word_embeddings,
        )


class Inputs(NamedTuple):
    """
    What the graph takes.

    Args:
        input_ids: [batch, token] i64.
        attention_mask: [batch, past + token] i64, 0 where there is padding.
        position_ids: [batch, token] i64.
        beam_idx: [batch] i32, the row of the cache that each row goes on from.
    """

    input_ids: Node
    attention_mask: Node
    position_ids: Node
    beam_idx: Node


class Shared(NamedTuple):
    """
    What all layers read.

    Args:
        batch: The batch's size, [1] i64.
        cos: Rotary embedding, [batch, 1, token, head size] f32.
        sin: The same.
        mask: Added to scores, [batch, 1, token, past + token] f32.
    """

    batch: Node
    cos: Node
    sin: Node
    mask: Node


def convert_folder(source: Path, target: Path, weight_format: WeightFormat) -> None:
    """
    Write ``openvino_model.xml`` and ``.bin`` to ``target`` from ``config.json`` and the safetensors in ``source``.

    Raises:
        UnsupportedModel: It is no Llama, or one with biases or a scaled rotary embedding.
    """
    weights = {
        name: tensor.to(torch.float32).numpy()
        for file in sorted(source.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }
    model = llama_graph(LlamaConfig.from_pretrained(source), weights)
    if weight_format is WeightFormat.INT8:
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    elif weight_format is WeightFormat.INT4:
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT4_SYM, group_size=64, ratio=1.0)
    target.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, target / "openvino_model.xml", compress_to_fp16=True)


def llama_graph(config: LlamaConfig, weights: Weights) -> ov.Model:
    """
    Build the graph from ``Inputs`` to ``logits``, [batch, token, vocab] f32.

    Raises:
        UnsupportedModel: As ``convert_folder``.
    """
    architecture = Architecture.of(config)
    inputs = Inputs(
        _parameter("input_ids", [-1, -1], ov.Type.i64),
        _parameter("attention_mask", [-1, -1], ov.Type.i64),
        _parameter("position_ids", [-1, -1], ov.Type.i64),
        _parameter("beam_idx", [-1], ov.Type.i32),
    )
    batch = op.gather(op.shape_of(inputs.input_ids), _ints(0), op.constant(0))
    shared = Shared(batch, *_rotation(architecture, inputs, batch), _mask(inputs))
    vocabulary = op.constant(weights["model.embed_tokens.weight"])
    hidden = op.gather(vocabulary, inputs.input_ids, op.constant(0))  # [batch, token, hidden] f32
    cache_writes: list[Node] = []
    for number in range(architecture.layers):
        layer = Layer(architecture, weights, number)
        attended, writes = layer.attention(layer.norm(hidden, "input_layernorm"), inputs, shared)
        hidden = op.add(hidden, attended)
        hidden = op.add(hidden, layer.feed_forward(layer.norm(hidden, "post_attention_layernorm")))
        cache_writes += writes
    hidden = _rms_norm(hidden, weights["model.norm.weight"], architecture.epsilon)
    head = vocabulary if architecture.tied else op.constant(weights["lm_head.weight"])
    logits = op.matmul(hidden, head, transpose_a=False, transpose_b=True)
    logits.output(0).set_names({"logits"})
    return ov.Model([op.result(logits)], cache_writes, list(inputs), "llama")


class Layer:
    """One decoder layer: its weights, and the blocks made of them."""

    def __init__(self, architecture: Architecture, weights: Weights, number: int) -> None:
        self._architecture = architecture
        self._weights = weights
        self._number = number

    def norm(self, hidden: Node, name: str) -> Node:
        """Normalise, [batch, token, hidden]."""
        return _rms_norm(hidden, self._weight(name), self._architecture.epsilon)

    def attention(self, hidden: Node, inputs: Inputs, shared: Shared) -> tuple[Node, list[Node]]:
        """Attend over past and present, [batch, token, hidden]; with it come the nodes that write the cache."""
        heads, cached_heads = self._architecture.heads, self._architecture.cached_heads
        queries = _rotated(self._split("self_attn.q_proj", hidden, heads), shared)
        keys = _rotated(self._split("self_attn.k_proj", hidden, cached_heads), shared)
        values = self._split("self_attn.v_proj", hidden, cached_heads)
        all_keys, write_keys = self._cached("key", keys, inputs, shared)
        all_values, write_values = self._cached("value", values, inputs, shared)
        mixed = op.scaled_dot_product_attention(
            queries, self._repeated(all_keys, shared), self._repeated(all_values, shared), shared.mask
        )  # [batch, head, token, head size] f32
        joined = op.reshape(op.transpose(mixed, _ints(0, 2, 1, 3)), _ints(0, 0, -1), special_zero=True)
        return self._linear("self_attn.o_proj", joined), [write_keys, write_values]

    def feed_forward(self, hidden: Node) -> Node:
        """Apply the gated feed-forward block, [batch, token, hidden]."""
        gate = op.swish(self._linear("mlp.gate_proj", hidden))
        return self._linear("mlp.down_proj", op.multiply(gate, self._linear("mlp.up_proj", hidden)))

    def _weight(self, name: str) -> npt.NDArray[np.float32]:
        return self._weights[f"model.layers.{self._number}.{name}.weight"]

    def _linear(self, name: str, hidden: Node) -> Node:
        return op.matmul(hidden, op.constant(self._weight(name)), transpose_a=False, transpose_b=True)

    def _split(self, name: str, hidden: Node, heads: int) -> Node:
        """Project, and give each head its own axis: [batch, head, token, head size]."""
        wanted = _ints(0, 0, heads, self._architecture.head_size)
        return op.transpose(op.reshape(self._linear(name, hidden), wanted, special_zero=True), _ints(0, 2, 1, 3))

    def _cached(self, kind: str, present: Node, inputs: Inputs, shared: Shared) -> tuple[Node, Node]:
        """Put the past before the present, [batch, head, past + token, head size], and make the node that writes."""
        heads, head_size = self._architecture.cached_heads, self._architecture.head_size
        info = VariableInfo()
        info.variable_id = f"past_key_values.{self._number}.{kind}"
        info.data_shape = ov.PartialShape([-1, heads, -1, head_size])
        info.data_type = ov.Type.f32
        variable = Variable(info)
        empty = op.concat([shared.batch, _ints(heads, 0, head_size)], axis=0)
        past = op.read_value(op.broadcast(op.constant(np.float32(0)), empty), variable)
        both = op.concat([op.gather(past, inputs.beam_idx, op.constant(0)), present], axis=-2)
        return both, op.assign(both, variable)

    def _repeated(self, cached: Node, shared: Shared) -> Node:
        """Give every query head its own copy of the cached head that it shares with others."""
        heads, cached_heads = self._architecture.heads, self._architecture.cached_heads
        head_size = self._architecture.head_size
        tokens = op.gather(op.shape_of(cached), _ints(2), op.constant(0))
        wanted = op.concat([shared.batch, _ints(cached_heads, heads // cached_heads), tokens, _ints(head_size)], axis=0)
        copies = op.broadcast(op.unsqueeze(cached, op.constant(2)), wanted, broadcast_spec="BIDIRECTIONAL")
        return op.reshape(copies, _ints(0, heads, -1, head_size), special_zero=True)


def _parameter(name: str, dimensions: list[int], ty: ov.Type) -> Node:
    parameter = op.parameter(dimensions, ty, name=name)
    parameter.output(0).set_names({name})
    return parameter


def _ints(*values: int) -> Node:
    return op.constant(np.array(values, np.int64))


def _rotation(architecture: Architecture, inputs: Inputs, batch: Node) -> tuple[Node, Node]:
    """Cosine and sine of the rotary embedding's angles, [batch, 1, token, head size] f32."""
    exponents = np.arange(0, architecture.head_size, 2, dtype=np.float32) / np.float32(architecture.head_size)
    frequencies = np.power(np.float32(architecture.rope_theta), -exponents)
    column = op.broadcast(
        op.constant(frequencies[None, :, None]), op.concat([batch, _ints(1, 1)], axis=0), broadcast_spec="BIDIRECTIONAL"
    )  # [batch, head size / 2, 1] f32
    positions = op.convert(op.unsqueeze(inputs.position_ids, op.constant(1)), ov.Type.f32)  # [batch, 1, token] f32
    half = op.transpose(op.matmul(column, positions, transpose_a=False, transpose_b=False), _ints(0, 2, 1))
    angles = op.unsqueeze(op.concat([half, half], axis=-1), op.constant(1))
    return op.cos(angles), op.sin(angles)


def _mask(inputs: Inputs) -> Node:
    """Scores' mask, [batch, 1, token, past + token] f32: no key is seen that is padding or later than the query."""
    zero, one = op.constant(np.int64(0)), op.constant(np.int64(1))
    keys = op.gather(op.shape_of(inputs.attention_mask), one, zero)
    queries = op.gather(op.shape_of(inputs.input_ids), one, zero)
    key_places = op.range(zero, keys, one, ov.Type.i64)
    query_places = op.range(op.subtract(keys, queries), keys, one, ov.Type.i64)
    not_later = op.less_equal(key_places, op.unsqueeze(query_places, one))  # [token, past + token]
    real = op.not_equal(op.unsqueeze(inputs.attention_mask, _ints(1, 2)), zero)  # [batch, 1, 1, past + token]
    return op.select(op.logical_and(not_later, real), op.constant(np.float32(0)), op.constant(UNSEEN_SCORE))


def _rms_norm(hidden: Node, weight: npt.NDArray[np.float32], epsilon: float) -> Node:
    mean_square = op.reduce_mean(op.power(hidden, op.constant(np.float32(2))), _ints(-1), keep_dims=True)
    root = op.sqrt(op.add(mean_square, op.constant(np.float32(epsilon))))
    return op.multiply(op.constant(weight), op.multiply(hidden, op.divide(op.constant(np.float32(1)), root)))


def _rotated(heads: Node, shared: Shared) -> Node:
    """Turn queries or keys by their positions' angles, [batch, head, token, head size]."""
    half = heads.get_output_partial_shape(0)[3].get_length() // 2
    first, second = op.variadic_split(heads, op.constant(3), _ints(half, half)).outputs()
    turned = op.concat([op.multiply(second, op.constant(np.float32(-1))), first], axis=-1)
    return op.add(op.multiply(heads, shared.cos), op.multiply(turned, shared.sin))


if __name__ == "__main__":
    convert_folder(Path(sys.argv[1]), Path(sys.argv[2]), WeightFormat(*sys.argv[3:] or ["fp16"]))
