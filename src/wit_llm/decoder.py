"""
Token ids to whole characters, one token at a time.

What a decoder gave, in a row, is exactly what the tokenizer makes of all its tokens at once. Each token costs the same
however long the text already is.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Container


class Decoder(Protocol):
    """One reply on its way from token ids to text; control tokens, and ids that no token has, are nothing."""

    def push(self, token_id: int) -> str:
        """Take a token; returns the characters that are certain now."""

    def flush(self) -> str:
        """Return what is left, bytes that never became a character as U+FFFD; nothing is pushed afterwards."""

    def bytes_of(self, token_id: int) -> bytes:
        """What a token stands for inside a text; a control token stands for its name, and no token for nothing."""


class ByteDecoder:
    """
    For byte-level vocabularies, whose tokens are pieces of UTF-8.

    Args:
        bytes_of: A token's bytes.
        hidden: Tokens that are not shown.
        whole: Bytes that never became a character are nothing.
    """

    def __init__(self, bytes_of: Callable[[int], bytes], hidden: Container[int], *, whole: bool = False) -> None:
        self._bytes_of = bytes_of
        self._hidden = hidden
        self._errors = "ignore" if whole else "replace"
        self._held = b""

    def push(self, token_id: int) -> str:
        """As ``Decoder``."""
        if token_id in self._hidden:
            return ""
        data = self._held + self._bytes_of(token_id)
        text, used = codecs.utf_8_decode(data, self._errors)
        self._held = data[used:]
        return text

    def flush(self) -> str:
        """As ``Decoder``."""
        held, self._held = self._held, b""
        return codecs.utf_8_decode(held, self._errors, True)[0]  # noqa: FBT003 -- C takes no keywords

    def bytes_of(self, token_id: int) -> bytes:
        """As ``Decoder``."""
        return self._bytes_of(token_id)


class WindowDecoder:
    """
    For vocabularies whose tokens are text, with single bytes (``<0xE3>``) for what is in no token.

    A run of bytes is decoded whole, for one wrong byte spoils all of it, so it is held back until the run ends. A token
    is decoded together with the one before, since the first of a text is decoded otherwise than the same inside it.

    Args:
        decode: Text of tokens.
        bytes_of: A token's bytes, inside a text.
        is_byte: Whether a token is a single byte.
        hidden: Tokens that are not shown.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        bytes_of: Callable[[int], bytes],
        is_byte: Callable[[int], bool],
        hidden: Container[int],
    ) -> None:
        self._decode = decode
        self._bytes_of = bytes_of
        self._is_byte = is_byte
        self._hidden = hidden
        self._before: list[int] = []
        self._held: list[int] = []

    def push(self, token_id: int) -> str:
        """As ``Decoder``."""
        if token_id in self._hidden:
            return ""
        self._held.append(token_id)
        return "" if self._is_byte(token_id) else self.flush()

    def flush(self) -> str:
        """As ``Decoder``."""
        shown = len(self._decode(self._before))
        text = self._decode(self._before + self._held)
        self._before, self._held = self._held[-1:] or self._before, []
        return text[shown:]

    def bytes_of(self, token_id: int) -> bytes:
        """As ``Decoder``."""
        return self._bytes_of(token_id)


def _byte_of_character() -> dict[str, int]:
    """Printable characters of Latin-1 stand for themselves, the other bytes for the characters from U+0100 on."""
    themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in themselves]
    return {chr(byte): byte for byte in themselves} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


# Source: ``bytes_to_unicode``, github.com/openai/gpt-2.
BYTE_OF_CHARACTER = _byte_of_character()
