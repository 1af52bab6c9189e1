"""Programs of PyTorch that take tensors: exported ones (``.pt2``), which are preferred, and TorchScript (``.pt``)."""

from __future__ import annotations

import os
import warnings
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.export.passes import move_to_device_pass
from torch.export.pt2_archive import constants as archive
from torch.utils import _pytree as pytree

from wit_llm.backends.base import GraphInfo
from wit_llm.backends.pytorch_values import TYPES, failures, lifted, lowered, spec_of
from wit_llm.errors import BackendFailure, InvalidArgument, OperatorError
from wit_llm.tensor import NamedTensor, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch.export import ExportedProgram

    from wit_llm.backends.base import Signature
    from wit_llm.tensor import Admitted

# What an argument may be declared as that is given a tensor.
_TAKEN = ("Tensor", "Optional[Tensor]")
# Nodes of a frozen program whose values outlive a compute.
_KEPT = ("prim::GetAttr", "prim::Constant")


# ---------------------------------------------------------------- exported programs


def exported(path: Path, device: torch.device) -> Program:
    """
    Read a program without running anything that the file brings.

    Raises:
        OperatorError: It cannot be read, or it would keep something between computes.
    """
    # torch.export.load falls back to unpickling, in torch 2.13, unless it is told that it must not.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        with zipfile.ZipFile(path) as file:
            _refuse_code(path, file.namelist())
        program = torch.export.load(path)
        # The signature of what was exported does not name what is written in place.
        signature = program.run_decompositions({}).graph_signature
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
    except OperatorError:
        raise
    except Exception as error:
        raise OperatorError(f"{path} cannot be read as an exported program: {error}") from error
    _refuse_memory(path, (*signature.buffers_to_mutate.values(), *signature.parameters_to_mutate.values()))
    return Program(program, device)


def _refuse_code(path: Path, names: Sequence[str]) -> None:
    """Objects that would be unpickled, and libraries that would be linked."""
    prefixes = (archive.CUSTOM_OBJ_FILENAME_PREFIX, archive.OPAQUE_OBJ_FILENAME_PREFIX)
    for name in names:
        if archive.AOTINDUCTOR_DIR in name or name.rpartition("/")[2].startswith(prefixes):
            raise OperatorError(f"{path} holds {name}, which is code; only plain programs are run")


def _refuse_memory(path: Path, changed: Sequence[str]) -> None:
    """What one compute leaves for the next, which may be another guest's."""
    if changed:
        raise OperatorError(f"{path} writes on {', '.join(changed)}; a graph keeps nothing between computes")


class Program:
    """An exported program."""

    def __init__(self, program: ExportedProgram, device: torch.device) -> None:
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        inputs = {str(name): values.get(str(name)) for name in program.graph_signature.user_inputs}
        outputs = [(str(name), values.get(str(name))) for name in program.graph_signature.user_outputs]
        spec = program.call_spec.out_spec
        if spec is not None and spec.type is dict and len(spec.context) == len(outputs):
            # A model that returns a dict has named its outputs; the names of nodes are the exporter's.
            outputs = [(str(key), value) for key, (_, value) in zip(spec.context, outputs, strict=True)]
        self._single = {name for name, value in inputs.items() if isinstance(value, torch.Tensor) and not value.dim()}
        self._call_spec = program.call_spec.in_spec
        self._module = program.module()
        self._device = device
        self.info = GraphInfo(
            tuple(spec_of(name, value) for name, value in inputs.items()),
            tuple(spec_of(name, value) for name, value in outputs),
        )

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """
        One inference, as ``Backend`` says.

        Raises:
            InvalidArgument: Dimensions that the program's own conditions exclude.
        """
        with torch.inference_mode(), failures("computing"):
            flat = [lifted(named.tensor, self._device, single=named.name in self._single) for named in admitted.tensors]
            arguments, keywords = pytree.tree_unflatten(flat, self._call_spec)
            try:
                outputs = pytree.tree_leaves(self._module(*arguments, **keywords))
            except AssertionError as error:
                raise InvalidArgument(f"the program takes no such dimensions: {error}") from error
            return [
                NamedTensor(spec.name, lowered(value)) for spec, value in zip(self.info.outputs, outputs, strict=True)
            ]


# ---------------------------------------------------------------- TorchScript


def scripted(path: Path, device: torch.device, signature: Signature) -> Script:
    """
    Read a TorchScript program, and no pickle of Python objects, though these have the same suffix.

    Args:
        path: The archive.
        device: What it computes on.
        signature: Names, types and dimensions of its inputs and outputs, which the archive does not have.

    Raises:
        OperatorError: It cannot be read; it would keep something between computes; the signature is missing or has
            another number of tensors than the program.
    """
    _refuse_pickle(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.export is preferred, the README says so
            loaded = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(loaded.eval(), optimize_numerics=False)
    except Exception as error:
        raise OperatorError(f"{path} cannot be read as TorchScript: {error}") from error
    if not hasattr(frozen, "forward"):
        raise OperatorError(f"{path} has no method `forward`, which is what a graph computes")
    _compare(path, signature, frozen.forward.schema)
    _refuse_memory(path, sorted(_written(frozen.graph)))
    return Script(frozen, device, signature)


def _refuse_pickle(path: Path) -> None:
    """Tell what ``torch.jit.save`` wrote, which is read without Python's unpickler, from all else of that suffix."""
    names = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            names = [name.partition("/")[2] for name in file.namelist()]
    if "constants.pkl" not in names or not any(name.startswith("code/") for name in names):
        raise OperatorError(
            f"{path} is no TorchScript, and what else is called .pt is a pickle, which could run anything; "
            "make a program of the model with torch.export.save (*.pt2) or torch.jit.save (*.pt)"
        )


def _compare(path: Path, signature: Signature, schema: torch.FunctionSchema) -> None:
    """Look whether the program has as many inputs and outputs as the signature."""
    arguments = schema.arguments[1:]  # without self
    needed = [argument.name for argument in arguments if not argument.has_default_value()]
    strange = [f"{a.name}: {a.type}" for a in arguments if a.name in needed and str(a.type) not in _TAKEN]
    if strange:
        raise OperatorError(f"{path} wants {', '.join(strange)}; a graph takes tensors only")
    returned = _returned(path, schema)
    results = len(signature.outputs) or 1 if returned is None else returned
    if len(needed) <= len(signature.inputs) <= len(arguments) and 0 < len(signature.outputs) == results:
        return
    said = f"it has {len(signature.inputs)} inputs and {len(signature.outputs)} outputs"
    inputs = ", ".join(f'{name} = "FP32[1, ?]"' for name in needed)
    outputs = ", ".join(f'output{number} = "FP32[1, ?]"' for number in range(results))
    raise OperatorError(
        f"{path} is TorchScript, which knows neither types nor dimensions: [graphs.NAME] of the manifest says them, in "
        f"the program's order, such as `inputs = {{ {inputs} }}` and `outputs = {{ {outputs} }}`; {said}"
    )


def _returned(path: Path, schema: torch.FunctionSchema) -> int | None:
    """How many tensors come back; none where that shows when it has computed."""
    kind = schema.returns[0].type
    parts = kind.elements() if isinstance(kind, torch.TupleType) else [kind]
    if isinstance(kind, torch.ListType):
        parts = [kind.getElementType()]
    if any(str(part) != "Tensor" for part in parts):
        raise OperatorError(f"{path} returns {kind}; a graph gives tensors, one or several")
    return None if isinstance(kind, torch.ListType) else len(parts)


def _written(graph: torch.Graph) -> set[str]:
    """What a frozen program writes on that is there before and after it: attributes, and constants of its text."""
    has_writers: Callable[[torch.Value], bool] = graph.alias_db().has_writers  # type: ignore[attr-defined]
    found = set()
    for node in _nodes(graph):
        if node.kind() == "prim::SetAttr":
            found.add(node.s("name"))
        if node.kind() in _KEPT and any(map(has_writers, node.outputs())):
            found.add(node.s("name") if node.hasAttribute("name") else "a constant")
    return found


def _nodes(block: torch.Graph | torch.Block) -> Iterator[torch.Node]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


class Script:
    """A TorchScript program."""

    def __init__(self, module: torch.jit.ScriptModule, device: torch.device, signature: Signature) -> None:
        self._module = module
        self._device = device
        self._single = {spec.name for spec in signature.inputs if spec.dimensions == ()}
        self.info = GraphInfo(_with_axes(signature.inputs), _with_axes(signature.outputs))

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """
        One inference, as ``Backend`` says.

        Raises:
            BackendFailure: Also for outputs that are not what the signature says.
        """
        with torch.inference_mode(), failures("computing"):
            returned = self._module(
                *(lifted(named.tensor, self._device, single=named.name in self._single) for named in admitted.tensors)
            )
            values = list(returned) if isinstance(returned, tuple | list) else [returned]
            if len(values) != len(self.info.outputs):
                raise BackendFailure(f"{len(values)} outputs came; the manifest has {len(self.info.outputs)}")
            return [self._output(spec, value) for spec, value in zip(self.info.outputs, values, strict=True)]

    def _output(self, spec: TensorSpec, value: torch.Tensor) -> NamedTensor:
        dimensions = tuple(value.shape) or (1,)
        if TYPES.get(value.dtype) is not spec.ty or not spec.takes(dimensions):
            came = f"{str(value.dtype).removeprefix('torch.')}{list(dimensions)}"
            raise BackendFailure(f"output {spec.name!r} came as {came}; the manifest says {spec}")
        return NamedTensor(spec.name, lowered(value))


def _with_axes(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """As the door has them: a single value has dimensions ``(1,)``."""
    return tuple(replace(spec, dimensions=(1,)) if spec.dimensions == () else spec for spec in specs)
