"""Where the programs are that others wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

TOOLS = Path(__file__).parents[2] / ".tools" / "bin"
"""Where `make peers` puts what is not on PATH."""

_ELSEWHERE = f"{TOOLS}:/usr/sbin:/usr/local/sbin"
"""Servers are packaged where the PATH of a user does not lead."""


def tool(name: str) -> str:
    """Return the path of a program; a test that needs one which is not there fails and says how it is to be had."""
    found = shutil.which(name) or shutil.which(name, path=_ELSEWHERE)
    assert found, f"{name} is neither on PATH nor in {TOOLS}; run `make peers`"
    return found
