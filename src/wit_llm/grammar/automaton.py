"""The one form that every constraint takes: states, characters between them, and calls of rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.expression import Chars

if TYPE_CHECKING:
    from collections.abc import Sequence


class Call(NamedTuple):
    """
    A rule inside a rule, once or several times in a row.

    Args:
        rule: Its first state.
        after: The state that comes when it has ended for the last time.
        low: How often it is there, at least once.
        high: At most. Where it is not once, characters alone tell whether it goes on, comes again or is over.
    """

    rule: int
    after: int
    low: int = 1
    high: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """
    A place in a rule.

    Args:
        accepts: The rule may end here.
        moves: First and last code point, and the state that comes after one of these; ranges do not overlap.
        calls: Rules that may come here.
    """

    accepts: bool
    moves: tuple[tuple[int, int, int], ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def ends(self) -> bool:
        """Nothing comes after it in its rule."""
        return self.accepts and not self.moves and not self.calls


@dataclass(frozen=True, slots=True)
class Automaton:
    """
    What a reply may say.

    From each state there is a way to an end, and no rule calls itself before its first character.

    Args:
        states: A reply begins in the first.
    """

    states: tuple[State, ...]

    @property
    def counted(self) -> dict[int, list[Call]]:
        """Rules that are there several times in a row, each with its calls."""
        found: dict[int, list[Call]] = {}
        for state in self.states:
            for call in state.calls:
                if call.high > 1:
                    found.setdefault(call.rule, []).append(call)
        return found

    @property
    def open_states(self) -> int:
        """How many states lead to others by many characters, about: what takes an engine time to prepare."""
        counted = sum(_COUNTED_COST for rule in self.counted if is_wide(self.states, rule))
        return counted + sum(_is_open(number, state) for number, state in enumerate(self.states))


_MANY_CHARACTERS = 16
# How many ways there are to say one of some that are counted, by how many are left.
_COUNTED_COST = 17


def _is_open(number: int, state: State) -> bool:
    return sum(high - low + 1 for low, high, after in state.moves if after != number) > _MANY_CHARACTERS


def is_wide(states: Sequence[State], rule: int) -> bool:
    """Whether many characters are all that a rule says: of those that are counted a token may have many."""
    return sum(high - low + 1 for low, high, after in states[rule].moves if states[after].accepts) > _MANY_CHARACTERS


def first_characters(states: Sequence[State], nullable: Sequence[bool], number: int) -> Chars:
    """What may come next in a state, of its rule and of those that it calls."""
    ranges: list[tuple[int, int]] = []
    waiting, seen = [number], {number}
    for one in waiting:
        ranges += [(low, high) for low, high, _ in states[one].moves]
        near = [rule for rule, *_ in states[one].calls]
        near += [after for rule, after, *_ in states[one].calls if nullable[rule]]
        waiting += [other for other in dict.fromkeys(near) if other not in seen]
        seen.update(near)
    return Chars.of(*ranges)


def finished(states: Sequence[State], rules: dict[str, int]) -> Automaton:
    """
    The automaton of states of which some may lead nowhere.

    Args:
        states: The first is where a reply begins.
        rules: Names of rules by their first states, for messages.

    Raises:
        InvalidArgument: Nothing can be said, or a rule calls itself before its first character.
    """
    useful = _useful(states)
    if not useful[0]:
        raise InvalidArgument("nothing satisfies the constraint")
    pruned = [
        State(
            state.accepts,
            tuple(move for move in state.moves if useful[move[2]]),
            tuple(call for call in state.calls if useful[call.rule] and useful[call.after]),
        )
        for state in states
    ]
    _check_left_recursion(pruned, {start: name for name, start in rules.items()})
    return Automaton(_reached(pruned))


def _useful(states: Sequence[State]) -> list[bool]:
    """Whether each state leads to an end."""
    useful = [state.accepts for state in states]
    changed = True
    while changed:
        changed = False
        for number in range(len(states) - 1, -1, -1):
            state = states[number]
            if not useful[number] and (
                any(useful[after] for _, _, after in state.moves)
                or any(useful[call.rule] and useful[call.after] for call in state.calls)
            ):
                useful[number] = changed = True
    return useful


def nullable_states(states: Sequence[State]) -> list[bool]:
    """Whether a rule may end in each state or after it without another character."""
    nullable = [state.accepts for state in states]
    changed = True
    while changed:
        changed = False
        for number, state in enumerate(states):
            if not nullable[number] and any(nullable[call.rule] and nullable[call.after] for call in state.calls):
                nullable[number] = changed = True
    return nullable


def _check_left_recursion(states: Sequence[State], names: dict[int, str]) -> None:
    nullable = nullable_states(states)
    # What can be next to each state without a character: the rule that it calls, and what follows an empty one.
    near = [
        [call.rule for call in state.calls] + [call.after for call in state.calls if nullable[call.rule]]
        for state in states
    ]
    done: set[int] = set()
    for start in range(len(states)):
        path: list[int] = []
        inside: set[int] = set()
        stack = [(start, False)]
        while stack:
            number, left = stack.pop()
            if left:
                inside.discard(path.pop())
                done.add(number)
            elif number in inside:
                name = next((names[one] for one in reversed([*path, number]) if one in names), "root")
                raise InvalidArgument(f"rule {name!r} calls itself before its first character (left recursion)")
            elif number not in done:
                path.append(number)
                inside.add(number)
                stack.append((number, True))
                stack += [(after, False) for after in near[number]]


def _reached(states: Sequence[State]) -> tuple[State, ...]:
    """Those that are reached from the first, numbered anew."""
    number_of = {0: 0}
    order = [0]
    for number in order:
        state = states[number]
        for after in (*(move[2] for move in state.moves), *(one for call in state.calls for one in call[:2])):
            if after not in number_of:
                number_of[after] = len(order)
                order.append(after)
    return tuple(
        State(
            states[number].accepts,
            tuple((low, high, number_of[after]) for low, high, after in states[number].moves),
            tuple(
                call._replace(rule=number_of[call.rule], after=number_of[call.after]) for call in states[number].calls
            ),
        )
        for number in order
    )
