"""
OpenVINO: what a reply may say, in the words of its grammar engine.

Every state of an automaton becomes a rule that ends with the rule of the next one. The engine, xgrammar 0.1.31 inside
openvino-genai 2026.4.1, knows for each place of a rule at once which tokens stay in it, and tries all others one by one
each time; of repetitions and alternatives as people write them it makes places that nearly all tokens leave, and it
takes exponential time over some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    from wit_llm.grammar.automaton import Automaton, State


def ebnf(automaton: Automaton) -> str:
    """The automaton as rules; the first is called root."""
    states = automaton.states
    lines, waiting, seen = [], [0], {0}
    # By name, because the engine reads the rules anew for each request, and classes are what that takes long for.
    classes: dict[str, str] = {}

    def rule(number: int) -> str:
        if number not in seen:
            seen.add(number)
            waiting.append(number)
        return _name(number)

    for number in waiting:
        state = states[number]
        ways = []
        for after in dict.fromkeys(move[2] for move in state.moves):
            ranges = [(low, high) for low, high, behind in state.moves if behind == after]
            text, end = _straight(states, after)
            tail = "" if states[end].ends else f" {rule(end)}"
            chars = _chars(ranges)
            if chars.startswith("["):
                chars = classes.setdefault(chars, f"c{len(classes)}")
            ways.append(chars + (f' "{text}"' if text else "") + tail)
        ways += [rule(called) + ("" if states[after].ends else f" {rule(after)}") for called, after in state.calls]
        ways += ['""'] * state.accepts
        lines.append(f"{_name(number)} ::= {' | '.join(ways)}")
    lines += [f"{name} ::= {chars}" for chars, name in classes.items()]
    return "\n".join(lines)


def prepared_bytes(automaton: Automaton, vocab_size: int) -> int:
    """What the engine keeps of an automaton, about: for each place that many tokens pass, which of them do."""
    return automaton.open_states * vocab_size // 2 + len(automaton.states) * _STATE_BYTES


def _name(number: int) -> str:
    return f"s{number}" if number else "root"


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
