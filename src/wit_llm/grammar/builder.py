"""Rules to an automaton: what one rule says next is decided by the next character, or by a rule that it calls."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.automaton import Automaton, State, finished
from wit_llm.grammar.expression import Either, Expression, Listed, Repeat, Rule, Sequence
from wit_llm.grammar.network import MAX_STATES, Limit, Network, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = "root"


def build(rules: Mapping[str, Expression]) -> Automaton:
    """
    What the rule ``root`` derives.

    Rules that come to themselves again are called, and those that ask for it; all others are copied to where they are
    needed.

    Raises:
        InvalidArgument: A rule is not there; nothing can be derived; a rule calls itself before its first character; or
            it takes more states than there may be.
    """
    return _Builder(rules).build()


class _Builder:
    def __init__(self, rules: Mapping[str, Expression]) -> None:
        self._rules = rules
        self._called = _called(rules)
        self._limit = Limit()
        # None is a state whose number is known before what comes after it.
        self._states: list[State | None] = []
        self._starts: dict[str, int] = {}
        self._waiting: list[str] = []

    def build(self) -> Automaton:
        self._start(ROOT)
        for name in self._waiting:
            self._determine(name)
        return finished([state for state in self._states if state is not None], self._starts)

    def _reserve(self) -> int:
        if len(self._states) >= MAX_STATES:
            raise too_large()
        self._states.append(None)
        return len(self._states) - 1

    def _start(self, rule: str) -> int:
        """The first state of a rule."""
        if rule not in self._starts:
            self._starts[rule] = self._reserve()
            self._waiting.append(rule)
        return self._starts[rule]

    def _determine(self, name: str) -> None:
        """The subset construction, of one rule."""
        network = Network(self._rules, self._called, self._limit)
        first, last = network.node(), network.node()
        network.lay(self._rules[name], first, last)
        order = [network.reach([first])]
        numbers = {order[0]: self._start(name)}

        def place(nodes: set[int]) -> int:
            reached = network.reach(nodes)
            if reached not in numbers:
                numbers[reached] = self._reserve()
                order.append(reached)
            return numbers[reached]

        for nodes in order:
            ways = [move for node in nodes for move in network.moves[node]]
            moves = [(low, high, place(after)) for low, high, after in _apart(ways, self._limit)]
            behind: dict[str, set[int]] = {}
            for node in sorted(nodes):
                for rule, after in network.calls[node]:
                    behind.setdefault(rule, set()).add(after)
            calls = tuple((self._start(rule), place(after)) for rule, after in behind.items())
            self._states[numbers[nodes]] = State(last in nodes, _joined(moves), calls)


def _called(rules: Mapping[str, Expression]) -> set[str]:
    """Names of the rules that are called."""
    needed = {name: list(_references(expression)) for name, expression in rules.items()}
    found = {rule.name for references in needed.values() for rule in references if rule.called}
    for name, references in needed.items():
        for rule in references:
            if rule.name not in rules:
                raise InvalidArgument(f"rule {name!r} refers to {rule.name!r}, which is not there")
        seen: set[str] = set()
        stack = [rule.name for rule in references]
        while stack:
            other = stack.pop()
            if other not in seen:
                seen.add(other)
                stack += [rule.name for rule in needed.get(other, ())]
        if name in seen:
            found.add(name)
    return found


def _references(expression: Expression) -> Iterator[Rule]:
    stack = [expression]
    seen: set[int] = set()
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue  # what stands in several places is looked at once
        seen.add(id(one))
        match one:
            case Rule():
                yield one
            case Sequence(items) | Either(items):
                stack += items
            case Repeat(item, _, _, separator):
                stack += [item] if separator is None else [item, separator]
            case Listed(items, separator):
                stack += [separator, *(item for item, _ in items)]


def _apart(moves: list[tuple[int, int, int]], limit: Limit) -> Iterator[tuple[int, int, set[int]]]:
    """Ranges that do not overlap, each with all the nodes that its characters lead to."""
    edges: dict[int, list[tuple[int, int]]] = {}
    for low, high, after in moves:
        edges.setdefault(low, []).append((after, 1))
        edges.setdefault(high + 1, []).append((after, -1))
    ways: dict[int, int] = {}
    for point, following in pairwise(sorted(edges)):
        for after, more in edges[point]:
            ways[after] = ways.get(after, 0) + more
            if not ways[after]:
                del ways[after]
        limit.spend(steps=1 + len(ways))
        if ways:
            yield point, following - 1, set(ways)


def _joined(moves: list[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Neighbours that lead to the same state as one."""
    joined: list[tuple[int, int, int]] = []
    for low, high, after in moves:
        if joined and joined[-1][2] == after and joined[-1][1] + 1 == low:
            joined[-1] = (joined[-1][0], high, after)
        else:
            joined.append((low, high, after))
    return tuple(joined)
