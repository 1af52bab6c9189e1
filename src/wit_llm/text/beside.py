"""What lies beside a graph in place of the files that a prompt wants: how to make one, and what a GGUF file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wit_llm.backends.folder import Kind, kind_of
from wit_llm.backends.gguf import GGUF
from wit_llm.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from wit_llm.tokenizer import Tokenizer

# What a folder has instead of tokenizer.json, and what transformers needs beside itself to read it.
_OLDER = {
    "tokenizer.model": " sentencepiece protobuf tiktoken",
    "spiece.model": " sentencepiece protobuf",
    "sentencepiece.bpe.model": " sentencepiece protobuf",
    "tekken.json": " mistral-common tiktoken",
    "merges.txt": "",
    "vocab.txt": "",
}


def making_a_tokenizer(folder: Path) -> str:
    """How ``tokenizer.json`` is come by, by what there is; ``DIR`` stands for the folder, which guests do not see."""
    argument = ""
    for name, packages in _OLDER.items():
        if (folder / name).is_file():
            found, wanted = name, packages
            break
    else:
        gguf = next((path.name for path in sorted(folder.glob("*.gguf"))), None)
        if gguf is None:
            return "copy that of the model that it was made from into it, together with tokenizer_config.json"
        found, wanted, argument = gguf, " gguf", f", gguf_file='{gguf}'"
    return (
        f"to make one of {found}: `pip install transformers{wanted}` and "
        f"`python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('DIR'{argument})"
        ".save_pretrained('DIR')\"`"
    )


def said_by_gguf(folder: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """
    What the GGUF file of a folder says of a chat, by the names of transformers; nothing where the graph is another.

    Raises:
        OperatorError: The file is broken.
    """
    if kind_of(folder) is not Kind.GGUF:
        return {}
    says = GGUF.read(next(iter(sorted(folder.glob("*.gguf"))))).metadata
    ids = {name: says.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot", "eom")}
    known = {name: token_id for name, token_id in ids.items() if type(token_id) is int}
    said: dict[str, Any] = {"eos_token_id": [token_id for name, token_id in known.items() if name != "bos"] or None}
    for name in known.keys() & {"bos", "eos"}:
        try:
            said[f"{name}_token"] = tokenizer.decode([known[name]])
        except InvalidArgument:  # a tokenizer.json without it
            continue
    template = says.get("tokenizer.chat_template")
    return said if template is None else {**said, "chat_template": str(template)}
