"""
A decoder of the Llama kind as an OpenVINO graph that keeps its own cache.

The graph is written op by op, not traced: it needs neither PyTorch nor transformers, comes out smaller, and follows
the patterns that OpenVINO fuses (normalisation, rotary embedding, attention with a cache) and that continuous batching
turns into paged attention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import openvino as ov
from openvino import Node
from openvino import opset15 as op
from openvino._offline_transformations import compress_model_transformation
from openvino.op.util import Variable, VariableInfo

from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wit_llm.convert.architecture import Architecture
    from wit_llm.weights import Weights

# Added to the score of a key that is not to be seen. Finite: a query that sees nothing, which is padding, would become
# NaN, and NaN in the cache spoils even what gives it no weight.
UNSEEN_SCORE: Final = np.float32(-65504)
_MOST: Final = float(np.finfo(np.float16).max)


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


def graph(architecture: Architecture, weights: Weights) -> ov.Model:
    """
    Build the graph from ``Inputs`` to ``logits``, [batch, token, vocab] f32.

    Raises:
        OperatorError: A weight does not fit into FP16.
    """
    inputs = Inputs(
        _parameter("input_ids", [-1, -1], ov.Type.i64),
        _parameter("attention_mask", [-1, -1], ov.Type.i64),
        _parameter("position_ids", [-1, -1], ov.Type.i64),
        _parameter("beam_idx", [-1], ov.Type.i32),
    )
    batch = op.gather(op.shape_of(inputs.input_ids), _ints(0), op.constant(0))
    shared = Shared(batch, *_rotation(architecture, inputs, batch), _mask(inputs))
    vocabulary = _matrix(weights, "model.embed_tokens.weight")
    hidden = op.gather(vocabulary, inputs.input_ids, op.constant(0))  # [batch, token, hidden] f32
    cache_writes: list[Node] = []
    for number in range(architecture.num_hidden_layers):
        layer = Layer(architecture, weights, number)
        attended, writes = layer.attention(layer.norm(hidden, "input_layernorm"), inputs, shared)
        hidden = op.add(hidden, attended)
        hidden = op.add(hidden, layer.feed_forward(layer.norm(hidden, "post_attention_layernorm")))
        cache_writes += writes
    hidden = _rms_norm(hidden, weights, "model.norm.weight", architecture.rms_norm_eps)
    head = vocabulary if architecture.tie_word_embeddings else _matrix(weights, "lm_head.weight")
    logits = op.matmul(hidden, head, transpose_a=False, transpose_b=True)
    logits.output(0).set_names({"logits"})
    return ov.Model([op.result(logits)], cache_writes, list(inputs), architecture.model_type)


def save(model: ov.Model, path: Path) -> None:
    """
    Write an ``.xml`` and the ``.bin`` beside it.

    Matrices are FP16 by now, and nothing else is to be: rotary frequencies of eleven bits, as optimum-intel 2.2.0
    stores them, are off by some tenths of a radian after a thousand tokens.
    """
    ov.save_model(model, path, compress_to_fp16=False)


class Layer:
    """One decoder layer: its weights, and the blocks made of them."""

    def __init__(self, architecture: Architecture, weights: Weights, number: int) -> None:
        self._architecture = architecture
        self._weights = weights
        self._number = number

    def norm(self, hidden: Node, name: str) -> Node:
        """Normalise the last axis."""
        return _rms_norm(hidden, self._weights, self._name(name), self._architecture.rms_norm_eps)

    def attention(self, hidden: Node, inputs: Inputs, shared: Shared) -> tuple[Node, list[Node]]:
        """Attend over past and present, [batch, token, hidden]; with it come the nodes that write the cache."""
        heads, cached_heads = self._architecture.heads, self._architecture.cached_heads
        projected = self._linear(hidden, "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        queries = _rotated(self._heads(projected[0], heads, "self_attn.q_norm"), shared)
        keys = _rotated(self._heads(projected[1], cached_heads, "self_attn.k_norm"), shared)
        values = self._heads(projected[2], cached_heads)
        all_keys, write_keys = self._cached("key", keys, inputs, shared)
        all_values, write_values = self._cached("value", values, inputs, shared)
        mixed = op.scaled_dot_product_attention(
            queries, self._repeated(all_keys, shared), self._repeated(all_values, shared), shared.mask
        )  # [batch, head, token, head size] f32
        joined = op.reshape(op.transpose(mixed, _ints(0, 2, 1, 3)), _ints(0, 0, -1), special_zero=True)
        return self._linear(joined, "self_attn.o_proj")[0], [write_keys, write_values]

    def feed_forward(self, hidden: Node) -> Node:
        """Apply the gated feed-forward block, [batch, token, hidden]."""
        gate, up = self._linear(hidden, "mlp.gate_proj", "mlp.up_proj")
        return self._linear(op.multiply(op.swish(gate), up), "mlp.down_proj")[0]

    def _name(self, part: str, kind: str = "weight") -> str:
        return f"model.layers.{self._number}.{part}.{kind}"

    def _has(self, part: str, kind: str = "weight") -> bool:
        return self._name(part, kind) in self._weights.dimensions

    def _linear(self, hidden: Node, *parts: str) -> Sequence[ov.Output]:
        """
        Project by each part, all in one product: a token at a time, what surrounds a product is much of its cost.

        ``benchmarks/EXPERIMENTS.md`` has what that brings.
        """
        matrix = _matrix(self._weights, *(self._name(part) for part in parts))
        product = op.matmul(hidden, matrix, transpose_a=False, transpose_b=True)
        rows = [self._weights.dimensions[self._name(part)][0] for part in parts]
        if any(self._has(part, "bias") for part in parts):
            biases = [
                _values(self._weights, self._name(part, "bias"))
                if self._has(part, "bias")
                else np.zeros(row, np.float32)
                for part, row in zip(parts, rows, strict=True)
            ]
            product = op.add(product, op.constant(np.concatenate(biases)))
        if len(parts) > 1:
            product = op.variadic_split(product, op.constant(2), _ints(*rows))
        outputs: Sequence[ov.Output] = product.outputs()
        return outputs

    def _heads(self, projected: ov.Output, heads: int, norm: str | None = None) -> Node:
        """Give each head its own axis, [batch, head, token, head size], and normalise it where the model does."""
        wanted = _ints(0, 0, heads, self._architecture.head_size)
        split = op.reshape(projected, wanted, special_zero=True)
        if norm is not None and self._has(norm):
            split = self.norm(split, norm)
        return op.transpose(split, _ints(0, 2, 1, 3))

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
    frequencies = architecture.frequencies()
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


def _values(weights: Weights, name: str) -> npt.NDArray[np.float32]:
    """
    A weight.

    Raises:
        OperatorError: A number is too large for FP16, which it may be stored as, or is none.
    """
    values = weights.f32(name)
    # Comparing finds NaN, too.
    if not max(values.max(initial=0), -values.min(initial=0)) <= _MOST:
        raise OperatorError(f"weight {name} has numbers beyond 65504 or none at all, which FP16 does not hold")
    return values


def _matrix(weights: Weights, *names: str) -> Node:
    """
    Weights, one below the other, as FP16 in the file and FP32 in the graph.

    OpenVINO's own pass makes them so, as only that leaves the mark by which the engine keeps FP16 in memory.
    """
    values = [_values(weights, name) for name in names]
    alone = ov.Model([op.result(op.constant(np.concatenate(values) if len(values) > 1 else values[0]))], [])
    compress_model_transformation(alone)
    return alone.get_results()[0].input_value(0).get_node()


def _rms_norm(hidden: Node, weights: Weights, name: str, epsilon: float) -> Node:
    mean_square = op.reduce_mean(op.power(hidden, op.constant(np.float32(2))), _ints(-1), keep_dims=True)
    root = op.sqrt(op.add(mean_square, op.constant(np.float32(epsilon))))
    normalised = op.multiply(hidden, op.divide(op.constant(np.float32(1)), root))
    return op.multiply(op.constant(_values(weights, name)), normalised)


def _rotated(heads: Node, shared: Shared) -> Node:
    """Turn queries or keys by their positions' angles, [batch, head, token, head size]."""
    half = heads.get_output_partial_shape(0)[3].get_length() // 2
    first, second = op.variadic_split(heads, op.constant(3), _ints(half, half)).outputs()
    turned = op.concat([op.multiply(second, op.constant(np.float32(-1))), first], axis=-1)
    return op.add(op.multiply(heads, shared.cos), op.multiply(turned, shared.sin))
