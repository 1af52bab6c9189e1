"""Memory moves to large pages as it is, and only where it is there."""

from __future__ import annotations

import os
import subprocess
import sys

SOURCE = """
import mmap, re
from pathlib import Path
import numpy as np
from wit_llm.backends.openvino_large_pages import use_large_pages

def of(name):
    return int(re.search(f"^{name}: *([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text(), re.M)[1]) << 10

told = np.arange(8 << 20, dtype=np.int64)
weights = mmap.mmap(-1, told.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # 64 MiB
weights.write(told)
sparse = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for place in range(0, len(sparse), 1 << 20):
    sparse[place] = 7
resident = of("Rss")
moved = use_large_pages()
assert of("AnonHugePages") >= moved, (of("AnonHugePages"), moved)
assert of("Rss") - resident < 8 << 20, (resident, of("Rss"))
assert np.array_equal(np.frombuffer(weights, np.int64), told)
assert all(sparse[place] == 7 for place in range(0, len(sparse), 1 << 20))
print(moved)
"""


def test_what_is_dense_moves_and_nothing_else_changes() -> None:
    """All of it where the kernel can, else nothing; a mapping of which little was touched does not become whole."""
    done = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release >= (6, 1):
        assert int(done.stdout) >= 60 << 20
    else:
        assert int(done.stdout) == 0
