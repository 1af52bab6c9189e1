"""Rules to an automaton: what one rule says next is decided by the next character, or by a rule that it calls."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.automaton import Automaton, Call, State, finished, first_characters, nullable_states
from wit_llm.grammar.expression import Either, Expression, Listed, Repeat, Rule
from wit_llm.grammar.expression import Sequence as Row
from wit_llm.grammar.network import MAX_STATES, Limit, Network, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

ROOT = "root"
_COUNTED_ONE_BY_ONE = 256
_COUNTED_AT_ONCE = 64


def build(rules: Mapping[str, Expression]) -> Automaton:
    """
    What the rule ``root`` derives.

    Rules that come to themselves again are called, and those that ask for it; all others are copied to where they are
    needed.

    Raises:
        InvalidArgument: A rule is not there; nothing can be derived; a rule calls itself before its first character; or
            it takes more states than there may be.
    """
    limit = Limit()
    copied: set[Expression] = set()
    while True:
        builder = _Builder(rules, copied, limit)
        found = builder.build()
        if not builder.ambiguous:
            return found
        copied |= builder.ambiguous


class _Builder:
    """
    Makes the states.

    Args:
        rules: As ``build``.
        copied: What is not to be counted.
        limit: Of the work.
    """

    def __init__(self, rules: Mapping[str, Expression], copied: AbstractSet[Expression], limit: Limit) -> None:
        self._rules = dict(rules)
        self._called = _called(rules)
        self._copied = copied
        self._limit = limit
        # None is a state whose number is known before what comes after it.
        self._states: list[State | None] = []
        self._starts: dict[str, int] = {}
        self._waiting: list[str] = []
        # Rules of what is counted, by what they say.
        self._counted: dict[Expression, str] = {}
        # What was counted and cannot be, as its characters do not tell where it ends.
        self.ambiguous: set[Expression] = set()

    def build(self) -> Automaton:
        """All of them."""
        self._start(ROOT)
        for name in self._waiting:
            self._determine(name)
        states = [state for state in self._states if state is not None]
        self._find_ambiguous(states)
        if len(states) + _counting(states) > MAX_STATES:
            raise too_large()
        return finished(states, self._starts)

    def _count(self, unit: Expression) -> str | None:
        if unit in self._copied:
            return None
        name = self._counted.setdefault(unit, f"item {len(self._counted)}")
        self._rules[name] = unit
        self._called.add(name)
        return name

    def _find_ambiguous(self, states: Sequence[State]) -> None:
        nullable = nullable_states(states)
        starts = {self._starts[name]: unit for unit, name in self._counted.items() if name in self._starts}
        whole = ROOT not in self._called
        root = self._reached(states, self._starts[ROOT])
        for number, state in enumerate(states):
            for call in state.calls:
                if call.rule not in starts:
                    continue
                others = replace(state, calls=tuple(other for other in state.calls if other is not call))
                begins = first_characters(states, nullable, call.rule) & first_characters(
                    [*states, others], [*nullable, False], len(states)
                )
                known = not nullable[call.after] or (whole and number in root)
                if begins.ranges or not known or not self._tells(states, nullable, call):
                    self.ambiguous.add(starts[call.rule])

    def _reached(self, states: Sequence[State], start: int) -> set[int]:
        """States of one rule."""
        waiting, seen = [start], {start}
        for number in waiting:
            near = [move[2] for move in states[number].moves] + [call.after for call in states[number].calls]
            waiting += [one for one in dict.fromkeys(near) if one not in seen]
            seen.update(near)
        return seen

    def _tells(self, states: Sequence[State], nullable: Sequence[bool], call: Call) -> bool:
        """Whether the next character tells if what is counted goes on, comes again or is over."""
        again = first_characters(states, nullable, call.rule)
        over = first_characters(states, nullable, call.after)
        if nullable[call.rule] or (call.low < call.high and (again & over).ranges):
            return False
        rules, seen = [call.rule], {call.rule}
        for rule in rules:
            for number in self._reached(states, rule):
                if states[number].accepts and (first_characters(states, nullable, number) & (again | over)).ranges:
                    return False
                # A rule with which this one ends, too.
                ending = [inner.rule for inner in states[number].calls if nullable[inner.after]]
                rules += [one for one in dict.fromkeys(ending) if one not in seen]
                seen.update(ending)
        return True

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
        network = Network(self._rules, self._called, self._count, self._limit)
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
            behind: dict[tuple[str, int, int], set[int]] = {}
            for node in sorted(nodes):
                for rule, after, low, high in network.calls[node]:
                    behind.setdefault((rule, low, high), set()).add(after)
            calls = tuple(
                Call(self._start(rule), place(after), low, high) for (rule, low, high), after in behind.items()
            )
            self._states[numbers[nodes]] = State(last in nodes, _joined(moves), calls)


def _counting(states: Sequence[State]) -> int:
    """What counting takes, in states: less than one for each time."""
    calls = {(call.rule, call.low, call.high) for state in states for call in state.calls if call.high > 1}
    most: dict[int, int] = {}
    for rule, _, high in calls:
        most[rule] = max(most.get(rule, 0), high)
    return sum(min(high, _COUNTED_ONE_BY_ONE) for high in most.values()) + sum(
        min(low, _COUNTED_ONE_BY_ONE) + high // _COUNTED_AT_ONCE for _, low, high in calls
    )


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
            case Row(items) | Either(items):
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
