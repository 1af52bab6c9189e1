"""
The door: the one way for tensors, a guest's own or a prompt's, to reach a backend.

``Graph.admit`` looks at names, types, dimensions, byte counts, token ids and limits, and is the only code that makes an
``Admitted``; an engine takes nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from wit_llm.backends.base import GraphInfo
from wit_llm.errors import InvalidArgument, TooLarge, Unsupported
from wit_llm.events import Sink, TensorsAdmitted
from wit_llm.limits import Limits
from wit_llm.options import Decoding
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorSpec, TensorType
from wit_llm.worker.allowance import Allowance
from wit_llm.worker.client import Engine, Request
from wit_llm.worker.line import Listener

MAX_ELEMENTS = 2**31 - 1
# What every promptable graph takes beside its own inputs.
PROMPT = TensorSpec("prompt", TensorType.U8, (None,))


class Graph:
    """
    A loaded graph.

    Args:
        name: As granted; used in messages.
        engine: What computes.
        limits: Of tensors; the same for all guests.
        sink: Told of every admission.
    """

    def __init__(self, name: str, engine: Engine, limits: Limits, sink: Sink) -> None:
        self.name = name
        self._engine = engine
        self._limits = limits
        self._sink = sink

    @property
    def info(self) -> GraphInfo:
        """What it takes and gives."""
        return self._engine.info

    def declares(self, name: str) -> bool:
        """Whether the model itself has an input of that name."""
        return any(spec.name == name for spec in self.info.inputs)

    def context(self) -> ExecutionContext:
        """A place to compute; keeps nothing between computes."""
        return ExecutionContext(self)

    def compute(self, tensors: Sequence[NamedTensor], timeout_s: float | None = None) -> tuple[NamedTensor, ...]:
        """
        One inference.

        Raises:
            NNError: As ``admit`` and the backend say.
        """
        admitted = self.admit(tensors)
        self._check_outputs()
        return self._engine.compute(admitted, timeout_s, self._allowance)

    @property
    def _allowance(self) -> Allowance:
        return Allowance(self._limits.compute_bytes, self._limits.tensor_bytes)

    def _check_outputs(self) -> None:
        """What is known to be too much is not computed; the rest is found in the worker."""
        specs = self.info.outputs
        if len(specs) > self._limits.tensors:
            most = self._limits.tensors
            raise TooLarge(f"graph '{self.name}' gives {len(specs)} outputs; at most {most} go to a guest")
        for spec in specs:
            if (spec.data_bytes or 0) > self._limits.tensor_bytes:
                raise TooLarge(
                    f"output {spec.name!r} of graph '{self.name}' has {spec.data_bytes} bytes; "
                    f"at most {self._limits.tensor_bytes} go to a guest"
                )

    def prompt_tensors(self, token_ids: Sequence[int]) -> tuple[NamedTensor, ...]:
        """
        The named tensors that a prompt becomes, I64 ``[1, tokens]``.

        Raises:
            Unsupported: The graph declares an input that tokens cannot fill.
        """
        return self.token_tensors([token_ids])

    def token_tensors(self, rows: Sequence[Sequence[int]]) -> tuple[NamedTensor, ...]:
        """
        The named tensors that rows of tokens become, I64 ``[rows, tokens]``.

        They are what the graph declares of ``input_ids``, ``attention_mask``, ``position_ids`` and ``token_type_ids``.
        Rows shorter than the longest have zeros at their ends, in the mask too.

        Raises:
            Unsupported: The graph declares an input that tokens cannot fill.
        """
        longest = max(map(len, rows))
        zeros = array("q", [0]) * longest
        fill: dict[str, Callable[[Sequence[int]], array[int]]] = {
            "input_ids": lambda row: array("q", row) + zeros[len(row) :],
            "attention_mask": lambda row: array("q", [1]) * len(row) + zeros[len(row) :],
            "position_ids": lambda _row: array("q", range(longest)),
            "token_type_ids": lambda _row: zeros,
        }
        names = [spec.name for spec in self.info.inputs] or ["input_ids", "attention_mask"]
        unknown = [name for name in names if name not in fill]
        if unknown:
            raise Unsupported(f"graph '{self.name}' wants {unknown}; a prompt becomes {list(fill)}")
        return tuple(
            NamedTensor(
                name, Tensor((len(rows), longest), TensorType.I64, b"".join(fill[name](row).tobytes() for row in rows))
            )
            for name in names
        )

    def generate(self, tensors: Sequence[NamedTensor], decoding: Decoding, listener: Listener) -> Request:
        """
        Begin to generate; tokens come to the listener.

        Raises:
            NNError: As ``admit`` says, or the worker is gone.
        """
        return self._engine.generate(self.admit(tensors), decoding, listener)

    def score(self, rows: Sequence[Sequence[int]], first: int, timeout_s: float | None = None) -> Tensor:
        """
        Natural logarithms of the probabilities of tokens, from position ``first`` on: FP32 ``[rows, tokens - first]``.

        Args:
            rows: Token ids; all begin with the same ``first`` ones, at least one.
            first: Position of the first token of each row that is scored.
            timeout_s: How long to wait; none is for ever.

        Raises:
            NNError: As ``compute``; ``TextInfo.scores`` says whether it can.
        """
        return self._engine.score(self.admit(self.token_tensors(rows)), first, timeout_s, self._allowance)

    # ------------------------------------------------------------ the lock

    def admit(self, tensors: Sequence[NamedTensor]) -> Admitted:
        """
        Compare named tensors with what the graph declares, all of it, before anything native sees a byte.

        Returns:
            The tensors under the model's own names, in its order.

        Raises:
            InvalidArgument: A name that is unknown, missing or there twice; another type, rank or size than declared;
                bytes that disagree with the dimensions; a token id that the model does not have.
            TooLarge: Over a limit.
        """
        return self._admit(tensors, None if self.info.any_tensors else self.info.inputs)

    def admit_prompt(self, tensors: Sequence[NamedTensor]) -> Admitted:
        """
        Compare named tensors with ``PROMPT``: text for who makes a prompt of it, whose own tensors come by ``admit``.

        Raises:
            InvalidArgument: As ``admit``.
            TooLarge: Over a limit.
        """
        return self._admit(tensors, (PROMPT,))

    def _admit(self, tensors: Sequence[NamedTensor], inputs: tuple[TensorSpec, ...] | None) -> Admitted:
        """Compare with these inputs; with none any go."""
        if len(tensors) > self._limits.tensors:
            raise InvalidArgument(f"{len(tensors)} inputs for graph '{self.name}'; at most {self._limits.tensors} go")
        given: dict[str, Tensor] = {}
        for named in tensors:
            name = self._own_name(named.name, inputs)
            if name in given:
                raise InvalidArgument(f"input {name[:80]!r} of graph '{self.name}' is there twice")
            given[name] = named.tensor
        missing = [spec.name for spec in inputs or () if spec.name not in given]
        if missing:
            raise InvalidArgument(f"graph '{self.name}' wants input {missing[0]!r}; given: {list(given) or 'none'}")
        names = given if inputs is None else [spec.name for spec in inputs]
        ordered = tuple(NamedTensor(name, given[name]) for name in names)
        specs = {spec.name: spec for spec in inputs or ()}
        for named in ordered:
            self._check(named, specs.get(named.name))
        self._sink(TensorsAdmitted(self.name, tuple((n.name, n.tensor.dimensions) for n in ordered)))
        return Admitted(ordered)

    def _own_name(self, name: str, inputs: tuple[TensorSpec, ...] | None) -> str:
        """The model's own name; published guests call the first input "0" where the model has no such name."""
        names = [spec.name for spec in inputs or ()]
        if not name:
            raise InvalidArgument(f"an input of graph '{self.name}' has an empty name; it takes {names}")
        if inputs is None or name in names:
            return name
        if name == "0" and names:
            return names[0]
        raise InvalidArgument(f"graph '{self.name}' has no input {name[:80]!r}; it takes {names}")

    def _check(self, named: NamedTensor, spec: TensorSpec | None) -> None:
        tensor, where = named.tensor, f"input {named.name[:80]!r} of graph '{self.name}'"
        if len(tensor.dimensions) > self._limits.rank:
            raise InvalidArgument(f"{where} has {len(tensor.dimensions)} dimensions; at most {self._limits.rank} go in")
        if spec is not None and (tensor.ty is not spec.ty or not spec.takes(tensor.dimensions)):
            raise InvalidArgument(f"{where} wants {spec}, got {tensor}")
        try:
            tensor.check()
        except InvalidArgument as exc:
            raise InvalidArgument(f"{where}: {exc}") from exc
        if tensor.elements > MAX_ELEMENTS:
            raise TooLarge(f"{where} has {tensor.elements} elements; at most {MAX_ELEMENTS} go in")
        if tensor.data_bytes > self._limits.tensor_bytes:
            raise TooLarge(f"{where} has {tensor.data_bytes} bytes; at most {self._limits.tensor_bytes} go in")
        text = self.info.text or self.info.encodes
        if text is not None and named.name == "input_ids" and tensor.data_bytes and tensor.ty is TensorType.I64:
            self.check_token_ids(memoryview(tensor.data).cast("B").cast("q"))
            if tensor.dimensions[-1] > text.context_window:
                tokens = tensor.dimensions[-1]
                raise InvalidArgument(f"{where} has {tokens} tokens; the window holds {text.context_window}")

    def check_token_ids(self, token_ids: Sequence[int]) -> None:
        """
        Compare token ids, one or more, with the model's vocabulary.

        Raises:
            InvalidArgument: One that the model does not have.
        """
        text = self.info.text or self.info.encodes
        low, high = min(token_ids), max(token_ids)
        if text is not None and (low < 0 or high >= text.vocab_size):
            raise InvalidArgument(
                f"input 'input_ids' of graph '{self.name}' has token {low if low < 0 else high}; "
                f"the model has 0 to {text.vocab_size - 1}"
            )


class ExecutionContext:
    """``wasi:nn/inference.graph-execution-context``: computes, and keeps nothing."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def compute(self, tensors: Sequence[NamedTensor], timeout_s: float | None = None) -> tuple[NamedTensor, ...]:
        """
        One inference: every output, in the model's order.

        Raises:
            NNError: As ``Graph.compute``.
        """
        return self._graph.compute(tensors, timeout_s)
