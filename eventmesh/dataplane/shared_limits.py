"""The state of rate limits in memory that several processes map: the workers of one supervisor, and the processes of a
hot restart one after the other.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

MAX_SHARED_LIMITS: Final = 65_536
"""Rate limits that processes have in common: a megabyte, of which only what is used is touched. Each process keeps
those beyond for itself."""

_ROW_BYTES: Final = 16
"""Name and state of a bucket (`crates/core-py/src/ledger.rs`)."""


class SharedLimits:
    """The memory, by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        """Take `descriptor` over."""
        self.descriptor = descriptor

    @classmethod
    def create(cls) -> SharedLimits:
        """Return memory in which no bucket is known yet."""
        descriptor = os.memfd_create("eventmesh-limits")
        os.ftruncate(descriptor, MAX_SHARED_LIMITS * _ROW_BYTES)
        return cls(descriptor)

    def memory(self) -> memoryview:
        """Return the memory as `Engine.share_limits` takes it."""
        return memoryview(mmap.mmap(self.descriptor, 0)).cast("Q")

    def close(self) -> None:
        """Forget the descriptor; what is mapped stays mapped."""
        os.close(self.descriptor)
