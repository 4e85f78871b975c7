"""Memory that is given back to the kernel, in a process of its own: others' heaps are none of its business."""

from __future__ import annotations

import ctypes
import subprocess
import sys

HOLES = """
import os
from eventmesh.base.memory import give_back

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

# Too small for a mapping of their own; every other one goes, so that none that is free lies at the end.
blocks = [b"x" * 32_768 + bytes([number % 256]) for number in range(2_000)]
del blocks[::2]
before = resident()
give_back()
print(before - resident())
"""


def test_holes_in_the_heap_become_the_kernels() -> None:
    run = subprocess.run((sys.executable, "-c", HOLES), stdout=subprocess.PIPE, text=True, check=True)
    # 1,000 holes of 32 KiB; a C library without `malloc_trim` keeps what it keeps.
    has_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) is not None
    assert (int(run.stdout) > 16_000_000) is has_trim
