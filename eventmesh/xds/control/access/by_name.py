"""Filters of access by name (ECDS), for proxies whose listeners are their own: an Envoy beside a workload.

Our own sidecars are told the same in the listener `inbound` (docs/adr/0074-filters-by-name.md). There are always three:
a proxy's listener names them once, and does not know which of them policies have something to say by. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig

from eventmesh.kube.api import Object
from eventmesh.xds.control import resources
from eventmesh.xds.control.access.emitting import ALLOW, DENY, JWT, encoded, filters_of, passing
from eventmesh.xds.control.access.values import (
    Action,
    AuthorizationPolicy,
    Labels,
    Policy,
    PythonFilter,
    RequestAuthentication,
)
from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.resource_types import ResourceType

NAMES: Final = (JWT, DENY, ALLOW)
"""In the order in which they stand in a chain."""


def filter_of(policy: Policy) -> str:
    """Return which of the three a policy becomes; empty for a filter in Python, which no other proxy can run."""
    match policy:
        case PythonFilter():
            return ""
        case RequestAuthentication():
            return JWT
        case AuthorizationPolicy(action=Action.ALLOW):
            return ALLOW
        case _:
            return DENY  # Also of those who should be asked about, for nobody can be asked here.


def said(view: View) -> tuple[Mapping[Any, object], ...]:
    """Return what workloads are told of access in a namespace; quick to compare where nothing has changed."""
    return view.authorizations, view.authentications, view.key_sets


class FiltersByName(Answering):
    """The filters of the workloads with some labels. They are made when somebody asks, which few do."""

    __slots__ = ("_documents", "_known", "_labels", "_views")

    def __init__(self, views: tuple[View, ...], labels: Labels) -> None:
        """`views` are those of the mesh's own namespace and of the workload's, where there are policies."""
        self._views = views
        self._labels = labels
        self._documents: dict[str, Object] = {}
        self._known: dict[str, Resource] = {}

    def documents(self) -> dict[str, Object]:
        """Return the filters by name, as documents.

        Nobody can be asked by a filter that is not among the three: whom rules mean that ask is refused.
        """
        if not self._documents:
            key_sets = next((view.key_sets for view in self._views if view.key_sets), {})
            found = {one["name"]: one for one in filters_of(self._views, self._labels, {}, key_sets)}
            self._documents = {name: found.get(name) or passing(name) for name in NAMES}
        return self._documents

    def __getitem__(self, name: str) -> Resource:
        known = self._known.get(name)
        if known is None:
            config = encoded(self.documents()[name]).typed_config
            message = made(TypedExtensionConfig, name=name, typed_config=config)
            known = self._known[name] = resources.from_message(ResourceType.EXTENSION, name, message)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def differing(self, before: FiltersByName) -> frozenset[str]:
        """Return the names of filters that are not what they were."""
        # Most changes of a namespace are not of its policies, and few clients ask: nothing is made for those.
        same = [said(view) for view in self._views] == [said(view) for view in before._views]
        if same and self._labels == before._labels:
            return frozenset()
        was, now = before.documents(), self.documents()
        return frozenset(name for name in NAMES if was[name] != now[name])

    def touched(self, names: Set[str], keys: Set[str]) -> frozenset[str]:
        """Return those of `names` that are among `keys`."""
        return frozenset(names & keys)
