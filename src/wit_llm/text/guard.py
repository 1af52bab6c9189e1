"""
Control tokens that a guest wrote out stay text; only the chat template writes control tokens.

Into the template go the guest's texts with each character that is, or with the right text beside it would be, part of a
control token replaced by a stand-in: a private-use character that nothing else of the conversation has. The template
trims, moves and joins stand-ins like any characters. In what comes out they tell which control tokens a guest wrote,
whole or in part; those are cut out and encoded apart, as plain text. Where there is none, all is encoded in one.

A template that itself looks for control tokens in a message does not find them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wit_llm.tokenizer import Tokenizer

Span = tuple[int, int]
Tree = dict[str, "Tree"]

# Characters searched at once, for ``re`` holds the GIL meanwhile.
STRIDE = 1 << 18

_PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE), range(0xE000, 0xF900))
_UNHEARD_OF = "\U0010fffd"
_ANY_PRIVATE = re.compile("[" + "".join(f"{chr(codes[0])}-{chr(codes[-1])}" for codes in _PRIVATE) + "]")


@dataclass(frozen=True, slots=True)
class Rendered:
    """
    A conversation as one text.

    Args:
        text: As the model is to see it.
        plain: Start and end of each control token that a guest wrote out.
        reasons: The model goes on inside its reasoning.
    """

    text: str
    plain: tuple[Span, ...] = ()
    reasons: bool = False


class StandIns:
    """
    Characters that stand for others in one rendering.

    Args:
        texts: All that goes into it.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        used = {character for text in texts for character in _ANY_PRIVATE.findall(text)}
        self._free = (chr(code) for codes in _PRIVATE for code in codes if chr(code) not in used)
        self._of: dict[int, str] = {}

    def fresh(self) -> str:
        """
        A character that is in no text.

        Raises:
            InvalidArgument: The texts have them all.
        """
        character = next(self._free, None)
        if character is None:
            raise InvalidArgument("the messages have every private-use character; one must be free to render them")
        return character

    def hide(self, text: str, spans: Iterable[Span]) -> str:
        """The text with stand-ins in the spans, which are in order and apart."""
        pieces, at = [], 0
        for start, end in spans:
            for code in {*map(ord, text[start:end])}.difference(self._of):
                self._of[code] = self.fresh()
            pieces += [text[at:start], text[start:end].translate(self._of)]
            at = end
        return "".join([*pieces, text[at:]])

    def show(self, text: str) -> tuple[str, list[Span]]:
        """The text without stand-ins, and where they were, in order."""
        back = {ord(stand_in): code for code, stand_in in self._of.items()}
        if not back:
            return text, []
        runs = re.compile(f"[{''.join(self._of.values())}]+")
        return runs.sub(lambda run: run[0].translate(back), text), [run.span() for run in runs.finditer(text)]


class Guard:
    """
    The control tokens of one template, and what to do where a guest writes them out.

    Args:
        tokenizer: The model's.
        control: Text and id of each.
    """

    def __init__(self, tokenizer: Tokenizer, control: Mapping[str, int]) -> None:
        self._tokenizer = tokenizer
        # What a vocabulary has no token for may become a control token called unknown, which says nothing.
        self._ids = frozenset(control.values()).difference(tokenizer.encode(_UNHEARD_OF, special=False))
        self._texts = tuple(control)
        self._any = re.compile(_pattern_of(control))
        self._longest = max(map(len, control), default=1)
        self._beginnings = {text[:size] for text in control for size in range(1, len(text))}
        self._endings = {text[-size:] for text in control for size in range(1, len(text))}

    def find(self, text: str) -> Iterator[Span]:
        """Each control token written out in a text: leftmost first, of several there the longest, as tokenizers do."""
        at = 0
        while at < len(text):
            found = self._any.search(text, at, at + STRIDE + self._longest)
            if found is None or found.start() >= at + STRIDE:
                at += STRIDE
            else:
                yield found.span()
                at = found.end()

    def risks(self, text: str) -> list[Span]:
        """
        What of a guest's text is a control token, or could be a piece of one with the right text beside it.

        Spaces around the text do not count, as a template may trim them away.
        """
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        if 0 < end - start < self._longest and any(text[start:end] in control for control in self._texts):
            return [(start, end)]
        sizes = range(min(self._longest, end - start), 0, -1)
        head = next((size for size in sizes if text[start : start + size] in self._endings), 0)
        tail = next((size for size in sizes if text[end - size : end] in self._beginnings), 0)
        spans = sorted([(start, start + head), *self.find(text), (end - tail, end)])
        return _joined([span for span in spans if span[0] < span[1]])

    def judge(self, rendering: str, stand_ins: StandIns) -> Rendered:
        """What a template made of texts with stand-ins."""
        text, hidden = stand_ins.show(rendering)
        return Rendered(text, tuple(_touched(self.find(text), hidden)) if hidden else ())

    def encode(self, rendered: Rendered) -> list[int]:
        """
        Token ids of a conversation.

        Raises:
            InvalidArgument: The tokenizer makes a control token of other text than the token's own.
        """
        if rendered.plain:
            token_ids = self._encode_apart(rendered)
        else:
            token_ids = self._tokenizer.encode(rendered.text, special=True)
        if rendered.plain or self._tokenizer.rewrites_control:
            wanted = sum(1 for _ in self.find(rendered.text)) - len(rendered.plain)
            if sum(token_id in self._ids for token_id in token_ids) > wanted:
                raise InvalidArgument("a message has text that the model's tokenizer takes for a control token")
        return token_ids

    def _encode_apart(self, rendered: Rendered) -> list[int]:
        pieces, at = [], 0
        for start, end in rendered.plain:
            pieces += [(rendered.text[at:start], True), (rendered.text[start:end], False)]
            at = end
        first, *rest = [piece for piece in [*pieces, (rendered.text[at:], True)] if piece[0]]
        # A text may hold the same control token a million times.
        templates = list({text for text, special in rest if special})
        token_ids = dict(zip(templates, self._tokenizer.encode_inside(templates, special=True), strict=True))
        plain = {text: self._encode_plain(text) for text in {text for text, special in rest if not special}}
        opening = self._tokenizer.encode(first[0], special=True) if first[1] else self._encode_plain(first[0])
        return [*opening, *chain.from_iterable((token_ids if special else plain)[text] for text, special in rest)]

    def _encode_plain(self, text: str) -> list[int]:
        """Token ids of a control token's text, in smaller pieces where the whole would still be the token."""
        (token_ids,) = self._tokenizer.encode_inside([text], special=False)
        if self._ids.isdisjoint(token_ids):
            return token_ids
        if len(text) == 1:
            raise InvalidArgument(f"a message has {text!r}, which the model's tokenizer knows as a control token only")
        return self._encode_plain(text[:1]) + self._encode_plain(text[1:])


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Ordered spans with those that touch made one."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _touched(spans: Iterable[Span], others: Iterable[Span]) -> Iterator[Span]:
    """The spans that one of the others reaches into; both are in order."""
    others = iter(others)
    other = next(others, None)
    for start, end in spans:
        while other is not None and other[1] <= start:
            other = next(others, None)
        if other is not None and other[0] < end:
            yield start, end


def _pattern_of(words: Iterable[str]) -> str:
    """
    A pattern for any of some words, the longest of several.

    It is a tree of their letters, so that a text full of their beginnings takes no longer than another.
    """
    root: Tree = {}
    for word in words:
        node = root
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _branches(root) or "(?!)"


def _branches(node: Tree) -> str:
    branches = [re.escape(letter) + _branches(below) for letter, below in node.items() if letter]
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)}){'?' if '' in node else ''}"
