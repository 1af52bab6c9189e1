"""What a model folder holds, by the names of its files: the kinds that a backend reads, in their order."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wit_llm.backends import mistakes
from wit_llm.backends.config import text_folder
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

_WANTED = (
    "wanted is an OpenVINO IR (openvino_model.xml or model.xml), *.onnx, a transformers folder (config.json and "
    "*.safetensors), *.pt2 or *.pt, or *.gguf; `backend = ...` names a backend outright"
)
_SHOWN = 3
# Where transformers keeps all templates but the default one.
CHAT_TEMPLATES = "additional_chat_templates"
# Where sentence-transformers and the hub keep a model once more, for another library.
_EXPORTS = ("openvino", "onnx")


class Kind(Enum):
    """What can be loaded; where a folder holds several, the first of them counts."""

    IR = "an OpenVINO IR"
    ONNX = "an ONNX model"
    TRANSFORMERS = "a transformers model"
    PROGRAM = "a PyTorch program"
    GGUF = "a GGUF model"


def recognise(folder: Path) -> Kind:
    """
    The kind of what a folder holds.

    Raises:
        OperatorError: There is no folder, nothing in it that a backend takes, or not all of it; says what is there
            instead, where that is something people take for a graph, and the way out.
    """
    if not folder.is_dir():
        raise OperatorError(mistakes.no_folder(folder))
    for place in places(folder):
        kind = kind_of(place)
        if kind is not None:
            wrong = mistakes.not_whole(place)
            if wrong is None and kind is Kind.TRANSFORMERS:
                wrong = mistakes.unreadable_weights(place)
            if wrong is not None:
                raise OperatorError(wrong)
            return kind
    raise OperatorError(_no_graph(folder))


def places(folder: Path) -> tuple[Path, ...]:
    """Where the model of a graph may lie, in their order: beside its ``config.json``, or exported in a folder there."""
    beside = text_folder(folder)
    return (beside, *(beside / name for name in _EXPORTS if (beside / name).is_dir()))


def _no_graph(folder: Path) -> str:
    """What is to be said of a folder that holds nothing to load."""
    for place in places(folder):
        wrong = mistakes.otherwise(place, {path.name for path in place.iterdir()})
        if wrong is not None:
            return wrong
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and kind_of(path)]
    if inside:
        return f"{folder} holds no model of its own; {_listed(inside)}; name the one that is meant"
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    return f"no graph in {folder}: it holds {found}; {_WANTED}"


def kind_of(folder: Path) -> Kind | None:
    """The kind, by names alone, whether the folder is whole or not; none where it holds no model."""
    return _kind({path.name for path in folder.iterdir()})


def _kind(names: set[str]) -> Kind | None:
    suffixes = {name.rpartition(".")[2] for name in names if "." in name}
    if names & {"openvino_model.xml", "model.xml"}:
        return Kind.IR
    if "onnx" in suffixes:
        return Kind.ONNX
    if "config.json" in names and ("safetensors" in suffixes or "model.safetensors.index.json" in names):
        return Kind.TRANSFORMERS
    if suffixes & {"pt2", "pt"}:
        return Kind.PROGRAM
    return Kind.GGUF if "gguf" in suffixes else None


def _listed(folders: list[Path]) -> str:
    shown = ", ".join(str(folder) for folder in folders[:_SHOWN])
    more = f" and {len(folders) - _SHOWN} more" if len(folders) > _SHOWN else ""
    return f"{shown}{more} {'does' if len(folders) == 1 else 'do'}"
