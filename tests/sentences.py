"""
A sentence-transformers folder whose vectors can be told by hand.

The vector of a token t in a text of n tokens is ``[t + n, n - t]``; ``cat`` is 5 and ``dog`` 6, and a text stands
between ``[CLS]``, 2, and ``[SEP]``, 3. So "cat dog" is ``[[6, 2], [9, -1], [10, -2], [7, 1]]``.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "query", ":")
WINDOW = 16
MEAN = {"embedding_dimension": 2, "pooling_mode": "mean", "include_prompt": True}
DENSE = {"in_features": 2, "out_features": 3, "bias": True, "activation_function": "torch.nn.modules.linear.Identity"}
CONFIG = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"


def write_encoder(folder: Path) -> None:
    """Write the graph, and what transformers says of it."""
    import numpy as np
    import openvino as ov
    from openvino import opset15 as op

    (folder / "config.json").write_text(json.dumps({"vocab_size": len(VOCABULARY), "max_position_embeddings": WINDOW}))
    inputs = [op.parameter([-1, -1], ov.Type.i64) for _ in range(3)]
    for node, name in zip(inputs, ("input_ids", "attention_mask", "token_type_ids"), strict=True):
        node.output(0).get_tensor().set_names({name})
    token, mask, kind = (op.convert(node, "f32") for node in inputs)
    minus, axis, thousand = (op.constant(np.float32(-1)), op.constant(np.array([1])), op.constant(np.float32(1000)))
    count = op.add(op.reduce_sum(mask, axis, keep_dims=True), op.multiply(kind, thousand))
    last = op.constant(np.array([2]))
    pair = [op.unsqueeze(op.add(count, value), last) for value in (token, op.multiply(token, minus))]
    vectors = op.concat(pair, 2)
    vectors.output(0).get_tensor().set_names({"316", "last_hidden_state"})
    ov.save_model(
        ov.Model([op.result(vectors)], inputs, "encoder"), folder / "openvino_model.xml", compress_to_fp16=False
    )


def write_files(
    folder: Path,
    layers: Sequence[tuple[str, Mapping[str, Any]]] = (("Pooling", MEAN),),
    files: Mapping[str, object] | None = None,
) -> Path:
    """
    Write what sentence-transformers says of the graph.

    Args:
        folder: Where.
        layers: Kind and configuration of each after the encoder; a Dense has the weights ``[[1, 0], [0, 1], [1, 1]]``
            and the bias ``[0, 0, 1]``.
        files: Others, or in the place of these, by their names.
    """
    special = [
        {
            "id": place,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for place, text in enumerate(VOCABULARY[:5])
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                text: {"id": text, "ids": [VOCABULARY.index(text)], "tokens": [text]} for text in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {text: place for place, text in enumerate(VOCABULARY)},
        },
    }
    lines = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for place, (kind, config) in enumerate(layers, 1):
        inner = folder / f"{place}_{kind}"
        inner.mkdir()
        (inner / "config.json").write_text(json.dumps(config))
        if kind == "Dense":
            weights: dict[str, list[Any]] = {"linear.weight": [[1, 0], [0, 1], [1, 1]], "linear.bias": [0, 0, 1]}
            (inner / "model.safetensors").write_bytes(safetensors(weights))
        lines.append(
            {"idx": place, "name": str(place), "path": inner.name, "type": f"sentence_transformers.models.{kind}"}
        )
    for name, content in {"modules.json": lines, "tokenizer.json": tokenizer, **(files or {})}.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def safetensors(tensors: Mapping[str, Sequence[Any]], dtype: str = "F32") -> bytes:
    """A file of these FP32 tensors, of one axis or two; ``dtype`` is what it says of them."""
    header, data = {}, b""
    for name, rows in tensors.items():
        matrix = isinstance(rows[0], list)
        values = [value for row in rows for value in row] if matrix else rows
        raw = struct.pack(f"<{len(values)}f", *values)
        shape = [len(rows), len(rows[0])] if matrix else [len(rows)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(head)) + head + data
