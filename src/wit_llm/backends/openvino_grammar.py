"""
OpenVINO: what a reply may say, in the words of its grammar engine.

Every state of an automaton becomes a rule that ends with the rule of the next one. The engine, xgrammar 0.1.31 inside
openvino-genai 2026.4.1, knows for each place of a rule at once which tokens stay in it, and tries all others one by one
each time; of repetitions and alternatives as people write them it makes places that nearly all tokens leave, and it
takes exponential time over some.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING

from wit_llm.grammar.automaton import first_characters, is_wide, nullable_states
from wit_llm.grammar.expression import NOTHING

# Within each of these all second bytes are alike. Of a range over several the engine lets through what is no UTF-8, and
# not all that is.
_PIECES = (
    (0, 0x7F),
    (0x80, 0x7FF),
    (0x800, 0xFFF),
    (0x1000, 0xCFFF),
    (0xD000, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x3FFFF),
    (0x40000, 0xFFFFF),
    (0x100000, 0x10FFFF),
)

_STATE_BYTES = 2048

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.grammar.automaton import Automaton, Call, State


# With as many left, or more, the engine knows of tokens of so many characters that they fit, and tries longer ones one
# by one each time; but where it is exactly so many, it knows that these do not.
_TIERS = tuple(range(16, 0, -1))
_BLOCK = 64


@lru_cache(maxsize=64)
def ebnf(automaton: Automaton, longest: int) -> str:
    """
    The automaton as rules; the first is called root.

    Args:
        automaton: What a reply may say.
        longest: Characters of the longest token, or more.
    """
    rules = _Rules(automaton, longest)
    rules.write(0)
    return rules.text()


class _Rules:
    """
    Rules that are written, each once.

    A rule for each time that something is counted would have tokens of its own to be found out, which takes a second
    for some tens of them. But the engine takes a lookahead's word for what comes behind a rule that is called in one
    place only; so a few rules say all that is counted (``_one``), each with what may be said behind it, and rules that
    say nothing themselves do the counting.
    """

    def __init__(self, automaton: Automaton, longest: int) -> None:
        self._states = automaton.states
        self._nullable = nullable_states(automaton.states)
        self._counted = automaton.counted
        self._tiers = (max(longest, _TIERS[0] + 1), *_TIERS)
        self._rules: dict[str, str] = {}
        # By name, because the engine reads the rules anew for each request, and classes are what that takes long for.
        self._classes: dict[str, str] = {}

    def text(self) -> str:
        """All of them."""
        rules = {**self._rules, **{name: chars for chars, name in self._classes.items()}}
        return "\n".join(f"{name} ::= {said}" for name, said in rules.items())

    def write(self, first: int) -> str:
        """The rule of a state, and those that it leads to; returns its name."""
        waiting = [first]
        while waiting:
            number = waiting.pop()
            if _name(number) not in self._rules:
                near: list[int] = []
                self._rules[_name(number)] = ""  # a place, for when it comes back to itself
                self._rules[_name(number)] = self._said(number, near)
                waiting += reversed(near)
        return _name(first)

    def _said(self, number: int, near: list[int], *, inline: bool = False) -> str:
        """
        What comes from a state on.

        Args:
            number: Of the state.
            near: Takes up those whose rules it needs.
            inline: A last character that follows is part of it.
        """
        state = self._states[number]
        ways = []
        for after in dict.fromkeys(move[2] for move in state.moves):
            text, end = _straight(self._states, after)
            way = [self._chars(state, after), *([f'"{text}"'] if text else [])]
            if inline and (last := _last(self._states, end)) is not None:
                way.append(self._chars(self._states[end], last))
                end = last
            ways.append(way + self._rest(end, near))
        for call in state.calls:
            if call.high > 1:
                way = [self._count(call)]
            else:
                near.append(call.rule)
                way = [_name(call.rule)]
            ways.append(way + self._rest(call.after, near))
        return " | ".join([" ".join(way) for way in ways] + ['""'] * state.accepts)

    def _rest(self, number: int, near: list[int]) -> list[str]:
        if self._states[number].ends:
            return []
        near.append(number)
        return [_name(number)]

    def _chars(self, state: State, after: int) -> str:
        chars = _chars([(low, high) for low, high, behind in state.moves if behind == after])
        return self._classes.setdefault(chars, f"c{len(self._classes)}") if chars.startswith("[") else chars

    # ------------------------------------------------------------ what is counted

    def _count(self, call: Call) -> str:
        """A rule that says another one so many times."""
        more = call.high - call.low
        self._some(call.rule, more)
        self._rules.setdefault(f"n{call.rule}x0", '""')
        left, names = call.low, []
        while left:
            one = self._one(call.rule, left + more)
            names.append(f"m{call.rule}x{left}x{more}")
            many = left >= _BLOCK and left - _BLOCK + more >= self._tiers[0]
            left -= _BLOCK if many else 1
            behind = f"m{call.rule}x{left}x{more}" if left else f"n{call.rule}x{more}"
            self._rules.setdefault(names[-1], f"{self._block(call.rule) if many else one} {behind}")
        return names[0]

    def _block(self, rule: int) -> str:
        """A rule that says another one so many times that more than the first tier are left behind it."""
        self._rules.setdefault(f"b{rule}", " ".join([self._one(rule, self._tiers[0])] * _BLOCK))
        return f"b{rule}"

    def _some(self, rule: int, most: int) -> None:
        """Rules that say another one so many times, or fewer."""
        while most and f"n{rule}x{most}" not in self._rules:
            one = self._one(rule, most)
            if most - _BLOCK < self._tiers[0]:
                self._rules[f"n{rule}x{most}"] = f'{one} n{rule}x{most - 1} | ""'
                most -= 1
                continue
            # All of a block, or a part of it and nothing behind.
            self._rules.setdefault(f"p{rule}x0", '""')
            for part in range(1, _BLOCK):
                self._rules.setdefault(f"p{rule}x{part}", f'{one} p{rule}x{part - 1} | ""')
            self._rules[f"n{rule}x{most}"] = f"{self._block(rule)} n{rule}x{most - _BLOCK} | p{rule}x{_BLOCK - 1}"
            most -= _BLOCK

    def _one(self, rule: int, left: int) -> str:
        """A rule that says another one once, where so many are left with it."""
        plain = self.write(rule)
        if not is_wide(self._states, rule):
            return plain
        tier = next(tier for tier in self._tiers if tier <= left)
        name = f"o{rule}x{tier}"
        if name not in self._rules:
            near: list[int] = []
            self._rules["e"] = '""'
            # The engine copies a rule that stands first into another, and does not trust one that stands last.
            self._rules[name] = f"e i{rule}x{tier} e"
            self._rules[f"i{rule}x{tier}"] = f"({self._said(rule, near, inline=True)}) (= {self._behind(rule, tier)})"
            for number in near:
                self.write(number)
        return name

    def _behind(self, rule: int, tier: int) -> str:
        """
        What may be said behind one: others, and the first character after them.

        It is not over before that, or before as many as are left for certain: where it is, the engine tries a token;
        where it cannot go on, the engine knows that a token does not fit.
        """
        afters = [first_characters(self._states, self._nullable, call.after) for call in self._counted[rule]]
        over = reduce(or_, afters, NOTHING).ranges
        end = f" | {_chars(over)}" if over else ""
        plain = _name(rule)
        if tier == self._tiers[0]:
            name = f"t{rule}"
            self._rules[name] = f"{plain} {name}{end}"
            return name
        exactly = bool(over) and tier + 1 in self._tiers
        kind, most = ("v", tier - 1) if exactly else ("u", tier)
        self._rules[f"{kind}{rule}x0"] = _chars(over) if exactly else '""'
        for left in range(1, most + 1):
            self._rules[f"{kind}{rule}x{left}"] = f"{plain} {kind}{rule}x{left - 1}{end}"
        return f"{kind}{rule}x{most}"


def _name(number: int) -> str:
    return f"s{number}" if number else "root"


def _last(states: Sequence[State], number: int) -> int | None:
    """The state behind a character with which a rule ends for certain."""
    state = states[number]
    afters = {after for _, _, after in state.moves}
    if state.accepts or state.calls or len(afters) != 1:
        return None
    (after,) = afters
    return after if states[after].ends else None


def prepared_bytes(automaton: Automaton, vocab_size: int) -> int:
    """What the engine keeps of an automaton, about: for each place that many tokens pass, which of them do."""
    return automaton.open_states * vocab_size // 2 + len(automaton.states) * _STATE_BYTES


def _straight(states: Sequence[State], number: int) -> tuple[str, int]:
    """Characters that come one by one without a choice, and the state behind them."""
    text, seen = "", {number}
    while True:
        state = states[number]
        if state.accepts or state.calls or len(state.moves) != 1 or state.moves[0][0] != state.moves[0][1]:
            return text, number
        if state.moves[0][2] in seen:
            return text, number
        text += _character(state.moves[0][0])
        number = state.moves[0][2]
        seen.add(number)


def _chars(ranges: Sequence[tuple[int, int]]) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return f'"{_character(ranges[0][0])}"'
    pieces = [
        (max(low, first), min(high, last))
        for low, high in ranges
        for first, last in _PIECES
        if low <= last and high >= first
    ]
    return "[" + "".join(f"{_character(low)}-{_character(high)}" for low, high in pieces) + "]"


def _character(code: int) -> str:
    letter = chr(code)
    return letter if letter.isascii() and letter.isalnum() else f"\\U{code:08X}"
