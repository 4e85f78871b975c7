"""The variables of a program that sees the machine's own files. Cheap to import: the launcher does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from eventmesh.cluster.runtime.launcher_process import product_pythonpath

_INHERITED: Final = ("LANG", "LC_ALL", "TZ", "HOME", "SSL_CERT_FILE")
"""What a function needs of its user's surroundings; the rest stays outside, so that it runs alike everywhere."""


def surroundings() -> dict[str, str]:
    """Return what every such program is given before its image and its pod say more."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env["PYTHONPATH"] = product_pythonpath({})
    env["PYTHONUNBUFFERED"] = "1"
    return env
