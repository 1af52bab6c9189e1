"""
Bytes that host and worker share instead of sending them.

What is large lies in a memory file, which is sealed and sent as a descriptor: the receiver maps it, nobody can change
or shorten it any more, and it is gone with its last user, however that one ends.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
import time
import weakref
from pathlib import Path

import msgspec

from wit_llm.errors import TooLarge

SHARED_FROM_BYTES = 64 << 10
# Each mapping keeps a descriptor (mmap has trackfd only from 3.13), and a guest may hold a thousand tensors.
MAPPED_AT_ONCE = 32
SEAL_ATTEMPTS = 20
SEAL_PAUSE_S = 0.05

_SEALABLE = hasattr(os, "memfd_create")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE if _SEALABLE else 0


class Span(msgspec.Struct, array_like=True, frozen=True):
    """Bytes that lie in a message's memory file."""

    offset: int
    length: int


class Outgoing:
    """The memory file of one message, made when the first large tensor wants it."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self._size = 0

    def place(self, data: bytes | memoryview) -> bytes | Span:
        """
        Small bytes as they are; large ones go into the file.

        Raises:
            TooLarge: There is no memory left to share.
        """
        if len(data) < SHARED_FROM_BYTES:
            return bytes(data)
        span = Span(self._size, len(data))
        rest = memoryview(data)
        try:
            if self.descriptor is None:
                self.descriptor = _new_file()
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            raise TooLarge(f"a tensor of {len(data)} bytes cannot be handed over: {error.strerror}") from error
        self._size += span.length
        return span

    def seal(self) -> None:
        """
        No more is written, by anybody.

        Raises:
            TooLarge: The kernel had its hands on the pages all the time, as it does when memory is short.
        """
        if self.descriptor is None or not _SEALABLE:
            return
        for attempt in range(SEAL_ATTEMPTS):
            try:
                fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
            except OSError as error:
                if error.errno != errno.EBUSY or attempt == SEAL_ATTEMPTS - 1:
                    raise TooLarge(f"{self._size} bytes cannot be handed over: {error.strerror}") from error
                time.sleep(SEAL_PAUSE_S)
            else:
                return

    def close(self) -> None:
        """Leave the file to the receiver."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Incoming:
    """The memory files that come along a line."""

    def __init__(self) -> None:
        self._mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def open(self, descriptor: int) -> memoryview:
        """
        The bytes of a file, which go with the last view of them; the descriptor is closed.

        Raises:
            ValueError: It is no memory file, or one that its sender can still change.
        """
        try:
            if _SEALABLE and fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
                raise ValueError("its sender can still change it")
            if len(self._mappings) >= MAPPED_AT_ONCE:
                return memoryview(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
            # Private, because Linux before 6.7 refuses a shared mapping of a file sealed against writing.
            mapping = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        except (OSError, OverflowError) as error:
            raise ValueError(str(error)) from error
        finally:
            os.close(descriptor)
        self._mappings.add(mapping)
        return memoryview(mapping)


def _new_file() -> int:
    """A file without a name."""
    if _SEALABLE:
        return os.memfd_create("wit-llm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, path = tempfile.mkstemp()
    Path(path).unlink()
    return descriptor
