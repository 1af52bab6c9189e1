"""An expression as nodes with ways between them, of which several may begin alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.expression import EMPTY, Chars, Either, Expression, Listed, Repeat, Rule, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

MAX_STATES = 4096
_MAX_NODES = 50_000
_MAX_STEPS = 400_000
# As often as that, or less, there is a copy for each time.
FEW = 4


class Limit:
    """Work that is left to be done for one constraint, a second or so in all."""

    def __init__(self) -> None:
        self._nodes = _MAX_NODES
        self._steps = _MAX_STEPS

    def spend(self, *, nodes: int = 0, steps: int = 0) -> None:
        """
        Do some of it.

        Raises:
            InvalidArgument: None is left.
        """
        self._nodes -= nodes
        self._steps -= steps
        if self._nodes < 0 or self._steps < 0:
            raise too_large()


def too_large() -> InvalidArgument:
    """The error of a constraint that takes too much."""
    return InvalidArgument(
        f"the constraint is too large: it takes more than {MAX_STATES} states or too long to prepare; "
        "smaller counts, and fewer or shorter alternatives, take less"
    )


class Network:
    """
    Nodes, with ways of characters, of calls and of nothing.

    Args:
        rules: Those that are not called are copied in.
        called: Names of those that are.
        counted: The name of a rule that says one of some that are counted; none where each has to be laid.
        limit: Of the work.

    Source: K. Thompson, "Regular expression search algorithm", CACM 11 (1968).
    """

    def __init__(
        self,
        rules: Mapping[str, Expression],
        called: Collection[str],
        counted: Callable[[Expression], str | None],
        limit: Limit,
    ) -> None:
        self._rules = rules
        self._called = called
        self._counted = counted
        self._limit = limit
        self._free: list[list[int]] = []
        self.moves: list[list[tuple[int, int, int]]] = []
        # Each with the name of the rule, what comes after it, and how often it is there.
        self.calls: list[list[tuple[str, int, int, int]]] = []

    def node(self) -> int:
        """A new one."""
        self._limit.spend(nodes=1)
        self._free.append([])
        self.moves.append([])
        self.calls.append([])
        return len(self._free) - 1

    def lay(self, expression: Expression, start: int, end: int) -> None:
        """Ways from one node to another that say the expression."""
        match expression:
            case Chars(ranges):
                self._limit.spend(steps=len(ranges))
                self.moves[start] += [(low, high, end) for low, high in ranges]
            case Sequence(items):
                self._sequence(items, start, end)
            case Either(items):
                for item in items:
                    first = self.node()
                    self._free[start].append(first)
                    self.lay(item, first, end)
            case Repeat():
                self._repeat(expression, start, end)
            case Listed():
                self._listed(expression, start, end)
            case Rule(name) if name in self._called:
                self.calls[start].append((name, end, 1, 1))
            case Rule(name):
                self.lay(self._rules[name], start, end)

    def _sequence(self, items: tuple[Expression, ...], start: int, end: int) -> None:
        for item in items:
            start = self._next(item, start)
        self._free[start].append(end)

    def _repeat(self, repeat: Repeat, start: int, end: int) -> None:
        """A rule that is counted, or one copy for each time; and one more for all times that are not counted."""
        unit = repeat.item if repeat.separator is None else Sequence((repeat.separator, repeat.item))
        if max(repeat.low, repeat.high or 0) > FEW and (name := self._counted(unit)) is not None:
            self._count(name, repeat, unit, start, end)
        else:
            self._copy(repeat, start, end)

    def _count(self, name: str, repeat: Repeat, unit: Expression, start: int, end: int) -> None:
        low, high = repeat.low, repeat.high
        if not low:
            self._free[start].append(end)
        if repeat.separator is not None:
            start = self._next(repeat.item, start)
            low, high = low - 1, None if high is None else high - 1
            if low <= 0:
                self._free[start].append(end)
        if high is not None:
            self.calls[start].append((name, end, max(low, 1), high))
            return
        again = self.node()
        self.calls[start].append((name, again, low, low))
        self._free[self._next(unit, again)].append(again)
        self._free[again].append(end)

    def _copy(self, repeat: Repeat, start: int, end: int) -> None:
        separator = EMPTY if repeat.separator is None else repeat.separator
        counted = max(repeat.low - 1, 0) if repeat.high is None else repeat.high
        for number in range(counted):
            if number >= repeat.low:
                self._free[start].append(end)
            start = self._next(repeat.item, self._next(separator, start) if number else start)
        if repeat.high is not None:
            self._free[start].append(end)
            return
        if not repeat.low:
            self._free[start].append(end)
        before = self.node()
        self.lay(separator if counted else EMPTY, start, before)
        behind = self._next(repeat.item, before)
        self.lay(separator, behind, before)
        self._free[behind].append(end)

    def _next(self, expression: Expression, start: int) -> int:
        between = self.node()
        self.lay(expression, start, between)
        return between

    def _listed(self, listed: Listed, start: int, end: int) -> None:
        """Two ways side by side: one on which nothing was there yet, and one that needs a separator."""
        bare, behind = start, self.node()
        for item, required in listed.items:
            before, bare_next, behind_next = self.node(), self.node(), self.node()
            self._free[bare].append(before)
            self.lay(listed.separator, behind, before)
            self.lay(item, before, behind_next)
            if not required:
                self._free[bare].append(bare_next)
                self._free[behind].append(behind_next)
            bare, behind = bare_next, behind_next
        self._free[bare].append(end)
        self._free[behind].append(end)

    def reach(self, nodes: Iterable[int]) -> frozenset[int]:
        """Of these, and of all that they lead to for nothing, those where something begins or nothing follows."""
        stack = list(nodes)
        found = set(stack)
        while stack:
            for after in self._free[stack.pop()]:
                if after not in found:
                    found.add(after)
                    stack.append(after)
        self._limit.spend(steps=len(found))
        return frozenset(node for node in found if self.moves[node] or self.calls[node] or not self._free[node])
