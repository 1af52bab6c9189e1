"""
The files of the graph ``echo``, made of nothing; ``python -m tests.text.echo_folder`` writes them anew.

A token for each byte, whose id is that byte; then control tokens. The template gives what the user said last, and
nothing around it, so that a graph which answers a prompt with itself answers with just that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import wit_llm
from wit_llm.decoder import BYTE_OF_CHARACTER

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(wit_llm.__file__).parent / "embedded" / "echo"
CONTROL_TOKENS = ("<|end|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
END = 256


def tokenizer(tokens: Mapping[str, bool]) -> str:
    """
    The text of a ``tokenizer.json`` with a token for each byte, and then these.

    Args:
        tokens: Each, and whether it is called special.
    """
    added = [
        {
            "id": END + place,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": special,
        }
        for place, (text, special) in enumerate(tokens.items())
    ]
    vocab = dict(sorted(BYTE_OF_CHARACTER.items(), key=lambda entry: entry[1]))
    definition = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }
    return json.dumps(definition, indent=1, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """Name and content of each."""
    said_last = "messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | last"
    return {
        "chat_template.jinja": f"{{{{ {said_last} }}}}",
        "generation_config.json": json.dumps({"eos_token_id": END}, indent=1) + "\n",
        "tokenizer.json": tokenizer(dict.fromkeys(CONTROL_TOKENS, True)),
        "tokenizer_config.json": json.dumps({"bos_token": "<|bos|>", "eos_token": "<|end|>"}, indent=1) + "\n",
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
