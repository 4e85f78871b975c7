"""Which Kubernetes this is to its clients."""

from __future__ import annotations

from typing import Final

KUBERNETES_VERSION: Final = ("1", "33", "0")
"""The release whose behaviour is reproduced; clients compare their own with it."""

GIT_VERSION: Final = f"v{'.'.join(KUBERNETES_VERSION)}+eventmesh"
