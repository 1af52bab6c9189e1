"""A graph that makes vectors of texts: with its tokenizer, and what its folder says of pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wit_llm.backends.config import text_folder
from wit_llm.errors import BackendFailure, InvalidArgument, InvalidEncoding, Overflow, TooLarge, Unsupported
from wit_llm.options import Options
from wit_llm.tensor import TensorType
from wit_llm.text.batches import batches, check_texts, check_tokens
from wit_llm.text.message import Usage, Vectors
from wit_llm.text.model import Capability, ModelInfo
from wit_llm.text.sentence import Sentence, read_sentence
from wit_llm.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wit_llm.graph import Graph
    from wit_llm.limits import Limits
    from wit_llm.text.pooling import Floats

# Vectors of tokens, by the names that transformers and sentence-transformers give them when they export.
_OUTPUTS = ("last_hidden_state", "token_embeddings")
# Of texts that the model reads together, with their padding.
_BATCH_TOKENS = 8192
# As many as a list of numbers may have that comes from a guest: each takes 48 bytes on its way across the wall.
_MAX_VALUES = 2_796_202


@dataclass(frozen=True)
class Embedder:
    """
    What makes vectors of texts; any thread may use it.

    Args:
        graph: The encoder.
        name: As granted.
        digest: Of the folder.
        window: Tokens that a text may have.
        tokenizer: The encoder's own.
        sentence: What the folder says.
        output: The graph's, FP32 ``[texts, tokens, hidden]``.
    """

    graph: Graph
    name: str
    digest: str
    window: int
    tokenizer: Tokenizer
    sentence: Sentence
    output: str

    @classmethod
    def open(cls, graph: Graph, folder: Path, name: str, digest: str) -> Embedder:
        """
        Read what a folder has beside the graph.

        Raises:
            Unsupported: The graph is no encoder of a sentence-transformers folder, or one of a kind that is not there.
            InvalidEncoding: A file is not what it should be.
        """
        if graph.info.encodes is None:
            raise Unsupported(
                f"graph '{name}' does not embed: it is no encoder with a modules.json, as sentence-transformers has it"
            )
        beside = text_folder(folder)
        if not (beside / "tokenizer.json").is_file():
            raise Unsupported(f"graph '{name}' does not embed: it has no tokenizer.json in its folder")
        sentence, tokenizer = read_sentence(folder), Tokenizer.load(beside)
        if sentence.lower_case and tokenizer.encode_all(["A"], special=False) != tokenizer.encode_all(
            ["a"], special=False
        ):
            raise Unsupported("do_lower_case where the tokenizer itself tells upper case from lower is not supported")
        if any(token in sentence.prompt for token in tokenizer.control_tokens):
            raise Unsupported(f"a default prompt with control tokens, {sentence.prompt!r}, is not supported")
        specs = {spec.name: spec for spec in graph.info.outputs}
        output = next((specs[known] for known in _OUTPUTS if known in specs), None)
        if output is None or output.ty is not TensorType.FP32:
            found = ", ".join(f"{spec.name} {spec}" for spec in graph.info.outputs)
            raise Unsupported(f"graph '{name}' gives {found}; to embed it has to give last_hidden_state FP32[?, ?, n]")
        hidden = sentence.pooling.hidden
        if not output.takes((1, 1, hidden)):
            raise InvalidEncoding(
                f"graph '{name}' gives {output.name} {output}, and its Pooling takes {hidden} elements"
            )
        return cls(graph, name, digest, graph.info.encodes.context_window, tokenizer, sentence, output.name)

    def describe(self) -> ModelInfo:
        """What a guest can know of it."""
        return ModelInfo(self.name, self.digest, self.window, (Capability.EMBEDDINGS,), None, Options())

    def embed(self, texts: Sequence[str], limits: Limits, time_left_s: Callable[[], float | None]) -> Vectors:
        """
        The vector of each text: ``wit-llm:nn/embed.embed``.

        Args:
            texts: Any; text that looks like a control token stays text.
            limits: The guest's.
            time_left_s: Seconds that the guest has; none is all time.

        Raises:
            InvalidArgument: A text has no token.
            Overflow: A text is longer than the window.
            QuotaExceeded: They have too many bytes or tokens, together.
            TooLarge: There are too many.
            NNError: As ``Graph.compute``.
        """
        check_texts(texts, limits)
        dimensions = self.sentence.dimensions
        if len(texts) * dimensions > _MAX_VALUES:
            most = _MAX_VALUES // dimensions
            raise TooLarge(f"{len(texts)} vectors of {dimensions} elements in one call; at most {most} go out")
        rows = self.tokenizer.encode_framed([self.sentence.prompt + text for text in texts])
        lengths = [len(row) for row in rows]
        if 0 in lengths:
            raise InvalidArgument(f"input {lengths.index(0)} has no token, of which there could be a vector")
        if max(lengths, default=0) > self.window:
            raise Overflow(max(lengths), self.window, self.window)
        check_tokens(sum(lengths), limits)
        values = np.empty((len(texts), dimensions), np.float32)
        for batch in batches(lengths, _BATCH_TOKENS):
            hidden = self._hidden([rows[position] for position in batch], time_left_s())
            values[batch] = self.sentence.vectors(hidden, [lengths[position] for position in batch])
        return Vectors(dimensions, values.reshape(-1).data, Usage(sum(lengths), None, 0, 0))

    def _hidden(self, rows: Sequence[Sequence[int]], timeout_s: float | None) -> Floats:
        """The vectors of tokens, ``[texts, tokens, hidden]``."""
        outputs = self.graph.compute(self.graph.token_tensors(rows), timeout_s)
        tensor = next(named.tensor for named in outputs if named.name == self.output)
        if tensor.dimensions != (len(rows), max(map(len, rows)), self.sentence.pooling.hidden):
            raise BackendFailure(f"graph '{self.name}' gives {self.output} {tensor}, which is no vector for each token")
        return np.frombuffer(tensor.data, np.float32).reshape(tensor.dimensions)
