"""D: graphs by name, and graphs from bytes of the guest's own."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 -- the bindings have no types

from __future__ import annotations

import sys
from pathlib import Path

from classifier import classifies
from componentize_py_types import Err
from suite import SETTINGS, Failed, NotRun, case, context, refused, words
from wit_world.imports import graph
from wit_world.imports.errors import ErrorCode
from wit_world.imports.graph import ExecutionTarget, GraphEncoding

# ---------------------------------------------------------------- by name

NAMES = {
    "unknown": ["no-such-graph"],
    "empty": [""],
    "parent": ["../add", "add/../add"],
    "absolute": ["/add", "/etc/passwd"],
    "long": ["a" * (1 << 20)],
    "nul": ["add\0", "add\0.xml"],
    "case": ["Add", "ADD"],
    "blank": [" add", "add\n"],
}


def name_is_not_found(kind):
    """A name that is not the granted one letter by letter is not-found: {}."""
    return [refused(ErrorCode.NOT_FOUND, graph.load_by_name, text) for text in NAMES[kind]][-1]


for one in NAMES:
    case(f"D.name-{one}", one)(name_is_not_found)


@case("D.name-ungranted")
def ungranted_name():
    """A name that is not granted and one that does not exist get the same text."""
    texts = []
    for name in ("tiny", "qxzw"):
        try:
            with graph.load_by_name(name):
                raise NotRun(f"{name!r} is granted")
        except Err as raised:
            texts.append(words(raised.value, ErrorCode.NOT_FOUND).replace(name, ""))
    if texts[0] != texts[1]:
        raise Failed(f"{texts[0]!r} for the one, {texts[1]!r} for the other")
    return texts[0]


@case("D.graph-dropped-first")
def graph_dropped_first():
    """A context computes after its graph is dropped."""
    return classifies(context("numbers"))


# ---------------------------------------------------------------- from bytes: `numbers`, as the files --backend says

FILES = {
    "openvino": (GraphEncoding.OPENVINO, "model.xml", "model.bin"),
    "onnx": (GraphEncoding.ONNX, "model.onnx"),
    "pytorch": (GraphEncoding.PYTORCH, "model.pt2"),
    "torchscript": (GraphEncoding.PYTORCH, "model.pt"),
}
# The folder is there while the component is made, and its bytes stay.
_MODELS = next(folder for folder in map(Path, sys.path) if (folder / "torchscript").is_dir())
_OWN = {
    backend: (encoding, [(_MODELS / backend / "numbers" / name).read_bytes() for name in names])
    for backend, (encoding, *names) in FILES.items()
}


def own_bytes():
    """The encoding and the builders."""
    encoding, builders = _OWN[SETTINGS["--backend"] or "openvino"]
    return encoding, list(builders)


def loads(builders, encoding, target=ExecutionTarget.CPU):
    """Load and compute; raises what `load` does, and where loading is not granted the case is not run."""
    try:
        loaded = graph.load(builders, encoding, target)
    except Err as raised:
        if raised.value.code() == ErrorCode.SECURITY:
            raise NotRun("loading from bytes is not granted") from None
        raise
    with loaded, loaded.init_execution_context() as on:
        classifies(on)
    return "loaded, and computes"


@case("D.load")
@case("D.load-autodetect", GraphEncoding.AUTODETECT)
def own_encoding(encoding=None):
    """The bytes of a model are a graph, or invalid-encoding, also when the host is to find out."""
    own, builders = own_bytes()
    try:
        return loads(builders, encoding or own)
    except Err as raised:
        return words(raised.value, ErrorCode.INVALID_ENCODING)


def is_refused(builders, encoding):
    """Whether bytes are invalid-encoding."""
    try:
        raise Failed(loads(builders, encoding))
    except Err as raised:
        return words(raised.value, ErrorCode.INVALID_ENCODING)


@case("D.load-other-encoding")
def other_encodings():
    """The bytes of a model with each other encoding are invalid-encoding."""
    own, builders = own_bytes()
    wrong = [each for each in GraphEncoding if each not in {own, GraphEncoding.AUTODETECT}]
    return [is_refused(builders, each) for each in wrong][-1]


@case("D.load-builders")
def wrong_builders():
    """0 to 3 builders where another number is right are invalid-encoding."""
    encoding, builders = own_bytes()
    padded = builders + [builders[0]] * 3
    return [is_refused(padded[:count], encoding) for count in range(4) if count != len(builders)][-1]


@case("D.load-empty")
def empty_bytes():
    """Builders without a byte are invalid-encoding."""
    encoding, builders = own_bytes()
    return is_refused([b""] * len(builders), encoding)


@case("D.load-junk")
def junk_bytes():
    """Junk is invalid-encoding."""
    encoding, builders = own_bytes()
    return is_refused([bytes((i * i * 31 + 7) % 256 for i in range(1000)), *builders[1:]], encoding)


@case("D.load-truncated")
def truncated_bytes():
    """Half of a model is invalid-encoding."""
    encoding, builders = own_bytes()
    return is_refused([builders[0][: len(builders[0]) // 2], *builders[1:]], encoding)


@case("D.load-target-cpu", ExecutionTarget.CPU)
@case("D.load-target-gpu", ExecutionTarget.GPU)
@case("D.load-target-tpu", ExecutionTarget.TPU)
def on_target(target):
    """A model from bytes computes on a target, or unsupported-operation says that there is none: {}."""
    encoding, builders = own_bytes()
    try:
        return loads(builders, encoding, target)
    except Err as raised:
        if raised.value.code() != ErrorCode.INVALID_ENCODING:
            return words(raised.value, ErrorCode.UNSUPPORTED_OPERATION)
    if target != ExecutionTarget.CPU:
        is_refused(builders, encoding)  # else it is the target that it means
    raise NotRun("nothing of this encoding is loaded from bytes")
