"""The messages of a session, in turns: values, so that a fork is the same value and a failed turn changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.text.message import Message, Role, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.text.message import Part

Group = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class History:
    """
    What was said so far.

    A turn is all that one ``start`` sent, with its reply. Appended messages are turns too: one begins at each user or
    system message that follows another role. What begins with the assistant or a tool belongs to the turn before.

    Args:
        turns: Oldest first.
        dropped_turns: How many older ones have gone.
        dropped_messages: How many messages were in them.
        dropped_at: How many messages there had been, in all, when turns were dropped last.
    """

    turns: tuple[Group, ...] = ()
    dropped_turns: int = 0
    dropped_messages: int = 0
    dropped_at: int = -1

    @property
    def messages(self) -> Group:
        """All that there are, in order."""
        return tuple(chain.from_iterable(self.turns))

    @property
    def mark(self) -> int:
        """How many messages were added so far, those of dropped turns included."""
        return self.dropped_messages + sum(map(len, self.turns))

    def with_turn(self, messages: Sequence[Message]) -> History:
        """With the messages of a turn, its reply still to come."""
        new = tuple(messages)
        if self.turns and (not new or new[0].role in (Role.ASSISTANT, Role.TOOL)):
            return replace(self, turns=(*self.turns[:-1], self.turns[-1] + new))
        return replace(self, turns=(*self.turns, new))

    def with_appended(self, messages: Sequence[Message]) -> History:
        """With messages that ask for no reply."""
        history = self
        group: list[Message] = []
        for message in messages:
            asks = message.role in (Role.USER, Role.SYSTEM)
            if group and asks and group[-1].role not in (Role.USER, Role.SYSTEM):
                history, group = history.with_turn(group), []
            group.append(message)
        return history.with_turn(group) if group else history

    def with_reply(self, parts: Sequence[Part], *, joined: bool) -> History:
        """With a reply to the newest turn: a message of its own, or joined to the last one, which it continues."""
        newest = self.turns[-1]
        if joined:
            last = newest[-1]
            turn = (*newest[:-1], replace(last, parts=merged([*last.parts, *parts])))
        else:
            turn = (*newest, Message(Role.ASSISTANT, tuple(parts)))
        return replace(self, turns=(*self.turns[:-1], turn))

    def without_oldest(self, count: int) -> History:
        """Without some turns at its beginning."""
        if not count:
            return self
        return History(
            turns=self.turns[count:],
            dropped_turns=self.dropped_turns + count,
            dropped_messages=self.dropped_messages + sum(map(len, self.turns[:count])),
            dropped_at=self.mark,
        )

    def rewound(self, mark: int) -> History:
        """
        As it was when there were that many messages.

        Raises:
            InvalidArgument: There are fewer, or turns were dropped since.
        """
        if mark == self.mark:
            return self
        if mark > self.mark:
            raise InvalidArgument(f"rewind to {mark}: {self.mark} messages were added so far")
        if mark <= self.dropped_at:
            raise InvalidArgument(f"rewind to {mark}: turns were dropped when there were {self.dropped_at} messages")
        left = mark - self.dropped_messages
        turns: list[Group] = []
        for turn in self.turns:
            if left > 0:
                turns.append(turn[:left])
            left -= len(turn)
        return replace(self, turns=tuple(turns))
