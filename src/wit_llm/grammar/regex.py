r"""
Regular expressions, in what ECMA-262 and Python's ``re`` have in common and mean alike.

``\d``, ``\w``, ``\s`` and what they leave out are of ASCII, and ``.`` is no end of a line, so that what is said matches
by either.
"""

from __future__ import annotations

from typing import NamedTuple

from wit_llm.grammar.expression import ANY, Chars, Either, Expression, Repeat, Sequence
from wit_llm.grammar.reading import Reader

_ASCII = Chars.of((0, 0x7F))
_BEYOND = ANY - _ASCII
_SPACES = Chars.one_of(" \t\n\r\f\v")
# What one of the two counts as white space, and the other may not.
_DOUBTFUL_SPACES = Chars.of((0x1C, 0x1F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)) | Chars.of(
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)
)
_DOT = ANY - Chars.one_of("\n\r\u2028\u2029")
_EXACT_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_GROUPS_UNSUPPORTED = {
    "?=": "look-ahead",
    "?!": "look-ahead",
    "?<=": "look-behind",
    "?<!": "look-behind",
    "?P=": "a back-reference",
    "?>": "an atomic group",
    "?(": "a condition",
    "?#": "a comment",
}


class _Set(NamedTuple):
    """Characters that are meant for certain, and those that might be: what a negation leaves out."""

    sure: Chars
    maybe: Chars

    def inverted(self) -> _Set:
        return _Set(ANY - self.maybe, ANY - self.sure)

    @classmethod
    def joined(cls, sets: list[_Set]) -> _Set:
        sure, maybe = ([one for chars in sides for one in chars.ranges] for sides in zip(*sets, strict=True))
        return cls(Chars.of(*sure), Chars.of(*maybe))


def _exactly(chars: Chars) -> _Set:
    return _Set(chars, chars)


_DIGITS = Chars.of((0x30, 0x39))
_WORDS = _DIGITS | Chars.of((0x41, 0x5A), (0x61, 0x7A), (0x5F, 0x5F))
_CLASSES = {
    "d": _Set(_DIGITS, _DIGITS | _BEYOND),
    "w": _Set(_WORDS, _WORDS | _BEYOND),
    "s": _Set(_SPACES, _SPACES | _DOUBTFUL_SPACES),
}
_CLASSES |= {name.upper(): chars.inverted() for name, chars in _CLASSES.items()}


def read_regex(pattern: str, *, whole: bool = True) -> Expression:
    """
    What a pattern matches.

    Args:
        pattern: The expression.
        whole: All of a text matches, with or without ``^`` and ``$``; or else any part of it does.

    Raises:
        InvalidArgument: It is no regular expression, or too long; says where.
        Unsupported: Look-around, back-references and whatever else is more than characters in a row; says where.
    """
    reader = _Pattern("regex" if whole else "pattern", pattern)
    expression = reader.alternatives(whole=whole, outermost=True)
    if not reader.over:
        raise reader.invalid("')' without '('")
    return expression


class _Pattern(Reader):
    def alternatives(self, *, whole: bool, outermost: bool = False) -> Expression:
        """What stands between ``|``."""
        found = [self._sequence(whole=whole, outermost=outermost)]
        while self.take("|"):
            found.append(self._sequence(whole=whole, outermost=outermost))
        return found[0] if len(found) == 1 else Either(tuple(found))

    def _sequence(self, *, whole: bool, outermost: bool) -> Expression:
        items: list[Expression] = []
        anything = Repeat(ANY)
        anchored = outermost and self.take("^")
        if outermost and not whole and not anchored:
            items.append(anything)
        while not self.over and not self.peek("|") and not self.peek(")"):
            if outermost and self.take("$"):
                if not (self.over or self.peek("|")):
                    raise self.unsupported("'$' before the end", self.at - 1)
                return Sequence(tuple(items))
            items.append(self._repeated(self._atom()))
        if outermost and not whole:
            items.append(anything)
        return Sequence(tuple(items)) if len(items) != 1 else items[0]

    def _repeated(self, item: Expression) -> Expression:
        at = self.at
        if self.peek("{,"):
            raise self.invalid("a count begins with a number")
        count = next((count for sign, count in _EXACT_COUNTS.items() if self.take(sign)), None) or self.count()
        if count is None:
            return item
        self.take("?")  # the shortest or the longest first: what matches as a whole is the same
        if self.take("+"):
            raise self.unsupported("a possessive quantifier", at)
        if any(map(self.peek, _EXACT_COUNTS)):
            raise self.invalid("a quantifier behind a quantifier")
        return Repeat(item, *count)

    def _atom(self) -> Expression:
        at = self.at
        character = self.next()
        match character:
            case "(":
                return self._group(at)
            case "[":
                return self._class(at)
            case ".":
                return _DOT
            case "\\":
                return self._escape(at, in_class=False).sure
            case "*" | "+" | "?":
                raise self.invalid(f"there is nothing for {character!r} to repeat", at)
            case "^" | "$":
                raise self.unsupported(f"{character!r} inside", at)
            case "{" if self._is_count(at):
                raise self.invalid("there is nothing for a count to repeat", at)
        return Chars.one_of(character)

    def _is_count(self, at: int) -> bool:
        self.at = at
        found = self.count() is not None
        self.at = at + 1
        return found

    def _group(self, at: int) -> Expression:
        self.deeper()
        if self.peek("?"):
            for sign, thing in _GROUPS_UNSUPPORTED.items():
                if self.peek(sign):
                    raise self.unsupported(thing, at)
            if self.take("?P<") or self.take("?<"):
                if not self.run(lambda one: one.isalnum() or one == "_") or not self.take(">"):
                    raise self.invalid("a group has a name of letters and digits", at)
            elif not self.take("?:"):
                raise self.unsupported("a flag", at)
        expression = self.alternatives(whole=True)
        if not self.take(")"):
            raise self.invalid("'(' without ')'", at)
        self.higher()
        return expression

    def _class(self, at: int) -> Expression:
        negated = self.take("^")
        members: list[_Set] = []
        while not members or not self.peek("]"):
            if self.over or self.peek("]"):
                raise self.invalid("'[' without ']', or an empty class", at)
            members.append(self._member())
        self.next()
        found = _Set.joined(members)
        return (found.inverted() if negated else found).sure

    def _member(self) -> _Set:
        """A character of a class, a range or a class by a letter."""
        at = self.at
        low = self._one()
        if not self.peek("-") or self.peek("-]"):
            return low
        self.next()
        high = self._one()
        ends = [_only(one) for one in (low, high)]
        if ends[0] is None or ends[1] is None:
            raise self.invalid("a range goes from character to character", at)
        if ends[0] > ends[1]:
            raise self.invalid("a range ends before it begins", at)
        return _exactly(Chars.of((ends[0], ends[1])))

    def _one(self) -> _Set:
        at = self.at
        character = self.next()
        if character == "\\":
            return self._escape(at, in_class=True)
        if character == "[" and (self.peek(":") or self.peek("=")):
            raise self.unsupported("a class of POSIX", at)
        return _exactly(Chars.one_of(character))

    def _escape(self, at: int, *, in_class: bool) -> _Set:
        character = self.next()
        if character in _CLASSES:
            return _CLASSES[character]
        if in_class and character == "b":
            return _exactly(Chars.one_of("\b"))
        if character == "0" and not self.over and self.peek("0"):
            raise self.unsupported("an octal number", at)
        escaped = self.escaped(character) if character != "U" else None
        if escaped is not None:
            return _exactly(Chars.one_of(escaped))
        if character in "123456789k":
            raise self.unsupported("a back-reference", at)
        if character in "bBAZzG":
            raise self.unsupported(f"'\\{character}'", at)
        if character in "pP":
            raise self.unsupported("a class of Unicode", at)
        if character.isalnum():
            raise self.invalid(f"'\\{character}' means nothing", at)
        return _exactly(Chars.one_of(character))


def _only(chars: _Set) -> int | None:
    """The code point where there is just one."""
    ranges = chars.sure.ranges
    return ranges[0][0] if chars.sure == chars.maybe and len(ranges) == 1 and ranges[0][0] == ranges[0][1] else None
