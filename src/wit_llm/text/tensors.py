"""A prompt over plain tensors: for guests that know only wasi-nn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.graph import PROMPT, ExecutionContext
from wit_llm.tensor import NamedTensor, Tensor, TensorType
from wit_llm.text.message import Say, Setup
from wit_llm.text.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.bell import Bell
    from wit_llm.graph import Graph
    from wit_llm.limits import Limits
    from wit_llm.text.model import Model

RESPONSE = "response"


class TextContext(ExecutionContext):
    """
    An execution context of a language model: an input ``prompt`` alone is a turn, all else is raw compute.

    Args:
        graph: The model's.
        model: Reads what a prompt needs beside the graph; asked at the first one.
        bell: The guest's.
        limits: The guest's.

    Source: the convention of WACS, a wasi-nn host in C#.
    """

    def __init__(self, graph: Graph, model: Callable[[], Model], bell: Bell, limits: Limits) -> None:
        super().__init__(graph)
        self._model = model
        self._bell = bell
        self._limits = limits

    def compute(self, tensors: Sequence[NamedTensor], timeout_s: float | None = None) -> tuple[NamedTensor, ...]:
        """
        One inference, or one reply: U8 ``[bytes]`` of UTF-8 in and out, without history, by the model's own defaults.

        Raises:
            InvalidArgument: The prompt is not UTF-8.
            NotPromptable: There is no tokenizer in the graph's folder.
            Overflow: The prompt leaves no room for one token.
            NNError: As ``Graph.compute``, or as a session says.
        """
        if [named.name for named in tensors] != [PROMPT.name] or self._graph.declares(PROMPT.name):
            return super().compute(tensors, timeout_s)
        prompt = bytes(self._graph.admit_prompt(tensors)[PROMPT.name].data)
        try:
            text = prompt.decode()
        except UnicodeDecodeError as exc:
            raise InvalidArgument(
                f"input 'prompt' of graph '{self._graph.name}' is not UTF-8: {exc.reason} at byte {exc.start}"
            ) from exc
        reply = Session(self._model(), Setup(), self._bell, self._limits).ask(Say(text)).text.encode()
        return (NamedTensor(RESPONSE, Tensor((len(reply),), TensorType.U8, reply)),)
