"""What the tokens of a model folder say, for replies under a constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import InvalidEncoding, OperatorError
from wit_llm.grammar.matcher import Vocabulary
from wit_llm.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def read_vocabulary(folder: Path, size: int) -> Vocabulary | None:
    """
    The vocabulary of ``tokenizer.json``; none where there is no such file.

    Args:
        folder: Of the model.
        size: Of its logits.

    Raises:
        OperatorError: It is no tokenizer.
    """
    if not (folder / "tokenizer.json").is_file():
        return None
    try:
        return Vocabulary(Tokenizer.load(folder).spoken(), size)
    except InvalidEncoding as error:
        raise OperatorError(f"{folder}: {error}") from error
