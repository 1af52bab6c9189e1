"""Memory files that host and worker share."""

from __future__ import annotations

import mmap
import threading

import pytest

from wit_llm.errors import TooLarge
from wit_llm.worker.memory import SEAL_ATTEMPTS, SEAL_PAUSE_S, SHARED_FROM_BYTES, Incoming, Outgoing

DATA = b"x" * SHARED_FROM_BYTES


def _held(outgoing: Outgoing) -> mmap.mmap:
    """A writable mapping, with which a file cannot be sealed, as with pages that the kernel moves about."""
    assert outgoing.descriptor is not None
    return mmap.mmap(outgoing.descriptor, SHARED_FROM_BYTES)


def test_a_file_is_sealed_as_soon_as_its_pages_are_free() -> None:
    """Pages that are held for a moment delay a tensor, and do not lose it."""
    outgoing = Outgoing()
    outgoing.place(DATA)
    threading.Timer(3 * SEAL_PAUSE_S, _held(outgoing).close).start()
    outgoing.seal()
    assert outgoing.descriptor is not None
    assert bytes(Incoming().open(outgoing.descriptor)) == DATA


@pytest.mark.timeout(SEAL_ATTEMPTS * SEAL_PAUSE_S + 60)
def test_a_file_whose_pages_stay_held_is_a_typed_error() -> None:
    """Nobody waits for ever, and the error is one that a guest can be told."""
    outgoing = Outgoing()
    outgoing.place(DATA)
    with _held(outgoing), pytest.raises(TooLarge, match=f"^{len(DATA)} bytes cannot be handed over: .* busy$"):
        outgoing.seal()
    outgoing.close()
