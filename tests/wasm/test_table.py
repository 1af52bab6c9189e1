"""A guest's live handles."""

from __future__ import annotations

from tests.work import opcodes
from wit_llm.limits import Limits
from wit_llm.text.session import Session
from wit_llm.wasm.guest import Conversation, Table
from wit_llm.wasm.nn import Context

MANY = 2_000


class _Session(Session):
    """One that nobody talks in."""

    def __init__(self) -> None: ...


def _table(sessions: int) -> Table:
    table = Table(Limits(handles=MANY, sessions=MANY))
    for _ in range(sessions):
        table.push(_Session())
    return table


def test_sessions_are_counted_and_not_looked_at() -> None:
    """To start one more takes as much work with a thousand as with one."""
    few, many = _table(1), _table(1_000)
    assert (few.count(Conversation), many.count(Conversation)) == (1, 1_000)
    assert opcodes(lambda: many.count(Conversation)) == opcodes(lambda: few.count(Conversation))


def test_objects_of_a_class_are_found_among_many_others() -> None:
    """What is asked for by its class costs nothing for handles of other classes."""
    few, many = _table(1), _table(1_000)
    for table in (few, many):
        table.push("here")
        assert table.of(str) == ["here"]
    assert opcodes(lambda: many.of(str)) == opcodes(lambda: few.of(str))


def test_handles_are_found_by_class_until_they_are_gone() -> None:
    """However a handle goes, it is no longer among those of its class; both kinds of conversation are conversations."""
    table = Table(Limits())
    kept, dropped = _Session(), _Session()
    table.push(kept)
    rep = table.push(dropped)
    context = Context(kept)
    mark = table.mark()
    table.push(context)
    assert table.of(Conversation) == [kept, dropped, context]
    table.pop(rep, Session)
    assert table.of(Conversation) == [kept, context]
    table.rollback(mark)
    assert (table.of(Conversation), table.count(Conversation)) == ([kept], 1)
    table.pop(1, Session)
    assert (table.of(Conversation), table.count(Conversation), len(table)) == ([], 0, 0)
