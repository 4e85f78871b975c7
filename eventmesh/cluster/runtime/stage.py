"""Where a pod is in its life, as far as its own machine goes; Kubernetes' phase is told from it."""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """Where the pod is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    DRAINING = "draining"
    """Told to go: the sidecar finishes what is in flight."""
    STOPPING = "stopping"
    """The functions were told to stop."""
    GONE = "gone"
