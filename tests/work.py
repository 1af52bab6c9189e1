"""Work that is counted and not timed, for tests of how it grows."""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def opcodes(work: Callable[[], object]) -> int:
    """How many of Python's instructions this thread runs for it; what a call into C does is one."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # or what is left of earlier tests may be finalised by this thread meanwhile
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count


class Copied(str):
    """A text that notes how many characters are copied to add something to it."""

    __slots__ = ()
    _here = threading.local()

    @classmethod
    def characters(cls, work: Callable[[], object]) -> int:
        """How many this thread copies for it, in texts of this class."""
        cls._here.count = 0
        work()
        return int(cls._here.count)

    def __add__(self, other: str) -> Copied:
        """Both in a row."""
        both = Copied(super().__add__(other))
        Copied._here.count += len(both)
        return both
