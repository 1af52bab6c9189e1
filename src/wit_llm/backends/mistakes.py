"""What people take for a graph and is none, each with the way out; the sentences of ``backends/folder.py``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from wit_llm.backends.config import read_config

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_LFS = b"version https://git-lfs"
_LFS_BYTES = 1024
_INDEX = "model.safetensors.index.json"
_SAVE = "AutoModelForCausalLM as M; M.from_pretrained('{folder}').save_pretrained('OUT')"


def no_folder(path: Path) -> str:
    """What is to be said of a path that is no folder."""
    if path.suffix == ".gguf" and path.is_file():
        return (
            f"{path} is a file; a graph is a folder: one that holds this file, no other *.gguf, and the tokenizer.json "
            "of the model that it was made from"
        )
    if path.is_file():
        return f"{path} is a file; a graph is a folder: {path.parent}"
    if _HUB_NAME.fullmatch(str(path)) and not path.parent.exists():
        return (
            f"there is no folder {path}; nothing is downloaded here: "
            f"`hf download {path} --local-dir DIR` does it, and DIR is the graph's folder"
        )
    return f"there is no folder {path}; a graph is a folder"


def not_whole(folder: Path) -> str | None:
    """What is missing of a folder that holds a model: links to nowhere, pointers instead of files, shards."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.exists():
            return f"{path} is a link to {path.readlink()}, which is not there; download the model again"
        if path.is_file() and path.stat().st_size < _LFS_BYTES and path.read_bytes().startswith(_LFS):
            return f"{path} is a pointer of Git LFS and not the file itself; `git lfs pull` in its repository gets it"
    index = folder / _INDEX
    if not index.is_file():
        return None
    try:
        shards = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, LookupError, AttributeError, TypeError):
        return f"{index} is no index of shards: it has no weight_map; download it again"
    missing = [name for name in shards if not (folder / str(name)).is_file()]
    if missing:
        return f"{_INDEX} in {folder} names {len(shards)} files, and {missing[0]} is not there; download it again"
    return None


def unreadable_weights(folder: Path) -> str | None:
    """What is to be said of a transformers folder whose weights are packed in somebody's own way."""
    config = read_config(folder)
    quantised = config and (config.quantised or config.language.quantised)
    if not quantised:
        return None
    return (
        f"the weights in {folder} are quantised by {quantised}, which no backend here reads; "
        "take the model that they were made from: `wit-llm convert DIR OUT --to openvino --weights int4`"
    )


def otherwise(folder: Path, names: AbstractSet[str]) -> str | None:
    """What a folder is that holds none of the kinds that can be loaded; none where that is not known."""
    if "snapshots" in names and "refs" in names:
        snapshots = sorted(path for path in (folder / "snapshots").iterdir() if path.is_dir())
        return f"{folder} is a place in the hub's cache; its models are {', '.join(map(str, snapshots)) or 'gone'}"
    if "adapter_config.json" in names:
        return (
            f"{folder} is an adapter (LoRA) for {_base(folder)} and not a model; to merge the two: "
            '`python -c "from peft import AutoPeftModelForCausalLM as M; '
            f"M.from_pretrained('{folder}').merge_and_unload().save_pretrained('OUT')\"`"
        )
    if "model_index.json" in names:
        return f"{folder} is a diffusers pipeline of several models; a graph is one model: name one of its folders"
    parts = sorted(name for name in names if re.fullmatch(r"openvino_\w+_model\.xml", name))
    if parts:
        return (
            f"{folder} is a model in parts ({', '.join(parts)}), for images, speech or translation; text wants one "
            "openvino_model.xml, as `optimum-cli export openvino --task text-generation-with-past` writes it"
        )
    if "params.json" in names:
        return f"{folder} is in its maker's own format (params.json); take the one for transformers, with config.json"
    return _loose_weights(folder, names)


def _loose_weights(folder: Path, names: AbstractSet[str]) -> str | None:
    pickles = sorted(
        name
        for name in names
        if name.endswith((".pth", ".ckpt")) or (name.startswith("pytorch_model") and ".bin" in name)
    )
    if pickles:
        save = _SAVE.format(folder=folder)
        return (
            f"{folder} has its weights in a pickle ({pickles[0]}), which is never read, as it can run code; "
            f'to write them as safetensors: `python -c "from transformers import {save}"`'
        )
    if "config.json" not in names and (_INDEX in names or any(name.endswith(".safetensors") for name in names)):
        return f"{folder} has weights (*.safetensors) and no config.json, which says what they are; copy it there, too"
    named_otherwise = sorted(
        name
        for name in names
        if name.endswith(".xml")
        and name.removesuffix(".xml") + ".bin" in names
        and name not in ("openvino_tokenizer.xml", "openvino_detokenizer.xml")
    )
    if named_otherwise:
        stem = named_otherwise[0].removesuffix(".xml")
        return f"{folder} holds an IR of another name; call {stem}.xml and {stem}.bin model.xml and model.bin"
    return None


def _base(folder: Path) -> str:
    """The model that an adapter is for, as its file says."""
    try:
        return str(json.loads((folder / "adapter_config.json").read_bytes())["base_model_name_or_path"])
    except (ValueError, LookupError, TypeError, OSError):
        return "a model that adapter_config.json does not name"
