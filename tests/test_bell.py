"""Bells: who sleeps at one wakes when it is rung, by itself or in its turn."""

from __future__ import annotations

import random
import threading
import time

import pytest

from tests.worker.asking import SOON_S
from wit_llm.bell import Bell, peal


class Sleeper:
    """A thread that waits for a number to grow, a bell, and how far it has seen it."""

    def __init__(self, patience_s: float | None = None) -> None:
        self.bell = Bell()
        self.told = 0
        self.seen = 0
        self.over = False
        self._patience_s = patience_s
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def tell(self) -> None:
        """More news."""
        self.told += 1
        self.bell.ring()

    def _run(self) -> None:
        while not self.over:
            until = None if self._patience_s is None else time.monotonic() + self._patience_s * random.random()
            self.bell.wait_for(lambda: self.told > self.seen or self.over, until)
            self.seen = self.told

    def has_seen(self) -> bool:
        """Whether it has seen all, soon."""
        end = time.monotonic() + SOON_S
        while self.seen < self.told and time.monotonic() < end:
            time.sleep(0.0005)
        return self.seen == self.told

    def end(self) -> None:
        """Let the thread end."""
        self.over = True
        self.bell.ring()
        self.thread.join(SOON_S)


def _asleep(*sleepers: Sleeper) -> None:
    end = time.monotonic() + SOON_S
    while not all(one.bell.asleep for one in sleepers) and time.monotonic() < end:
        time.sleep(0.001)


def test_all_that_a_peal_rings_wake() -> None:
    """Also those after one at which nobody sleeps."""
    first, last = Sleeper(), Sleeper()
    nobody = Bell()
    _asleep(first, last)
    try:
        peal(lambda ring: ring(), [first.tell, nobody.ring, last.tell])
        assert first.has_seen()
        assert last.has_seen()
        assert nobody.wait_for(lambda: True)
    finally:
        first.end()
        last.end()


def test_news_that_fail_keep_no_others_from_being_heard() -> None:
    """What was rung before is rung."""
    sleeper = Sleeper()
    _asleep(sleeper)

    def fail() -> None:
        raise ValueError("told")

    try:
        with pytest.raises(ValueError, match="^told$"):
            peal(lambda ring: ring(), [sleeper.tell, fail])
        assert sleeper.has_seen()
    finally:
        sleeper.end()


def test_no_ring_is_lost_among_many_that_fall_asleep_and_wake() -> None:
    """Two ring in turns, some sleepers have little patience, and each sees the last of its news."""
    sleepers = [Sleeper(None if place % 2 else 0.0004) for place in range(12)]

    def ring(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(1500):
            peal(lambda one: one.bell.ring(), chance.sample(sleepers, chance.randint(1, 12)))
            if chance.random() < 0.2:
                time.sleep(0.0005)

    ringers = [threading.Thread(target=ring, args=(seed,)) for seed in range(2)]
    try:
        for one in ringers:
            one.start()
        for _ in range(300):
            peal(lambda one: one.tell(), sleepers)
            assert all(one.has_seen() for one in sleepers)
        for one in ringers:
            one.join()
    finally:
        for sleeper in sleepers:
            sleeper.end()
    assert not any(one.thread.is_alive() for one in sleepers)
