"""
Graphs that the contract of ``wit-llm:nn`` is tried on: one that talks and one that embeds, for each backend.

Both talkers render every message, have a place for tools and calls, and know reasoning. ``echo`` answers with all that
was said; behind the others is ``tiny``, which knows its lines. The vector of a text is told by hand on both libraries.
"""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.sentences import VOCABULARY, WINDOW, safetensors, write_encoder, write_files
from tests.text import echo_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

_TINY = Path(str(files("wit_llm"))) / "embedded" / "tiny"
_WEIGHTS = {"openvino": ("openvino_model.xml", "openvino_model.bin"), "pytorch": ("model.safetensors",)}

_CALLS = """
{%- for call in message.tool_calls or [] %}<tool_call>
{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor -%}"""
_SAID = "{{ (message.reasoning_content or '') + message.content }}" + _CALLS
_TOOLS = "{{ tools | map(attribute='function.name') | join(' ') }}"
_MARKS = "{# <think> </think> #}"
_ECHO = (
    f"{{% if tools %}}[{_TOOLS}]{{% endif %}}{{% for message in messages %}}"
    f"{_SAID}{{% if not loop.last %}}|{{% endif %}}{{% endfor %}}{_MARKS}"
)
_LINES = (
    f"{{% if tools %}}<|system|>{_TOOLS}<|end|>{{% endif %}}{{% for message in messages %}}<|{{{{ message.role }}}}|>"
    f"{_SAID}<|end|>{{% endfor %}}{{% if add_generation_prompt %}}<|assistant|>{{% endif %}}{_MARKS}"
)


def write_talker(backend: str, folder: Path) -> Path:
    """A model that answers: its files, and the template of this suite."""
    folder.mkdir()
    if backend.startswith("echo"):
        for name, content in echo_folder.files().items():
            (folder / name).write_text(content, encoding="utf-8")
        (folder / "chat_template.jinja").write_text(_ECHO)
        return folder
    for name in (
        *_WEIGHTS[backend],
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        shutil.copy(_TINY / name, folder)
    (folder / "chat_template.jinja").write_text(_LINES)
    return folder


def write_vectors(backend: str, folder: Path) -> Path:
    """A sentence-transformers folder of that backend."""
    folder.mkdir()
    (write_encoder if backend == "openvino" else _write_bert)(folder)
    return write_files(folder)


def _write_bert(folder: Path) -> None:
    """A BERT of two dimensions and no attention, in which ``cat`` is [1, -1], ``dog`` [-1, 1] and all else [0, 0]."""
    none = [[0, 0], [0, 0]]
    words = [[{"cat": 1, "dog": -1}.get(word, 0), 0] for word in VOCABULARY]
    tensors: dict[str, Sequence[Any]] = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": [[0, 0]] * WINDOW,
        "embeddings.token_type_embeddings.weight": none,
    }
    layer = "encoder.layer.0"
    for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        tensors |= {f"{layer}.{name}.weight": none, f"{layer}.{name}.bias": [0, 0]}
    for name in ("intermediate.dense", "output.dense"):
        tensors |= {f"{layer}.{name}.weight": none, f"{layer}.{name}.bias": [0, 0]}
    for name in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        tensors |= {f"{name}.LayerNorm.weight": [1, 1], f"{name}.LayerNorm.bias": [0, 0]}
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": len(VOCABULARY),
        "hidden_size": 2,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 2,
        "max_position_embeddings": WINDOW,
        "type_vocab_size": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
