"""What clients that have shown an identity are told beyond all others: their certificate, the roots, and to speak mTLS.

A revision is known by its Revision and a Service by the pods that it selects, so that a pod that becomes ready changes
endpoints and nothing else. A Service with one pod that has no sidecar is spoken to in clear text as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control import securing
from eventmesh.xds.control.access.published import INBOUND, inbound_listener
from eventmesh.xds.control.grpc_servers import GrpcListeners
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.objects import MtlsMode, View, Workload
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import BROKER_CLUSTER, GATEWAY_CLUSTER
from eventmesh.xds.control.shards import Sharded
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.tables import ACTIVATOR, LOCAL
from eventmesh.xds.identity.issuer import Identities, Renewed
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE, SpiffeId
from eventmesh.xds.resource_types import ResourceType

_log = log.get("xds.mtls")


_VARIANTS: Final = 3
"""Of one cluster: as most see it, as the activator does, and as proxyless gRPC clients do."""

_MAX_LISTENERS: Final = 256
"""Kept in both forms. There are as many as namespaces differ in their policies; one made anew costs a millisecond."""

_MUTUAL: Final = {
    Role.GATEWAY: frozenset({LOCAL}),
    Role.ENVOY: frozenset({LOCAL}),
    Role.ACTIVATOR: frozenset({ACTIVATOR}),
}
"""Listeners for workloads; the public one is for clients of the mesh's edge, who have no identity."""

_WITH_INBOUND: Final = (Role.ACTIVATOR, Role.SIDECAR)

_INBOUND_LISTENER: Final = inbound_listener(())

Named = Mapping[str, Resource]
Peers = tuple[SpiffeId, ...]


@frozen
class _Seen:
    """A set of clusters and who was at their other ends, and what it became by that."""

    plain: Sharded[Resource]
    peers: Sharded[Peers]
    secured: Sharded[Resource]


_NOTHING_SEEN: Final = _Seen(Sharded(), Sharded(), Sharded())


class _PodsByLabel:
    """The pods of a namespace, found by what a Service selects: there may be thousands of both."""

    def __init__(self, workloads: Mapping[Key, Workload]) -> None:
        self.workloads = workloads
        self._by_label: dict[tuple[str, str], list[Workload]] = {}
        for workload in workloads.values():
            for label in workload.labels.items():
                self._by_label.setdefault(label, []).append(workload)

    def selected(self, selector: Mapping[str, str]) -> list[Workload]:
        """Return the pods that bear all labels of `selector`, which has one at least."""
        rarest = min((self._by_label.get(label, []) for label in selector.items()), key=len)
        return [workload for workload in rarest if selector.items() <= workload.labels.items()]


class MeshMtls:
    """Secures what audiences with an identity are told."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        parts = identities.parts
        self._of_mesh: dict[str, Peers] = {BROKER_CLUSTER: (parts.activator,), GATEWAY_CLUSTER: (parts.gateway,)}
        self._peers: dict[str, dict[str, Peers]] = {}
        """By namespace; without those that have none."""
        self._known: Sharded[Peers] = Sharded(self._of_mesh)
        """All of them together."""
        self._pods: dict[str, _PodsByLabel] = {}
        self._modes: dict[str, MtlsMode] = {}
        self._seen: dict[Audience, _Seen] = {}
        """By who sees it; sidecars of a namespace see the same."""
        self._secured: dict[str, dict[tuple[Resource, Peers, bool], Resource]] = {}
        """By the name of a cluster: what it became, by what it was, who is at the other end, and whether its reader has
        certificates by himself."""
        self._mutual: dict[tuple[Resource, bool], Resource] = {}

    def renew(self, namespace: str, view: View, clusters: Named) -> bool:
        """Take in a namespace with its clusters; return whether clients elsewhere are concerned."""
        pods = self._pods_of(namespace, view.workloads)
        peers = {name: found for name in clusters if (found := self._peers_of(name, view, pods))}
        self._renew_peers(namespace, peers)
        if view == View():
            self._seen.pop(Audience(Role.SIDECAR, namespace), None)
            self._pods.pop(namespace, None)
        before = self._modes.get(namespace)
        # Of several in one namespace the first by name holds, whatever the order in which they came.
        mode = view.mtls[min(view.mtls)] if view.mtls else None
        if mode is None:
            self._modes.pop(namespace, None)
        else:
            self._modes[namespace] = mode
        return namespace == SYSTEM_NAMESPACE and mode is not before

    def _renew_peers(self, namespace: str, peers: dict[str, Peers]) -> None:
        before = self._peers.pop(namespace, {})
        if peers:
            self._peers[namespace] = peers
        gone = before.keys() - peers.keys() - self._of_mesh.keys()
        changed = {name: found for name, found in peers.items() if before.get(name) != found}
        self._known = self._known.replaced({name: self._of_mesh.get(name, one) for name, one in changed.items()}, gone)
        for name in gone:
            self._secured.pop(name, None)

    def mode(self, namespace: str) -> MtlsMode:
        """Return what the inbound side of a namespace's workloads takes."""
        return self._modes.get(namespace) or self._modes.get(SYSTEM_NAMESPACE) or MtlsMode.PERMISSIVE

    def told(self, audience: Audience, plain: Mapping[ResourceType, Named]) -> dict[ResourceType, Named]:
        """Return what `audience` is told instead of `plain`."""
        identity = audience.identity
        if identity is not None and audience.role is Role.GRPC:
            # It has its certificates by itself, and would refuse a cluster that names any by SDS.
            listeners = plain.get(ResourceType.LISTENER, {})
            return {
                **plain,
                ResourceType.CLUSTER: self._clusters(audience, plain.get(ResourceType.CLUSTER, {})),
                ResourceType.LISTENER: listeners.secured() if isinstance(listeners, GrpcListeners) else listeners,
            }
        if identity is None:
            # A strict mesh trusts nobody by their word, and so with no key, those of its hosts included.
            told = dict(plain)
            if self.mode(SYSTEM_NAMESPACE) is MtlsMode.STRICT:
                told[ResourceType.SECRET] = {}
            listeners = plain.get(ResourceType.LISTENER, {})
            if isinstance(listeners, GrpcListeners) and self.mode(audience.namespace) is MtlsMode.STRICT:
                told[ResourceType.LISTENER] = listeners.without_servers()  # They would speak clear text.
            return told
        return {
            **plain,
            ResourceType.CLUSTER: self._clusters(audience, plain.get(ResourceType.CLUSTER, {})),
            ResourceType.LISTENER: self._listeners(audience, plain.get(ResourceType.LISTENER, {})),
            ResourceType.SECRET: {**plain.get(ResourceType.SECRET, {}), **self.secrets(identity)},
        }

    def follow(self, cache: SnapshotCache) -> None:
        """Tell the audiences of `cache` of new roots and certificates, which are renewed while somebody has them."""

        def bearers() -> dict[Audience, SpiffeId]:
            audiences = cache.audiences()
            return {one: one.identity for one in audiences if one.identity is not None and one.role is not Role.GRPC}

        def renewed(what: Renewed) -> None:
            told = {
                audience: {ResourceType.SECRET: {**cache.current(audience).of(ResourceType.SECRET), **secrets}}
                for audience, identity in bearers().items()
                if what.roots or identity in what.identities
                for secrets in (self.secrets(identity),)
            }
            cache.update(told)

        self._identities.listen(renewed, lambda identity: identity in bearers().values())

    def secrets(self, identity: SpiffeId) -> Named:
        """Return the certificate of `identity` and the roots to trust; without one that can be issued, the roots."""
        found = [securing.roots_secret(self._identities.bundle())]
        if not self._identities.makes_keys:
            return {secret.name: secret for secret in found}
        try:
            found.append(securing.own_secret(self._identities.current(identity)))
        except UnavailableError as error:
            # The client goes on with what it has: nothing else must wait for this.
            _log.error("no certificate", identity=identity, reason=error)
        return {secret.name: secret for secret in found}

    def versions(self, cluster: str) -> set[str]:
        """Return the versions of a cluster that are told to somebody."""
        return {secured.version for secured in self._secured.get(cluster, {}).values()}

    # -- listeners

    def _listeners(self, audience: Audience, plain: Named) -> Named:
        identity = audience.identity
        strict = identity is not None and self.mode(identity.namespace) is MtlsMode.STRICT
        names = _MUTUAL.get(audience.role, frozenset())
        found = {
            name: self._listener(listener, strict) if name in names else listener for name, listener in plain.items()
        }
        if audience.role in _WITH_INBOUND:
            found[INBOUND] = self._listener(plain.get(INBOUND, _INBOUND_LISTENER), strict)
        return found

    def _listener(self, plain: Resource, strict: bool) -> Resource:
        key = (plain, strict)
        if key not in self._mutual:
            if len(self._mutual) >= _MAX_LISTENERS:
                self._mutual.clear()
            self._mutual[key] = securing.mutual(plain, self._identities.trust_domain, strict=strict)
        return self._mutual[key]

    # -- clusters

    def _clusters(self, audience: Audience, plain: Named) -> Named:
        # All that ask on demand pick from the same, and so do all gRPC clients.
        is_scoped = audience.role is Role.SIDECAR and not audience.on_demand
        reader = Audience(audience.role, audience.namespace if is_scoped else "", on_demand=audience.on_demand)
        clusters, peers = plain if isinstance(plain, Sharded) else Sharded(plain), self._known
        seen = self._seen.get(reader, _NOTHING_SEEN)
        if seen.plain is clusters and seen.peers is peers:
            return seen.secured
        differing = clusters.differing(seen.plain) | peers.differing(seen.peers)
        put = {name: self._secured_one(one, audience.role) for name in differing if (one := clusters.get(name))}
        secured = seen.secured.replaced(put, differing - put.keys())
        self._seen[reader] = _Seen(clusters, peers, secured)
        return secured

    def _secured_one(self, plain: Resource, role: Role) -> Resource:
        peers = self._known.get(plain.name)
        return plain if peers is None else self._cluster(plain, peers, role is Role.GRPC)

    def _cluster(self, plain: Resource, peers: Peers, provided: bool) -> Resource:
        known = self._secured.setdefault(plain.name, {})
        found = known.get((plain, peers, provided))
        if found is None:
            found = known[plain, peers, provided] = securing.secured(plain, peers, provided=provided)
            if len(known) > _VARIANTS:
                del known[next(iter(known))]
        return found

    def _pods_of(self, namespace: str, workloads: Mapping[Key, Workload]) -> _PodsByLabel:
        known = self._pods.get(namespace)
        if known is None or known.workloads is not workloads:
            known = self._pods[namespace] = _PodsByLabel(workloads)
        return known

    def _peers_of(self, cluster: str, view: View, known: _PodsByLabel) -> Peers:
        """Return who may be at the other end; empty: somebody without an identity."""
        namespace, _, rest = cluster.partition("/")
        name, _, port = rest.partition(":")
        key = Key(namespace, name)
        if not port:
            account = view.accounts.get(key)
            # Its pods, or the activator in their place while it is at zero.
            return () if not account else (self._identities.of(namespace, account), self._identities.parts.activator)
        service = view.services.get(key)
        if service is None or not service.selector:
            return ()
        pods = known.selected(service.selector)
        if not pods or not all(pod.account for pod in pods):
            return ()
        return tuple(sorted({self._identities.of(namespace, pod.account) for pod in pods}))
