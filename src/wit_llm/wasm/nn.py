"""``wasi:nn`` 0.2.0-rc-2024-10-28: tensor, errors, graph, inference; and ``prompt`` of pull request 79."""

from __future__ import annotations

from wit_llm.backends.base import Target
from wit_llm.errors import Denied, ErrorCode, NNError
from wit_llm.graph import ExecutionContext
from wit_llm.loading.builders import Encoding
from wit_llm.registry import Loaded
from wit_llm.tensor import NamedTensor, Tensor, TensorType
from wit_llm.text.message import Say, Setup
from wit_llm.text.session import Session
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface
from wit_llm.wasm.prompt import open_session

_VERSION = "@0.2.0-rc-2024-10-28"

TENSOR = Interface(f"wasi:nn/tensor{_VERSION}", {"tensor": Tensor})
ERRORS = Interface(f"wasi:nn/errors{_VERSION}", {"error": NNError})
INFERENCE = Interface(f"wasi:nn/inference{_VERSION}", {"graph-execution-context": ExecutionContext})
GRAPH = Interface(f"wasi:nn/graph{_VERSION}", {"graph": Loaded})


@TENSOR.func("[constructor]tensor")
def _new_tensor(guest: Guest, dimensions: tuple[int, ...], ty: TensorType, data: bytes) -> Tensor:
    return Tensor(dimensions, ty, data)


@TENSOR.func("[method]tensor.dimensions")
def _dimensions(guest: Guest, tensor: Tensor) -> tuple[int, ...]:
    return tensor.dimensions


@TENSOR.func("[method]tensor.ty")
def _ty(guest: Guest, tensor: Tensor) -> TensorType:
    return tensor.ty


@TENSOR.func("[method]tensor.data")
def _data(guest: Guest, tensor: Tensor) -> bytes | memoryview:
    return tensor.data


@ERRORS.func("[method]error.code")
def _code(guest: Guest, error: NNError) -> ErrorCode:
    return error.code


@ERRORS.func("[method]error.data")
def _error_data(guest: Guest, error: NNError) -> str:
    return str(error)


@GRAPH.func("load")
def _load(guest: Guest, builder: tuple[bytes, ...], encoding: Encoding, target: Target) -> Loaded:
    if guest.loader is None:
        raise Denied("loading a graph from a guest's bytes is not granted; use load-by-name")
    return guest.loader.load(builder, encoding, target, guest.time_left_s())


@GRAPH.func("load-by-name")
def _load_by_name(guest: Guest, name: str) -> Loaded:
    return guest.registry.load(name)


@GRAPH.func("[method]graph.init-execution-context")
def _init_execution_context(guest: Guest, graph: Loaded) -> ExecutionContext:
    return graph.context(guest.bell, guest.limits)


@INFERENCE.func("[method]graph-execution-context.compute")
def _compute(guest: Guest, context: ExecutionContext, inputs: tuple[NamedTensor, ...]) -> tuple[NamedTensor, ...]:
    return context.compute(inputs, guest.time_left_s())


# ---------------------------------------------------------------- pull request 79


class Context:
    """``wasi:nn/prompt.context``: a session with no options, which owns its graph."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def interrupt(self) -> int:
        """Stop the reply that is being produced; returns how many."""
        return self.session.interrupt()

    def close(self) -> None:
        """End the session."""
        self.session.close()


PROMPT = Interface(f"wasi:nn/prompt{_VERSION}", {"context": Context})


@PROMPT.func("init")
def _init(guest: Guest, graph: Loaded) -> Context:
    try:
        return Context(open_session(guest, graph, Setup()))
    finally:
        graph.close()  # the guest gave it away


@PROMPT.func("[method]context.compute")
def _prompt(guest: Guest, context: Context, prompt: str) -> str:
    return context.session.ask(Say(prompt), None).text


INTERFACES = (TENSOR, ERRORS, INFERENCE, GRAPH, PROMPT)
