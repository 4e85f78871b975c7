"""Memory that is free here and not yet the kernel's."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Let the kernel have the pages that the C library keeps for what may come; some milliseconds for 100 MiB.

    It gives back by itself only what lies at the end of its heap, and after a crowd something small always lies there.
    Nothing happens with a C library that has no `malloc_trim` (musl).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
