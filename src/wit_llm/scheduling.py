"""Whom the kernel lets run when a guest's thread wakes: it gives way to what computes."""

from __future__ import annotations

import contextlib
import os
import sys

# The flag does nothing here, as it takes back real time only; it tells our choice from an operator's.
_GIVES_WAY = os.SCHED_BATCH | os.SCHED_RESET_ON_FORK if sys.platform == "linux" else None


def give_way() -> None:
    """
    Let this thread take no core from another one when it wakes, as long as nobody has chosen anything for it.

    A worker wakes a guest's thread with each token, and would wait for it before it computes the next.
    """
    if _GIVES_WAY is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):  # where a process may not choose
            os.sched_setscheduler(0, _GIVES_WAY, os.sched_param(0))


def as_usual(pid: int) -> None:
    """Take that from a process which such a thread has just started."""
    if _GIVES_WAY is not None and os.sched_getscheduler(0) == _GIVES_WAY:
        with contextlib.suppress(OSError):  # it has ended
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
