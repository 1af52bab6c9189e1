"""
Large pages for what is read from end to end at each token: the weights.

Asked for while memory is still empty, the kernel would also give them to the scratch memory of every step, which makes
prompts slower to read: ``benchmarks/EXPERIMENTS.md``. So what is there after loading is moved, as it is.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np

_LARGE_BYTES = 2 << 20
_PAGES = _LARGE_BYTES // mmap.PAGESIZE
_ENTRY_BYTES = 8  # of a page in pagemap
_PRESENT = np.uint64(1 << 63)
_ANONYMOUS = "00:00"  # the device of a mapping without a file
_MADV_COLLAPSE = 25  # Linux 6.1
# Of a large page, so much has to be there: moving makes it whole, and what was never touched would take memory.
_SHARE = 0.75


def use_large_pages() -> int:
    """
    Move this process's memory to large pages, as far as it is dense and the kernel can.

    Returns how many bytes are on such then. Where the kernel cannot (before Linux 6.1, or without memory in large
    pieces), everything stays where it is.
    """
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return sum(_collapse(pagemap, line) for line in maps.splitlines())
    finally:
        os.close(pagemap)


def _collapse(pagemap: int, line: str) -> int:
    """The same for one mapping: `BEGIN-END MODE OFFSET DEVICE …`."""
    between, mode, _, device = line.split()[:4]
    begin, end = (int(address, 16) for address in between.split("-"))
    first, last = -(-begin // _LARGE_BYTES), end // _LARGE_BYTES
    if not mode.startswith("rw") or device != _ANONYMOUS or last <= first:
        return 0
    count = (last - first) * _PAGES
    entries = os.pread(pagemap, count * _ENTRY_BYTES, first * _PAGES * _ENTRY_BYTES)
    if len(entries) != count * _ENTRY_BYTES:  # the mapping has gone meanwhile
        return 0
    present = (np.frombuffer(entries, np.uint64) & _PRESENT) != 0
    dense = np.flatnonzero(present.reshape(-1, _PAGES).mean(axis=1) >= _SHARE)
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(
        _LARGE_BYTES
        for place in dense
        if not madvise((first + int(place)) * _LARGE_BYTES, _LARGE_BYTES, _MADV_COLLAPSE)
    )
