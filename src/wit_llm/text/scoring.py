"""How likely continuations of a text are, by a model's own forward pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument, Overflow, Unsupported
from wit_llm.text.batches import batches, check_texts, check_tokens
from wit_llm.text.message import Scored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.limits import Limits
    from wit_llm.text.model import Model

# Of rows that go to the worker together, each with the whole prefix, which is read once for all of them.
_BATCH_TOKENS = 1 << 18


def score(
    model: Model,
    prefix: str,
    continuations: Sequence[str],
    limits: Limits,
    time_left_s: Callable[[], float | None],
) -> tuple[Scored, ...]:
    """
    The log-probability of each continuation after the prefix: ``wit-llm:nn/embed.score``.

    Args:
        model: What reads them.
        prefix: Encoded as a raw turn is.
        continuations: Each encoded apart from the prefix, as it stands behind it.
        limits: The guest's.
        time_left_s: Seconds that the guest has; none is all time.

    Raises:
        InvalidArgument: The prefix has no token, so that nothing says how likely a first one is.
        Overflow: A continuation and the prefix are longer than the window.
        QuotaExceeded: They have too many bytes or tokens, together.
        TooLarge: There are too many.
        Unsupported: The backend does not score.
        NNError: As ``Graph.score``.
    """
    text = model.graph.info.text
    if text is None or not text.scores:
        raise Unsupported(f"graph '{model.name}' does not score: its backend has no probabilities to tell")
    check_texts(continuations, limits, prefix)
    tokenizer = model.tokenizer
    opening = tokenizer.encode(prefix, special=True, bos=True)
    if not opening:
        raise InvalidArgument("the prefix has no token, and a first token has no probability; give it some text")
    # At the beginning of a text some tokenizers put a space.
    encode = tokenizer.encode_inside if prefix else tokenizer.encode_all
    endings = encode(continuations, special=True)
    longest = len(opening) + max(map(len, endings), default=0)
    if longest > model.window:
        raise Overflow(longest, model.window, model.window)
    check_tokens(len(opening) + sum(map(len, endings)), limits)
    # What has no token says nothing, and is certain to.
    told = [position for position, ending in enumerate(endings) if ending]
    logprobs = [0.0] * len(endings)
    for batch in batches([len(opening) + len(endings[position]) for position in told], _BATCH_TOKENS):
        positions = [told[index] for index in batch]
        rows = [opening + endings[position] for position in positions]
        scores = model.graph.score(rows, len(opening), time_left_s())
        width = scores.dimensions[1]
        values = memoryview(scores.data).cast("B").cast("f")  # [rows * width]
        for row, position in enumerate(positions):
            logprobs[position] = math.fsum(values[row * width : row * width + len(endings[position])])
    return tuple(Scored(logprob, len(ending)) for logprob, ending in zip(logprobs, endings, strict=True))
