"""From a view of objects to what each role is told. Pure but for its memory of what has not changed.

Endpoints are built apart from everything else: a pod that becomes ready is on the path of a cold start, and changes
nothing but endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from eventmesh.kube.objects import Key
from eventmesh.xds.control import envoy
from eventmesh.xds.control.envoy import HttpListener
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import Clusters, Settings
from eventmesh.xds.control.tables import ACTIVATOR, LOCAL, PUBLIC, TableBuilder, Tables
from eventmesh.xds.resource_types import ResourceType

Sets = dict[Role, dict[ResourceType, Mapping[str, Resource]]]

LISTENED_TABLES = {
    Role.GATEWAY: frozenset((PUBLIC, LOCAL)),
    Role.ENVOY: frozenset((PUBLIC, LOCAL)),
    Role.ACTIVATOR: frozenset((ACTIVATOR,)),
}
"""Route tables the listeners of a role refer to: without them a client does not serve."""


class ResourceBuilder:
    """Builds resource sets from views, role by role."""

    def __init__(self, settings: Settings) -> None:
        self._clusters = Clusters(settings)
        self._tables = TableBuilder(settings)
        self._api_listeners: Memo[str, Resource] = Memo()
        self._fixed = _listeners(settings)
        self.conflicts: Mapping[Key, tuple[str, ...]] = {}
        """Hosts that a KIngress lost to an older one in the last full build."""

    def full(self, view: View) -> Sets:
        """Return everything of every role."""
        plain, holding = self._clusters.clusters(view)
        sets = self.endpoints(view)
        tables = self._tables.build(view)
        self.conflicts = tables.conflicts
        for role in Role:
            sets[role][ResourceType.CLUSTER] = holding if role is Role.ACTIVATOR else plain
            sets[role][ResourceType.ROUTE] = _tables_of(role, tables)
            sets[role][ResourceType.LISTENER] = self._fixed.get(role, {})
        sets[Role.GRPC][ResourceType.LISTENER] = {
            host: self._api_listeners.get(host, partial(envoy.api_listener, host, LOCAL)) for host in tables.local_hosts
        }
        self._api_listeners.sweep()
        return sets

    def endpoints(self, view: View, touched: frozenset[Key] | None = None) -> Sets:
        """Return the endpoints of every role, and nothing else.

        `touched` names the Services and revisions that have changed since the last build; None: build all anew.
        """
        everybody, activator = self._clusters.endpoints(view, touched)
        return {role: {ResourceType.ENDPOINT: activator if role is Role.ACTIVATOR else everybody} for role in Role}


def _tables_of(role: Role, tables: Tables) -> dict[str, Resource]:
    match role:
        case Role.GATEWAY | Role.ENVOY:
            found = [tables.public, tables.local]
        case Role.ACTIVATOR:
            found = [tables.activator, tables.activator_local]
        case Role.SIDECAR:
            found = [tables.local, tables.bolt]
        case Role.GRPC:
            found = [tables.local]
    return {table.name: table for table in found}


def _listeners(settings: Settings) -> dict[Role, dict[str, Resource]]:
    def built(*listeners: HttpListener, for_envoy: bool = False) -> dict[str, Resource]:
        return {listener.name: envoy.http_listener(listener, for_envoy=for_envoy) for listener in listeners}

    public = HttpListener("public", *settings.public, table=PUBLIC, via="gateway", is_edge=True)
    local = HttpListener("local", *settings.local, table=LOCAL, via="gateway", is_edge=True)
    activator = HttpListener("activator", *settings.activator, table=ACTIVATOR, via="activator")
    return {
        Role.GATEWAY: built(public, local),
        Role.ENVOY: built(public, local, for_envoy=True),
        Role.ACTIVATOR: built(activator),
    }
