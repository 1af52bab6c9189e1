"""Whom the kernel lets run when a guest's thread wakes: it gives way to what computes."""

from __future__ import annotations

import contextlib
import os

# The flag does nothing here, as it takes back real time only; it tells our choice from an operator's.
_GIVES_WAY = os.SCHED_BATCH | os.SCHED_RESET_ON_FORK


def give_way() -> None:
    """
    Let this thread take no core from another one when it wakes, as long as nobody has chosen anything for it.

    A worker wakes a guest's thread with each token, and would wait for it before it computes the next.
    """
    _change(0, os.SCHED_OTHER, _GIVES_WAY)


def as_usual(pid: int) -> None:
    """Take that from a process which such a thread has just started."""
    _change(pid, _GIVES_WAY, os.SCHED_OTHER)


def _change(pid: int, mine: int, its: int) -> None:
    """Give a thread or process a policy, where this thread has that one."""
    with contextlib.suppress(OSError):  # where a process may not choose; or it has ended
        if os.sched_getscheduler(0) == mine:
            os.sched_setscheduler(pid, its, os.sched_param(0))
