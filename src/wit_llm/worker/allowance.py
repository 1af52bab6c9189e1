"""What one compute may take of its worker, and what holds it to that."""

from __future__ import annotations

import contextlib
import os
import resource
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from wit_llm.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wit_llm.tensor import NamedTensor

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DATA = 5  # in statm: heap, private mappings that can be written on, and stacks


class Allowance(msgspec.Struct, frozen=True):
    """
    What one compute may take.

    Args:
        memory_bytes: Heap beyond what the worker has already, for outputs and all that is between.
        tensor_bytes: One output.
    """

    memory_bytes: int
    tensor_bytes: int

    def check(self, outputs: Sequence[NamedTensor]) -> None:
        """
        Look at what came out, before it is sent.

        Raises:
            TooLarge: It is more than goes to a guest.
        """
        for output in outputs:
            given = output.tensor.data_bytes
            if given > self.tensor_bytes:
                raise TooLarge(f"output {output.name!r} has {given} bytes; at most {self.tensor_bytes} go to a guest")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """
        Until the block ends, let an allocation fail that goes over ``memory_bytes``, before anything is touched.

        The limit is the process's: tokens that are generated meanwhile share it.

        Raises:
            TooLarge: Python found no memory; libraries have exceptions of their own for that.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = _data_bytes() + self.memory_bytes
        lowered = most if soft == resource.RLIM_INFINITY else min(most, soft)
        resource.setrlimit(resource.RLIMIT_DATA, (lowered, hard))
        try:
            yield
        except MemoryError as error:
            raise TooLarge(f"the compute wants more than {self.memory_bytes} bytes of memory") from error
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """What RLIMIT_DATA counts, and stacks."""
    return int(os.pread(_statm(), 256, 0).split()[_DATA]) * _PAGE_BYTES


@cache
def _statm() -> int:
    """The descriptor of this process's sizes, kept because opening it takes longer than all the rest."""
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
