"""Whether a pod's functions may be forked from a prepared interpreter instead of starting one (docs/functions.md)."""

from __future__ import annotations

from typing import Final

from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of

WARM_START: Final = "eventmesh.io/warm-start"
"""Annotation of a pod, or of the template that it is made from: `"true"` or `"false"`, which is the default."""

VALUES: Final = ("true", "false")


def warm_start(pod: Object) -> str:
    """Return what the pod says, `"false"` when it says nothing; anything but one of `VALUES` is a mistake."""
    return annotations_of(pod).get(WARM_START, "false")
