"""What a running control knows about its clients and its routes, as the admin port tells it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from eventmesh.base.clock import rfc3339
from eventmesh.base.errors import UsageError
from eventmesh.kube.api import Object
from eventmesh.xds.control.asked import Asked
from eventmesh.xds.control.builder import ResourceSets
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.readers import kind_of
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import GATEWAY_CLUSTER
from eventmesh.xds.control.status import connection_status
from eventmesh.xds.control.tables import LOCAL, PUBLIC
from eventmesh.xds.resource_types import ResourceType

ENTRANCES: Mapping[str, tuple[Role, str]] = {
    "gateway": (Role.GATEWAY, PUBLIC),
    "gateway-local": (Role.GATEWAY, LOCAL),
    "sidecar": (Role.SIDECAR, LOCAL),
    "activator": (Role.ACTIVATOR, LOCAL),
}
"""Where a request may enter the mesh: the role of the data plane, and the route table it meets there."""


class Observer:
    """Looks at the parts of one control; changes nothing."""

    def __init__(
        self,
        ground: Ground,
        open_promises: Callable[[], int],
        leads: Callable[[], bool],
    ) -> None:
        """`open_promises` returns how many objects wait for acknowledgements, `leads` whether this replica writes."""
        self._informers = ground.informers
        self._watcher = ground.watcher
        self._builder = ground.builder
        self._cache = ground.cache
        self._acks = ground.acks
        self._metrics = ground.metrics
        self._settings = ground.settings
        self._clock = ground.clock
        self._open_promises = open_promises
        self._identities = ground.identities
        self._leads = leads

    def status(self) -> dict[str, Any]:
        """Return who is connected, on which versions, and who refused what."""
        now = self._clock.monotonic()
        expiry = self._identities.expiry if self._identities is not None else lambda _: None
        clients = [connection_status(connection, now, expiry) for connection in self._acks.connections()]
        clients.sort(key=lambda client: (client["role"], client["namespace"], client["node"]))
        found = {"generation": self._cache.generation, "awaited": self._open_promises(), "clients": clients}
        return {**found, "leading": self._leads()}

    def metrics(self) -> str:
        """Return all counters as Prometheus text."""
        streams = Counter(connection.stream.node.role.value for connection in self._acks.connections())
        gauges = {
            "generation": float(self._cache.generation),
            "objects_awaiting_acknowledgement": float(self._open_promises()),
            "leading": float(self._leads()),
        }
        if self._identities is not None:
            self._metrics.renewals = self._identities.renewals
            expiries = self._identities.expiries()
            gauges["certificates"] = float(len(expiries))
            if expiries:
                gauges["certificate_expiry_seconds"] = (min(expiries) - self._clock.now()).total_seconds()
        return self._metrics.render(streams, gauges)

    async def rotate(self, what: str) -> dict[str, Any]:
        """Replace every certificate in use, or begin to move to a new root; raises UsageError and UnavailableError."""
        if self._identities is None:
            raise UsageError("this control certifies nobody")
        match what:
            case "certificates":
                return {"replaced": await self._identities.replace_certificates()}
            case "root":
                self._identities.replace_root()
                return {"replaced": 0}
        raise UsageError(f"{what!r} cannot be rotated; certificates and root can")

    def explain(self, role: str, namespace: str, asked: Asked) -> dict[str, Any]:
        """Return what happens to a request that enters the mesh at `role`, hop by hop; raises UsageError."""
        if role not in ENTRANCES:
            raise UsageError(f"--as {role!r} is not one of {', '.join(ENTRANCES)}")
        hops = [self._hop(role, namespace, asked)]
        shares = hops[0]["outcome"].get("forward", ())
        if [share["cluster"] for share in shares] == [GATEWAY_CLUSTER]:
            hops.append(self._hop("gateway-local", "", asked))
        return {"host": asked.host, "path": asked.path, "method": asked.method, "hops": hops}

    def _hop(self, entrance: str, namespace: str, asked: Asked) -> dict[str, Any]:
        # Loaded when somebody asks: it reads configurations as a data plane does, which control itself never needs to.
        from eventmesh.xds.control.explain import explain

        role, table = ENTRANCES[entrance]
        audience = Audience(role, namespace if role is Role.SIDECAR else "")
        return {"at": entrance, "namespace": audience.namespace, **explain(self._sets(audience), table, asked)}

    def _sets(self, audience: Audience) -> ResourceSets:
        current = self._cache.current(audience)
        return {type_: current.of(type_) for type_ in ResourceType}

    def preview(self, objects: list[Object]) -> dict[str, Any]:
        """Return what would be pushed if `objects` were as given; raises UsageError."""
        from eventmesh.xds.control.preview import preview

        merged = [self._merged(obj) for obj in objects]
        known = [dataclasses.replace(audience, identity=None) for audience in self._cache.audiences()]
        audiences = [*known, Audience(Role.GATEWAY)]
        found = preview(self._watcher, self._settings, merged, audiences)
        counted = Counter((role.value, namespace) for role, namespace in self._audiences())
        changes = [
            {**change.to_json(), "clients": counted[change.audience.role.value, change.audience.namespace]}
            for change in found.changes
        ]
        return {"changes": changes, "unread": list(found.unread), "invalid": list(found.invalid)}

    def _audiences(self) -> list[tuple[Role, str]]:
        statuses = (connection_status(connection, 0.0) for connection in self._acks.connections())
        return [(Role(status["role"]), status["namespace"]) for status in statuses]

    def _merged(self, obj: object) -> Object:
        """Return the object as it would be stored: with the metadata that the API has given it, or would."""
        if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict) or "name" not in obj["metadata"]:
            raise UsageError("an object needs apiVersion, kind and metadata.name")
        metadata = obj["metadata"]
        kind = kind_of(obj)
        known = (
            None if kind is None else self._informers.of(kind).get(metadata["name"], metadata.get("namespace") or "")
        )
        if known is None:
            return {**obj, "metadata": {"creationTimestamp": rfc3339(self._clock.now()), **metadata}}
        joined = {**known["metadata"], **metadata}
        for kept in ("labels", "annotations"):
            joined[kept] = {**(known["metadata"].get(kept) or {}), **(metadata.get(kept) or {})}
        return {**known, **obj, "metadata": joined}
