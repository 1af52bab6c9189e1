"""Words that nobody has ever said, made without a library that takes long to import."""

from __future__ import annotations

import numpy as np

SEED = 0


def words(count: int, seed: int = SEED) -> list[str]:
    """Made-up words of two to four syllables."""
    rng = np.random.default_rng(seed)
    syllables = np.array([consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"])
    lengths = rng.integers(2, 5, count)
    return ["".join(rng.choice(syllables, length)) for length in lengths]
