"""Which backends there are, and which of them a folder on disk is for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from wit_llm.backends.folder import Kind, recognise
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wit_llm.backends.base import Backend, Signature, Target


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A backend that can be asked for by name.

    Args:
        module: Where its ``load`` is.
        in_host: It runs inside the host, not in a worker.
    """

    module: str
    in_host: bool = False


BACKENDS = {
    "openvino": Entry("wit_llm.backends.openvino"),
    "pytorch": Entry("wit_llm.backends.pytorch"),
    "echo": Entry("wit_llm.backends.echo", in_host=True),
    "echo-worker": Entry("wit_llm.backends.echo"),
}


_READER = {
    Kind.IR: "openvino",
    Kind.ONNX: "openvino",
    Kind.TRANSFORMERS: "pytorch",
    Kind.PROGRAM: "pytorch",
    Kind.GGUF: "openvino",
}


class _Module(Protocol):
    """What each file of a backend offers."""

    def load(self, folder: Path, target: Target, settings: Mapping[str, str], signature: Signature) -> Backend:
        """
        Make the graph of a folder ready.

        Raises:
            OperatorError: The folder, a setting or the signature is not right; says what was found and the way out.
            Unsupported: The target is not there, or a tensor's type.
        """


def entry(backend: str) -> Entry:
    """
    The backend of that name.

    Raises:
        OperatorError: There is none; lists those that are.
    """
    try:
        return BACKENDS[backend]
    except KeyError:
        raise OperatorError(f"no backend {backend!r}; there are: {', '.join(BACKENDS)}") from None


def open_graph(
    backend: str, folder: Path, target: Target, settings: Mapping[str, str], signature: Signature
) -> Backend:
    """
    Import a backend and load a folder with it.

    Raises:
        OperatorError: As its ``load`` says, or a package that it needs is not installed.
        Unsupported: As its ``load`` says.
    """
    name = entry(backend).module
    try:
        module = cast("_Module", importlib.import_module(name))
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"backend {backend!r} needs the package {error.name!r}, which is not installed; see `wit-llm doctor`"
        ) from error
    return module.load(folder, target, settings, signature)


def detect(folder: Path) -> str:
    """
    The backend for what a folder holds.

    Raises:
        OperatorError: As ``folder.recognise`` says.
    """
    return _READER[recognise(folder)]
