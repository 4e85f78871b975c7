"""What gRPC channels without a proxy (`xds:///HOST`) ask for: a listener and a route table for each host, no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from eventmesh.xds.control import envoy
from eventmesh.xds.control.hosts import Entry
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.tables import joined
from eventmesh.xds.resource_types import ResourceType


class Proxyless:
    """Builds them; what has not changed is the same object again."""

    def __init__(self, cluster_domain: str) -> None:
        self._suffix = f".svc.{cluster_domain}"
        self._built: Memo[tuple[str, bytes], tuple[Resource, Resource]] = Memo()
        self._sets: dict[ResourceType, Mapping[str, Resource]] | None = None

    def forget(self) -> None:
        """Take note that hosts have changed."""
        self._sets = None

    def sets(self, entries: Iterable[Entry]) -> dict[ResourceType, Mapping[str, Resource]]:
        """Return listeners and route tables of the full names of Services and functions among `entries`; these are
        looked at once after each change, whoever asks."""
        if self._sets is None:
            self._sets = self._build(entries)
        return self._sets

    def _build(self, entries: Iterable[Entry]) -> dict[ResourceType, Mapping[str, Resource]]:
        built = {
            host: self._built.get((host, shown.field), partial(_of_host, host, shown.field))
            for entry in entries
            # Filters are what channels would refuse.
            for shown in (entry.bare or entry.host,)
            for host in entry.host.domains
            if host.endswith(self._suffix)
        }
        self._built.sweep()
        return {
            ResourceType.LISTENER: {host: listener for host, (listener, _) in built.items()},
            ResourceType.ROUTE: {host: table for host, (_, table) in built.items()},
        }


def _of_host(host: str, virtual_host: bytes) -> tuple[Resource, Resource]:
    return envoy.api_listener(host, host), joined(host, [virtual_host])
