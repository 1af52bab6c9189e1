"""Whom the kernel lets run when a guest's thread wakes: it gives way to what computes."""

from __future__ import annotations

import contextlib
import os


def give_way() -> None:
    """
    Let this thread, and those that it starts, take no core from others when they wake.

    A worker wakes a guest's thread with each token, and would wait for it before it computes the next. A thread for
    which somebody has chosen anything is left as it is.
    """
    with contextlib.suppress(OSError):  # where a process may not choose
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def as_usual(pid: int) -> None:
    """Take that from a process which such a thread has just started, where this process as a whole is without."""
    with contextlib.suppress(OSError):  # the same; or it has ended
        if os.sched_getscheduler(os.getpid()) == os.SCHED_OTHER:
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
