"""Several texts of one call: how many there may be, and which of them the model reads together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import QuotaExceeded, QuotaKind, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wit_llm.limits import Limits


def check_texts(texts: Sequence[str], limits: Limits, *more: str) -> None:
    """
    Look at texts before they are tokenised, and at some more that come along.

    Raises:
        TooLarge: There are too many.
        QuotaExceeded: They have too many bytes, together.
    """
    if len(texts) > limits.texts:
        raise TooLarge(f"{len(texts)} texts in one call; at most {limits.texts} go in")
    if sum(len(text.encode(errors="surrogatepass")) for text in (*texts, *more)) > limits.prompt_bytes:
        raise QuotaExceeded(QuotaKind.PROMPT_BYTES, limits.prompt_bytes)


def check_tokens(count: int, limits: Limits) -> None:
    """
    Look at the tokens of all texts.

    Raises:
        QuotaExceeded: There are too many.
    """
    if count > limits.text_tokens:
        raise QuotaExceeded(QuotaKind.TOKENS_PER_CALL, limits.text_tokens)


def batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """
    Which rows go together: those of about one length, and no more than ``most`` tokens with their padding.

    Args:
        lengths: Of each row.
        most: Tokens of a batch; a longer row is a batch of its own.

    Returns:
        Positions in ``lengths``, each once, the longest rows first.
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > most:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch
