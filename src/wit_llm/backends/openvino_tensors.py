"""Tensors in OpenVINO: what a model's ports are called and take, and raw compute; its errors as ours."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

from wit_llm.backends.base import GraphInfo
from wit_llm.errors import BackendFailure, InvalidArgument, TooLarge, Unsupported
from wit_llm.tensor import NamedTensor, Tensor, TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from wit_llm.tensor import Admitted

# FP64 is left out, because OpenVINO computes it in 32 bits and does not say so.
_ELEMENTS = {
    TensorType.FP16: ov.Type.f16,
    TensorType.FP32: ov.Type.f32,
    TensorType.BF16: ov.Type.bf16,
    TensorType.U8: ov.Type.u8,
    TensorType.I32: ov.Type.i32,
    TensorType.I64: ov.Type.i64,
}
_TYPES = {element.get_type_name(): ty for ty, element in _ELEMENTS.items()}
# Which sequence of a beam search a row of the state belongs to: ours to say, as each compute begins anew.
BEAMS = "beam_idx"
_I32 = np.iinfo(np.int32)
_NO_MEMORY = ("Failed to allocate", "can't alloc")


def reason(error: Exception, without: str = "Exception from") -> str:
    """What an exception of the library says: its last line that is not of the chain of source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if without not in line), type(error).__name__)


class failures:  # noqa: N801 -- as contextlib has it
    """
    The library's exceptions as ours; a guest reads them, so lines with paths stay in the worker's log.

    Args:
        action: What fails.

    Raises:
        TooLarge: There is no memory for it.
        BackendFailure: All else that the library says.
    """

    # Entered for each token, where the calls of a ``contextlib.contextmanager`` would be felt.

    def __init__(self, action: str) -> None:
        self._action = action

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (RuntimeError, ValueError, TypeError, MemoryError)):
            if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
                raise TooLarge(f"{self._action} wants more memory than it may have") from error
            raise BackendFailure(f"{self._action} failed in OpenVINO: {reason(error, without='/')}") from error


def _spec(port: ov.Output) -> TensorSpec:
    """
    What the door has to know; a single value has dimensions ``(1,)``, as wasi-nn has no rank 0.

    Raises:
        Unsupported: Its type does not come through unharmed.
    """
    # A converted PyTorch model has numbers beside the names of its outputs.
    name = min(port.get_names(), key=lambda name: (name.isdigit(), name), default="")
    if not name:
        raise Unsupported("a tensor of the model has no name; backend 'openvino' takes models that name all of theirs")
    element = port.get_element_type().get_type_name()
    if element not in _TYPES:
        raise Unsupported(
            f"tensor {name!r} has elements of type {element}; backend 'openvino' takes {', '.join(_TYPES)} "
            "(f64 not, because OpenVINO computes it in 32 bits)"
        )
    dimensions = port.get_partial_shape()
    if dimensions.rank.is_dynamic:
        return TensorSpec(name, _TYPES[element], None)
    sizes = tuple(size.get_length() if size.is_static else None for size in dimensions)
    return TensorSpec(name, _TYPES[element], sizes or (1,))


class Raw:
    """
    Raw compute.

    Args:
        core: The library.
        model: As it was read.
        device: What it computes on.
        properties: Of compiling.

    Raises:
        Unsupported: A tensor has a type that does not come through unharmed.
    """

    def __init__(self, core: ov.Core, model: ov.Model, device: str, properties: Mapping[str, object]) -> None:
        self._core = core
        self._model = model
        self._device = device
        self._properties = dict(properties)
        self._request: ov.InferRequest | None = None
        self._beams = next((port for port in model.inputs if BEAMS in port.get_names()), None)
        inputs = [port for port in model.inputs if BEAMS not in port.get_names()]
        self.info = GraphInfo(tuple(map(_spec, inputs)), tuple(map(_spec, model.outputs)))
        self._inputs = {spec.name: port for spec, port in zip(self.info.inputs, inputs, strict=True)}
        self._outputs = [(spec.name, port) for spec, port in zip(self.info.outputs, model.outputs, strict=True)]
        self._remembers = bool(model.get_variables())

    def prepare(self) -> ov.InferRequest:
        """
        Load the weights, once.

        Raises:
            BackendFailure: The library does not take the model on this device.
            TooLarge: There is no memory for it.
        """
        if self._request is None:
            with failures("compiling for raw compute"):
                compiled = self._core.compile_model(self._model, self._device, self._properties)
                self._request = compiled.create_infer_request()
        return self._request

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """One inference that knows nothing of the one before."""
        self.prepare()
        lent = {named.name: self._lent(named) for named in admitted.tensors}
        with self.request("computing") as request:
            self.infer(request, lent)
            return [NamedTensor(name, _seen(request.get_tensor(port))) for name, port in self._outputs]

    @contextlib.contextmanager
    def request(self, action: str) -> Iterator[ov.InferRequest]:
        """
        What infers, knowing nothing of what was inferred before the block; ``action`` is what fails where it fails.

        Raises:
            BackendFailure: The library failed.
            TooLarge: There is no memory for it.
        """
        request = self.prepare()
        # What has failed is compiled anew: openvino 2026.4 keeps the dimensions of a failed inference, and may compute
        # the next one with them, past the end of its inputs. tests/contract/test_memory.py has what happens else.
        self._request = None
        with failures(action):
            if self._remembers:
                request.reset_state()
            yield request
        self._request = request

    def infer(self, request: ov.InferRequest, inputs: Mapping[str, ov.Tensor]) -> None:
        """One inference, which goes on where the one before it in the same block has ended."""
        for name, tensor in inputs.items():
            request.set_tensor(self._inputs[name], tensor)
        if self._beams is not None:
            rows = next(iter(inputs.values())).get_shape()[0]
            request.set_tensor(self._beams, ov.Tensor(np.arange(rows, dtype=np.int32)))
        request.infer()

    def output(self, name: str) -> ov.Output:
        """Where the output of that name comes out."""
        return next(port for own, port in self._outputs if own == name)

    def _lent(self, named: NamedTensor) -> ov.Tensor:
        """The guest's bytes, read in place; the caller keeps them until the inference is over."""
        tensor, takes = named.tensor, self._inputs[named.name].get_partial_shape()
        elements = np.frombuffer(tensor.data, np.uint8)
        if tensor.ty is TensorType.I64 and elements.size:
            wide = elements.view(np.int64)
            if wide.min() < _I32.min or wide.max() > _I32.max:
                raise Unsupported(
                    f"input {named.name!r} has values beyond 32 bits, which OpenVINO would cut off; "
                    f"backend 'openvino' takes {_I32.min} to {_I32.max}"
                )
        shape = ov.Shape(() if takes.rank == ov.Dimension(0) else tensor.dimensions)
        if not takes.compatible(ov.PartialShape(shape)):
            raise InvalidArgument(f"input {named.name!r} wants dimensions {takes}, got {list(tensor.dimensions)}")
        return ov.Tensor(elements, shape, _ELEMENTS[tensor.ty])


def _seen(output: ov.Tensor) -> Tensor:
    """An output where it lies, and where the next answer will lie."""
    data = output.data.reshape(-1).view(np.uint8).data
    return Tensor(tuple(output.get_shape()) or (1,), _TYPES[output.get_element_type().get_type_name()], data)


class OpenVINO:
    """
    A graph that takes tensors only.

    Args:
        info: What it takes and gives.
        raw: Always the same; made at the first call where it costs something.
    """

    def __init__(self, info: GraphInfo, raw: Callable[[], Raw]) -> None:
        self.info = info
        self._raw = raw

    def prepare(self) -> None:
        """Compile, as ``Preparing`` says."""
        self._raw().prepare()

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """One inference, as ``Backend`` says."""
        return self._raw().compute(admitted)
