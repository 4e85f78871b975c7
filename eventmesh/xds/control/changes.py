"""What a change of objects can affect: how much must be built again, and of what."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key

CLUSTER_SCOPED = ""
"""The namespace of what has none: protocol declarations."""


class Effect(Enum):
    """How much must be built again."""

    NOTHING = 0
    ENDPOINTS = 1
    EVERYTHING = 2


Handler = Callable[[Object | None, Object | None], Effect]
"""Takes (old, new) in, as informers tell it, and returns what must be built again."""


@frozen
class Changed:
    """What must be built again."""

    namespaces: frozenset[str] = frozenset()
    """Everything of these."""
    endpoints: frozenset[Key] = frozenset()
    """The endpoints of these Services and revisions."""
    routes: bool = False
    """The routes of Gateway API, as far as they or what they lead to have changed."""
