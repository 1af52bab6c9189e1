"""
Text to token ids and back, as a model's ``tokenizer.json`` says; the one place that knows ``tokenizers``.

Texts are encoded by ``encode_batch_fast``, even one alone: it lets other threads run, where ``encode`` holds the GIL
for as long as it takes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import takewhile
from typing import TYPE_CHECKING

from wit_llm.decoder import BYTE_OF_CHARACTER, ByteDecoder, Decoder, WindowDecoder
from wit_llm.errors import InvalidArgument, InvalidEncoding, Unsupported

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer as Engine

_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """
    A token that is looked for in a text before the text is cut up.

    Args:
        text: What it looks like.
        token_id: Its number.
        control: It is never part of what is said, and not shown in a reply.
    """

    text: str
    token_id: int
    control: bool


class Tokenizer:
    """
    A model's tokenizer; any thread may use it.

    Args:
        definition: The text of a ``tokenizer.json``.

    Raises:
        InvalidEncoding: It is something else.
    """

    def __init__(self, definition: str) -> None:
        self._engine = _engine(definition)
        self._bytes_of: dict[int, bytes] = {}

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """
        Read the ``tokenizer.json`` of a folder.

        Raises:
            FileNotFoundError: There is none.
            InvalidEncoding: It is something else.
        """
        try:
            return cls((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except UnicodeDecodeError as exc:
            raise InvalidEncoding(f"tokenizer.json is not UTF-8: {exc.reason} at byte {exc.start}") from exc

    @cached_property
    def vocab_size(self) -> int:
        """Token ids are below it."""
        return 1 + max(self._engine.get_vocab(with_added_tokens=True).values(), default=-1)

    @cached_property
    def added_tokens(self) -> tuple[AddedToken, ...]:
        """Those that can be written, in the order of their ids."""
        added = sorted(self._engine.get_added_tokens_decoder().items())
        return tuple(AddedToken(token.content, token_id, token.special) for token_id, token in added if token.content)

    @cached_property
    def control_tokens(self) -> Mapping[str, int]:
        """Text and id of those that are never part of what is said."""
        return {token.text: token.token_id for token in self.added_tokens if token.control}

    @cached_property
    def rewrites_control(self) -> bool:
        """Whether text may be rewritten, to lower case say, before control tokens are looked for in it."""
        added = self._engine.get_added_tokens_decoder().values()
        return self._engine.normalizer is not None and any(token.normalized for token in added)

    # ------------------------------------------------------------ text to token ids

    def encode(self, text: str, *, special: bool, bos: bool = False) -> list[int]:
        """
        Token ids of a text.

        Args:
            text: Any.
            special: Text that looks like a control token becomes that token.
            bos: What this tokenizer puts before a text is put there.

        Raises:
            InvalidArgument: The text has half a surrogate pair.
        """
        (token_ids,) = self.encode_all([text], special=special)
        return [*self._opening, *token_ids] if bos else token_ids

    def encode_all(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """
        Token ids of each of several texts, in one go.

        Raises:
            InvalidArgument: A text has half a surrogate pair.
        """
        for text in texts:
            _check(text)
        engine = self._engine if special else self._plain_engine
        return [encoding.ids for encoding in engine.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_framed(self, texts: Sequence[str]) -> list[list[int]]:
        """
        Token ids of each of several texts between what this tokenizer puts around one; no text is a control token.

        Raises:
            InvalidArgument: A text has half a surrogate pair.
            Unsupported: The tokenizer numbers the parts of a text otherwise than 0.
        """
        for text in texts:
            _check(text)
        encodings = self._plain_engine.encode_batch_fast(texts, add_special_tokens=True)
        if any(any(encoding.type_ids) for encoding in encodings):
            raise Unsupported("the model's tokenizer has token types other than 0 in a single text")
        return [encoding.ids for encoding in encodings]

    def encode_inside(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """
        Token ids of each of several texts as they are inside a longer one: with no space put before them.

        Raises:
            InvalidArgument: A text has half a surrogate pair.
        """
        alone = self.encode_all(texts, special=special)
        if not self._puts_space_before:
            return alone
        # Encoded behind a character that does not grow together with the text, and that character's ids taken away.
        before = ["." if text.startswith("\n") else "\n" for text in texts]
        heads = dict(zip(".\n", self.encode_all([".", "\n"], special=special), strict=True))
        behind = self.encode_all([head + text for head, text in zip(before, texts, strict=True)], special=special)
        return [
            ids[len(heads[head]) :] if ids[: len(heads[head])] == heads[head] else bare
            for head, ids, bare in zip(before, behind, alone, strict=True)
        ]

    @cached_property
    def _plain_engine(self) -> Engine:
        """The same tokenizer, to which control tokens are text like any other."""
        engine = _engine(self._engine.to_str())
        engine.encode_special_tokens = True
        return engine

    @cached_property
    def _opening(self) -> list[int]:
        """What is put before a text; what some put after one, to end it, is left out."""
        (encoding,) = self._engine.encode_batch(["a"], add_special_tokens=True)
        count = sum(takewhile(bool, encoding.special_tokens_mask))
        return encoding.ids[:count]

    @cached_property
    def _puts_space_before(self) -> bool:
        """SentencePiece vocabularies do, before every text."""
        letter, newline, both = self.encode_all(["a", "\n", "\na"], special=True)
        return both != newline + letter

    # ------------------------------------------------------------ token ids to text

    def decode(self, token_ids: Sequence[int], *, control: bool = True) -> str:
        """
        Text of token ids, broken UTF-8 as U+FFFD.

        Args:
            token_ids: In order.
            control: Control tokens are shown.

        Raises:
            InvalidArgument: An id that no token has.
        """
        for token_id in set(token_ids):
            if not 0 <= token_id < self.vocab_size or self._engine.id_to_token(token_id) is None:
                raise InvalidArgument(f"there is no token {token_id}; token ids are 0 to {self.vocab_size - 1}")
        return self._decode(list(token_ids), skip_special_tokens=not control)

    def spoken(self) -> list[bytes]:
        """What each token adds to a text that it is inside of, by its id; control tokens add nothing."""
        silent = frozenset(self.control_tokens.values())
        return [b"" if token_id in silent else self._bytes(token_id) for token_id in range(self.vocab_size)]

    def held_decoder(self) -> Decoder:
        """
        A decoder for one reply that is held to a constraint: its text is what its tokens say as ``spoken`` has it.

        So it is the same whatever it begins with, and the half of a character where it was cut is not part of it.
        """
        return ByteDecoder(self._bytes, frozenset(self.control_tokens.values()), whole=True)

    def decoder(self, shown: Collection[str] = ()) -> Decoder:
        """
        A decoder for one reply.

        Args:
            shown: Control tokens that are text all the same, because a reader looks for them.
        """
        hidden = frozenset(token_id for text, token_id in self.control_tokens.items() if text not in shown)
        if self._is_byte_level:
            return ByteDecoder(self._bytes, hidden)
        return WindowDecoder(partial(self._decode, skip_special_tokens=False), self._bytes, self._is_byte, hidden)

    def _decode(self, token_ids: list[int], *, skip_special_tokens: bool = True) -> str:
        return str(self._engine.decode(token_ids, skip_special_tokens=skip_special_tokens))

    @cached_property
    def _is_byte_level(self) -> bool:
        state = json.loads(self._engine.decoder.__getstate__()) if self._engine.decoder is not None else {}
        kinds = {step["type"] for step in state.get("decoders", [state]) if step}
        return "ByteLevel" in kinds and kinds <= {"ByteLevel", "Fuse"}

    def _is_byte(self, token_id: int) -> bool:
        return _BYTE_TOKEN.fullmatch(self._engine.id_to_token(token_id) or "") is not None

    def _bytes(self, token_id: int) -> bytes:
        """What a token stands for inside a text; a control token stands for its name, and no token for nothing."""
        found = self._bytes_of.get(token_id)
        if found is None:
            found = self._bytes_of[token_id] = self._new_bytes(token_id, self._engine.id_to_token(token_id) or "")
        return found

    def _new_bytes(self, token_id: int, name: str) -> bytes:
        if self._is_byte_level:
            # An added token with a character outside the alphabet of bytes is written as it is.
            spelled = all(character in BYTE_OF_CHARACTER for character in name)
            return bytes(BYTE_OF_CHARACTER[character] for character in name) if spelled else name.encode()
        if self._is_byte(token_id):
            return bytes.fromhex(name[3:5])
        if not name or name in self.control_tokens:
            return name.encode()
        # The second of two is decoded as it is inside a text.
        alone = self._decode([token_id])
        return self._decode([token_id, token_id])[len(alone) :].encode()


def _engine(definition: str) -> Engine:
    import tokenizers

    try:
        engine = tokenizers.Tokenizer.from_str(definition)
    except Exception as exc:  # the library raises no other class
        raise InvalidEncoding(f"tokenizer.json is not a tokenizer: {exc}") from exc
    # Some files carry the settings of a training run, which would cut texts off in silence.
    engine.no_truncation()
    engine.no_padding()
    return engine


def _check(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidArgument(f"a text has half a surrogate pair at character {exc.start}") from exc
