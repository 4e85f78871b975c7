"""The listener that says what the inbound side of a workload does before its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from eventmesh.kube.api import Object
from eventmesh.xds.control import envoy
from eventmesh.xds.control.access.emitting import encoded, filters_of
from eventmesh.xds.control.access.values import Labels, Policy, selects
from eventmesh.xds.control.envoy import HttpListener
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

INBOUND: Final = "inbound"
"""The listener that says how a workload's own inbound listeners speak TLS, and whom they let through. Its address is a
placeholder, Istio's of `virtualInbound`: the workload knows better where it listens."""
_PLACEHOLDER: Final = ("0.0.0.0", 15006)  # noqa: S104 - never bound


def inbound_listener(filters: Iterable[Object]) -> Resource:
    """Return the listener with these filters before its router."""
    return envoy.http_listener(HttpListener(INBOUND, *_PLACEHOLDER, table=""), filters=map(encoded, filters))


class InboundAccess:
    """Keeps the policies of access of all namespaces, and what workloads are told of them."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self._listeners: dict[tuple[str, frozenset[tuple[str, str]]], tuple[list[Object], Resource]] = {}

    def renew(self, namespace: str, view: View) -> bool:
        """Take in a namespace; return whether workloads elsewhere are concerned."""
        before = self._views.get(namespace, View())
        changed = (before.authorizations, before.authentications) != (view.authorizations, view.authentications)
        if view.authorizations or view.authentications:
            self._views[namespace] = view
        else:
            self._views.pop(namespace, None)
        return namespace == SYSTEM_NAMESPACE and changed

    def policies(self, namespace: str, labels: Labels) -> list[Policy]:
        """Return the policies that select a workload with these labels."""
        found: list[Policy] = []
        for view in (self._views[name] for name in (SYSTEM_NAMESPACE, namespace) if name in self._views):
            found += view.authorizations.values()
            found += view.authentications.values()
        return [policy for policy in found if selects(policy.selector, labels)]

    def filters(self, namespace: str, labels: Labels) -> list[Object]:
        """Return the filters, as documents, of a workload with these labels."""
        names = dict.fromkeys((SYSTEM_NAMESPACE, namespace))
        return filters_of((self._views[name] for name in names if name in self._views), labels)

    def listeners(self, namespace: str, labels: frozenset[tuple[str, str]]) -> Mapping[str, Resource]:
        """Return the listener that a workload is told; none without a policy that selects it."""
        filters = self.filters(namespace, dict(labels)) if self._views else []
        if not filters:
            self._listeners.pop((namespace, labels), None)
            return {}
        known = self._listeners.get((namespace, labels))
        if known is None or known[0] != filters:
            known = self._listeners[namespace, labels] = filters, inbound_listener(filters)
        return {INBOUND: known[1]}
