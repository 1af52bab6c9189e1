"""The one form that every constraint takes: states, characters between them, and calls of rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class State:
    """
    A place in a rule.

    Args:
        accepts: The rule may end here.
        moves: First and last code point, and the state that comes after one of these; ranges do not overlap.
        calls: First state of a rule, and the state that comes when that rule has ended.
    """

    accepts: bool
    moves: tuple[tuple[int, int, int], ...] = ()
    calls: tuple[tuple[int, int], ...] = ()

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
    def open_states(self) -> int:
        """How many states lead to others by many characters: what takes an engine time to prepare."""
        return sum(_is_open(number, state) for number, state in enumerate(self.states))


_MANY_CHARACTERS = 16


def _is_open(number: int, state: State) -> bool:
    return sum(high - low + 1 for low, high, after in state.moves if after != number) > _MANY_CHARACTERS


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
            tuple(call for call in state.calls if useful[call[0]] and useful[call[1]]),
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
                or any(useful[rule] and useful[after] for rule, after in state.calls)
            ):
                useful[number] = changed = True
    return useful


def _nullable(states: Sequence[State]) -> list[bool]:
    """Whether a rule may end in each state or after it without another character."""
    nullable = [state.accepts for state in states]
    changed = True
    while changed:
        changed = False
        for number, state in enumerate(states):
            if not nullable[number] and any(nullable[rule] and nullable[after] for rule, after in state.calls):
                nullable[number] = changed = True
    return nullable


def _check_left_recursion(states: Sequence[State], names: dict[int, str]) -> None:
    nullable = _nullable(states)
    # What can be next to each state without a character: the rule that it calls, and what follows an empty one.
    near = [
        [rule for rule, _ in state.calls] + [after for rule, after in state.calls if nullable[rule]] for state in states
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
        for after in (*(move[2] for move in state.moves), *(one for call in state.calls for one in call)):
            if after not in number_of:
                number_of[after] = len(order)
                order.append(after)
    return tuple(
        State(
            states[number].accepts,
            tuple((low, high, number_of[after]) for low, high, after in states[number].moves),
            tuple((number_of[rule], number_of[after]) for rule, after in states[number].calls),
        )
        for number in order
    )
