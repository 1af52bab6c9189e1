"""
Grammars in GBNF.

Source: ``grammars/README.md``, github.com/ggml-org/llama.cpp.
"""

from __future__ import annotations

from wit_llm.grammar.expression import ANY, EMPTY, Chars, Either, Expression, Repeat, Rule, Sequence, text
from wit_llm.grammar.reading import Reader

MAX_RULES = 1000
_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def read_grammar(source: str) -> dict[str, Expression]:
    """
    The rules of a grammar, ``root`` among them.

    Raises:
        InvalidArgument: It is no grammar in GBNF, or has too many rules; says where.
        Unsupported: It names tokens; says where.
    """
    return _Grammar("grammar", source).rules()


class _Grammar(Reader):
    def rules(self) -> dict[str, Expression]:
        """All of them."""
        found: dict[str, Expression] = {}
        self._space(lines=True)
        while not self.over:
            at = self.at
            name = self._name()
            if not name:
                raise self.invalid("a rule begins with its name")
            if name in found:
                raise self.invalid(f"rule {name!r} is there twice", at)
            if len(found) == MAX_RULES:
                raise self.invalid(f"there are at most {MAX_RULES} rules", at)
            self._space()
            if not self.take("::="):
                raise self.invalid("'::=' is wanted behind the name of a rule")
            self._space(lines=True)
            found[name] = self._alternatives(inside=False)
            if not self.over and not self.take("\n"):
                raise self.invalid("the end of a rule is wanted")
            self._space(lines=True)
        if "root" not in found:
            raise self.invalid(f"there is no rule 'root'; there are {sorted(found)[:10]}")
        return found

    def _name(self) -> str:
        return self.run(lambda one: (one.isascii() and one.isalnum()) or one in "-_")

    def _space(self, *, lines: bool = False) -> None:
        """Spaces and comments, and where it does no harm ends of lines."""
        while True:
            self.run(lambda one: one in (" \t\r\n" if lines else " \t\r"))
            if not self.peek("#"):
                return
            self.run(lambda one: one != "\n")

    def _alternatives(self, *, inside: bool) -> Expression:
        found = [self._sequence(inside=inside)]
        while self.take("|"):
            self._space(lines=True)
            found.append(self._sequence(inside=inside))
        return found[0] if len(found) == 1 else Either(tuple(found))

    def _sequence(self, *, inside: bool) -> Expression:
        items: list[Expression] = []
        while True:
            item = self._item()
            if item is None:
                break
            self._space(lines=inside)
            items.append(self._repeated(item, inside=inside))
        return items[0] if len(items) == 1 else Sequence(tuple(items)) if items else EMPTY

    def _item(self) -> Expression | None:
        at = self.at
        if self.take('"'):
            return self._literal(at)
        if self.take("["):
            return self._class(at)
        if self.take("("):
            self.deeper()
            self._space(lines=True)
            expression = self._alternatives(inside=True)
            if not self.take(")"):
                raise self.invalid("'(' without ')'", at)
            self.higher()
            return expression
        if self.take("."):
            return ANY
        if self.peek("<") or self.peek("!"):
            raise self.unsupported("a token")
        name = self._name()
        return Rule(name) if name else None

    def _repeated(self, item: Expression, *, inside: bool) -> Expression:
        while True:
            start = self.at
            count = next((count for sign, count in _COUNTS.items() if self.take(sign)), None) or self.count()
            if count is None:
                if self.peek("{"):
                    raise self.invalid("a count is {n}, {n,}, {,m} or {n,m}", start)
                return item
            item = Repeat(item, *count)
            self._space(lines=inside)

    def _literal(self, at: int) -> Expression:
        characters = []
        while not self.take('"'):
            if self.over or self.peek("\n"):
                raise self.invalid("'\"' without another", at)
            characters.append(self._character())
        return text("".join(characters))

    def _class(self, at: int) -> Expression:
        negated = self.take("^")
        ranges = []
        while not self.take("]"):
            if self.over or self.peek("\n"):
                raise self.invalid("'[' without ']'", at)
            low = high = self._character()
            if self.peek("-") and not self.peek("-]"):
                self.next()
                high = self._character()
            if low > high:
                raise self.invalid("a range ends before it begins", at)
            ranges.append((ord(low), ord(high)))
        chars = Chars.of(*ranges)
        return ANY - chars if negated else chars

    def _character(self) -> str:
        at = self.at
        character = self.next()
        if character != "\\":
            return character
        character = self.next()
        escaped = self.escaped(character) if character not in "fv0" else None
        if escaped is not None:
            return escaped
        if character in '"[]\\-^':
            return character
        raise self.invalid(f"'\\{character}' means nothing", at)
