"""
Which tokens may come next, by an automaton: the configurations of a reply are made as they are met, and kept.

A token is let through as a whole, byte by byte; it may end inside a character, and begin and end any number of rules.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wit_llm.errors import TooLarge
from wit_llm.grammar.utf8 import byte_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wit_llm.grammar.automaton import Automaton, State
    from wit_llm.grammar.utf8 import ByteRanges

# A state, and the number of the stack of frames that are left when rules end.
_Reading = tuple[int, int]


class _Frame(NamedTuple):
    """
    A rule that has begun.

    Args:
        after: The state that comes when it is over.
        stack: What was there before it.
        rule: Its first state, for when it comes again.
        least: How often it has to come again.
        most: How often it may.
    """

    after: int
    stack: int
    rule: int
    least: int
    most: int


# Ways to read what was said so far that differ in what may follow.
MAX_READINGS = 256
# What one machine keeps at most, and what is no longer handed to new replies.
MAX_CONFIGURATIONS = 65_536
_KEPT_CONFIGURATIONS = 4096
_KEPT_MASKS = 256
_KEPT_MACHINES = 16
_BYTES = 256
_NEVER = re.compile(rb"[\xc0\xc1\xf5-\xff]")
_BOTTOM = -1
_DEAD = 0


class Vocabulary:
    """
    What each token says.

    Args:
        tokens: Bytes of each token by its id; empty for those that are not part of what is said. Those with a byte that
            UTF-8 never has are taken as empty, too.
        size: Of the model's logits; ids from the end of ``tokens`` on say nothing.
    """

    def __init__(self, tokens: Sequence[bytes], size: int) -> None:
        self.tokens = [b"" if _NEVER.search(token) else token for token in tokens]
        self.size = size

    @cached_property
    def said(self) -> NDArray[np.int64]:
        """Ids of the tokens that say something, ``[row]``; the longest first, so that columns are first rows."""
        said = [number for number, token in enumerate(self.tokens[: self.size]) if token]
        return np.array(sorted(said, key=lambda number: -len(self.tokens[number])), np.int64)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max(map(len, self.tokens), default=0)

    @cached_property
    def columns(self) -> list[NDArray[np.uint8]]:
        """The first byte of each token, the second byte of each that has one, and so on: ``[column][row]``."""
        said = [self.tokens[number] for number in self.said]
        lengths = np.array([len(token) for token in said], np.int64)  # [row]
        rows = [int((lengths > column).sum()) for column in range(int(lengths.max(initial=0)))]
        return [
            np.frombuffer(bytes(token[column] for token in said[:count]), np.uint8) for column, count in enumerate(rows)
        ]


class Machine:
    """
    An automaton that reads bytes, and what it has met so far.

    A configuration is a set of readings, each a state and a stack; number 0 is that of nothing.
    """

    def __init__(self, automaton: Automaton, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._states = automaton.states
        self._moves: list[list[tuple[int, int, int]] | None] = [None] * len(self._states)
        self._inside: dict[tuple[ByteRanges, int], int] = {}
        self._stacks: list[_Frame] = []
        self._stack_numbers: dict[_Frame, int] = {}
        # Stacks in which counts that no token uses up are alike.
        self._alike: list[int] = []
        self._readings: list[frozenset[_Reading]] = []
        self._ends: list[bool] = []
        self._numbers: dict[tuple[frozenset[_Reading], bool], int] = {}
        self._next = np.zeros((16, _BYTES), np.int32)  # [configuration, byte]
        self._ready = [True]
        self._masks: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._number(frozenset(), ends=False)
        self.start = self._closed([(0, _BOTTOM)])

    @property
    def size(self) -> int:
        """Configurations that it knows."""
        return len(self._readings)

    def may_end(self, configuration: int) -> bool:
        """Whether a reply may."""
        return self._ends[configuration]

    def after(self, configuration: int, data: bytes) -> int:
        """The configuration behind some bytes; 0 where they are not let through."""
        for byte in data:
            self._make_ready(configuration)
            configuration = int(self._next[configuration, byte])
        return configuration

    def mask(self, configuration: int) -> NDArray[np.bool_]:
        """Whether each token may come next, ``[size]``; those that say nothing may not."""
        readings = frozenset((state, self._clipped(stack)) for state, stack in self._readings[configuration])
        configuration = self._number(readings, ends=self._ends[configuration])
        packed = self._masks.get(configuration)
        if packed is None:
            packed = np.packbits(self._let_through(configuration))
            self._masks[configuration] = packed
            if len(self._masks) > _KEPT_MASKS:
                self._masks.popitem(last=False)
        else:
            self._masks.move_to_end(configuration)
        return np.unpackbits(packed, count=self._vocabulary.size).view(np.bool_)

    def _let_through(self, configuration: int) -> NDArray[np.bool_]:
        vocabulary = self._vocabulary
        reached = np.full(len(vocabulary.said), configuration, np.int32)  # [row]
        rows = np.arange(len(vocabulary.said))
        for column in vocabulary.columns:
            rows = rows[: np.searchsorted(rows, len(column))]
            for number in np.flatnonzero(np.bincount(reached[rows])):
                self._make_ready(int(number))
            reached[rows] = self._next[reached[rows], column[rows]]
            rows = rows[reached[rows] != _DEAD]
            if not len(rows):
                break
        mask = np.zeros(vocabulary.size, np.bool_)
        mask[vocabulary.said[reached != _DEAD]] = True
        return mask

    # ------------------------------------------------------------ configurations

    def _rest(self, ranges: ByteRanges, after: int) -> int:
        """The state inside a character from which these bytes lead to ``after``."""
        if not ranges:
            return after
        key = (ranges, after)
        if key not in self._inside:
            move = (*ranges[0], self._rest(ranges[1:], after))
            self._inside[key] = len(self._moves)
            self._moves.append([move])
        return self._inside[key]

    def _make_ready(self, configuration: int) -> None:
        """Fill in where each byte leads."""
        if self._ready[configuration]:
            return
        readings = self._readings[configuration]
        moves = [(low, high, (after, stack)) for state, stack in readings for low, high, after in self._moves_of(state)]
        points = sorted({low for low, _, _ in moves} | {high + 1 for _, high, _ in moves})
        row = np.zeros(_BYTES, np.int32)
        for point, following in pairwise(points):
            row[point:following] = self._closed([after for low, high, after in moves if low <= point <= high])
        self._next[configuration] = row
        self._ready[configuration] = True

    def _closed(self, readings: Iterable[_Reading]) -> int:
        """The configuration of these and of all that rules begin and end without a byte."""
        found = set(readings)
        waiting = list(found)
        for state, stack in waiting:
            if state < len(self._states):  # and not inside a character
                for reading in self._beside(self._states[state], stack):
                    if reading not in found:
                        found.add(reading)
                        waiting.append(reading)
            if len(found) > MAX_READINGS:
                raise TooLarge(f"the grammar is too ambiguous: more than {MAX_READINGS} ways to read what was said")
        ends = any(
            stack == _BOTTOM and state < len(self._states) and self._states[state].accepts for state, stack in found
        )
        return self._number(frozenset(one for one in found if self._moves_of(one[0])), ends=ends)

    def _beside(self, state: State, stack: int) -> Iterator[_Reading]:
        """Where rules lead that begin there, and the one that ends."""
        for call in state.calls:
            yield call.rule, self._pushed(_Frame(call.after, stack, call.rule, call.low - 1, call.high - 1))
        if state.accepts and stack != _BOTTOM:
            frame = self._stacks[stack]
            if frame.most:
                again = frame._replace(least=max(frame.least - 1, 0), most=frame.most - 1)
                yield frame.rule, self._pushed(again)
            if not frame.least:
                yield frame.after, frame.stack

    def _moves_of(self, number: int) -> list[tuple[int, int, int]]:
        """First and last byte, and the state that comes after one of these."""
        moves = self._moves[number]
        if moves is None:
            self._moves[number] = moves = [
                (*ranges[0], self._rest(ranges[1:], after))
                for low, high, after in self._states[number].moves
                for ranges in byte_ranges(low, high)
            ]
        return moves

    def _pushed(self, frame: _Frame) -> int:
        if not frame.most and self._states[frame.after].ends:
            return frame.stack  # nothing comes after the last call of a rule: what comes is what comes after the rule
        number = self._stack_numbers.get(frame)
        if number is None:
            number = self._stack_numbers[frame] = len(self._stacks)
            self._stacks.append(frame)
            self._alike.append(number)
            enough = self._vocabulary.longest + 1
            clipped = _Frame(
                frame.after,
                self._clipped(frame.stack),
                frame.rule,
                min(frame.least, enough),
                min(frame.most, enough),
            )
            self._alike[number] = self._pushed(clipped)
        return number

    def _clipped(self, stack: int) -> int:
        return stack if stack == _BOTTOM else self._alike[stack]

    def _number(self, readings: frozenset[_Reading], *, ends: bool) -> int:
        key = (readings, ends)
        if key in self._numbers:
            return self._numbers[key]
        number = len(self._readings)
        if number >= MAX_CONFIGURATIONS:
            raise TooLarge("what was said is nested too deeply for the constraint")
        self._numbers[key] = number
        self._readings.append(readings)
        self._ends.append(ends)
        if number:
            self._ready.append(False)
        if number == len(self._next):
            self._next = np.concatenate([self._next, np.zeros_like(self._next)])
        return number


class Matcher:
    """One reply, as far as it has come."""

    def __init__(self, machine: Machine, vocabulary: Vocabulary) -> None:
        self._machine = machine
        self._vocabulary = vocabulary
        self._configuration = machine.start

    @property
    def may_end(self) -> bool:
        """Whether what was said satisfies the constraint."""
        return self._machine.may_end(self._configuration)

    def mask(self) -> NDArray[np.bool_]:
        """
        Whether each token may come next, ``[size]``; stop tokens are no part of it, see ``may_end``.

        Raises:
            TooLarge: The constraint is too ambiguous, or what was said too deeply nested.
        """
        return self._machine.mask(self._configuration)

    def accept(self, token_id: int) -> bool:
        """
        Take a token that was said; false, and nothing may come any more, where it does not satisfy the constraint.

        Raises:
            TooLarge: As ``mask``.
        """
        data = self._vocabulary.tokens[token_id] if token_id < len(self._vocabulary.tokens) else b""
        self._configuration = self._machine.after(self._configuration, data) if data else _DEAD
        return self._configuration != _DEAD


class Matchers:
    """Matchers of one vocabulary; replies under the same constraint share what was found out."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._machines: OrderedDict[Automaton, Machine] = OrderedDict()

    def matcher(self, automaton: Automaton) -> Matcher:
        """For a new reply."""
        machine = self._machines.pop(automaton, None)
        if machine is None or machine.size > _KEPT_CONFIGURATIONS:
            machine = Machine(automaton, self._vocabulary)
        self._machines[automaton] = machine
        if len(self._machines) > _KEPT_MACHINES:
            self._machines.popitem(last=False)
        return Matcher(machine, self._vocabulary)
