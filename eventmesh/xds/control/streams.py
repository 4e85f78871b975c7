"""One ADS stream: its subscriptions, and the order between them that keeps every request answerable.

Pure: requests, configurations and the time go in, responses come out. `server` writes them.

* One response per type is in flight; what changes meanwhile is merged into the next.
* Clusters, endpoints, listeners, routes, in that order. Routes that may name a new cluster wait until the client
  has acknowledged the cluster's endpoints, at most `ROUTES_WAIT_S`.
* A changed cluster warms again and waits for its endpoints although they are the same, so they are sent again.
* A removed cluster stays until the client has acknowledged routes without it, and `CLUSTER_LINGER_S` longer.
* A client that asks for virtual hosts on demand is told of the clusters to which these lead, and of no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.bundles import shared_names
from eventmesh.xds.control.messages import Node, Request, Role
from eventmesh.xds.control.on_demand import HostsOnDemand
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.subscriptions import Push, Refusal, Subscription, Variant
from eventmesh.xds.resource_types import BY_URL, PUSH_ORDER, ResourceType

ROUTES_WAIT_S = 5.0
"""Longest wait of routes for the endpoints of new clusters. Measured need: 2-6 ms; a client that takes longer than
this is broken, and fresh routes with a few 503 serve it better than old routes for ever."""

CLUSTER_LINGER_S = 5.0
"""A removed cluster outlives its last route this long, so that requests which chose it just before can connect."""

Changes = Mapping[ResourceType, frozenset[str]]
"""Names that differ from the generation before, by type."""


@dataclass(slots=True)
class _Lingering:
    """A cluster that is no longer configured but may still be routed to by this client."""

    since_generation: int
    due: float | None = None

    def is_over(self, now: float) -> bool:
        return self.due is not None and self.due <= now


_ROUTES: Final = (ResourceType.ROUTE, ResourceType.VIRTUAL_HOST)
"""What names clusters, and waits for them."""

_UNASKED: Final = {type_: Subscription(type_, Variant.DELTA) for type_ in ResourceType}
"""What there is to see of a type that a client has not asked for. Never changed."""


@dataclass(slots=True)
class Stream:
    """The state of one stream. `configure` and `receive` never send; `pushes` returns all that may go now."""

    variant: Variant
    configuration: Configuration
    node: Node = field(default_factory=Node)
    capped_waits: int = 0
    """How often routes went out without the endpoints they waited for."""
    forced_endpoints: int = 0
    """How many endpoint sets were sent again because their cluster had changed."""
    _subscriptions: dict[ResourceType, Subscription] = field(default_factory=dict)
    """Of the types that the client has asked for: the others cost a stream nothing."""
    _lingering: dict[str, _Lingering] = field(default_factory=dict)
    _awaited: frozenset[str] = frozenset()
    """New clusters whose endpoints the client has not acknowledged yet."""
    _stale_endpoints: frozenset[str] = frozenset()
    """State of the world: changed clusters whose endpoints the client will ask for again with an old nonce."""
    _routes_due: float | None = None
    _sent: int = 0

    def subscription(self, type_: ResourceType) -> Subscription:
        """Return the state of one type; to look at."""
        return self._subscriptions.get(type_) or _UNASKED[type_]

    def receive(self, request: Request, now: float) -> Refusal | None:
        """Take in a request; return the refusal it carries, if any. A type we do not serve is never answered.

        Who the client is was said, and proved, by the first request: a node in a later one is not looked at.
        """
        type_ = BY_URL.get(request.type_url)
        if type_ is None:
            return None
        subscription = self._subscriptions.get(type_)
        if subscription is None:
            subscription = self._subscriptions[type_] = Subscription(type_, self.variant)
        answered = subscription.in_flight
        refusal = subscription.receive(request, self.configuration)
        if answered is not None and subscription.in_flight is None and type_ is ResourceType.ENDPOINT:
            # An endpoint set that was refused is not waited for either: it will not come.
            self._awaited = self._awaited.difference(answered.bundle.names)
        if refusal is not None and type_ is ResourceType.CLUSTER:
            # Nobody will ask for the endpoints of a cluster that was refused.
            self._awaited = self._awaited.difference(refusal.names)
        if type_ is ResourceType.ENDPOINT and (again := self._stale_endpoints & subscription.names):
            self.forced_endpoints += len(again)
            subscription.force |= again
            self._stale_endpoints -= again
        asks = type_ is ResourceType.VIRTUAL_HOST and (subscription.force or request.unsubscribe)
        if type_ is ResourceType.CLUSTER or asks:
            self._cover_clusters()
        self._date_lingering(now)
        return refusal

    def configure(self, configuration: Configuration, changes: Changes) -> None:
        """Take a newer configuration into account; `changes` are the names that differ from the last one given."""
        self.configuration = configuration
        # What is no longer configured will never be acknowledged: nobody waits for it.
        if self._awaited:
            served = configuration.of(ResourceType.ENDPOINT)
            self._awaited = frozenset(name for name in self._awaited if name in served)
        for type_, subscription in self._subscriptions.items():
            if type_ in changes:
                found, changed = configuration.of(type_), changes[type_]
                if isinstance(found, Answering):
                    changed |= found.touched(subscription.names, changed)
                subscription.changed(changed, configuration)
        if changes.keys() & {ResourceType.VIRTUAL_HOST, ResourceType.LISTENER}:
            # Listeners have filters, and these may ask other services than before.
            self._cover_clusters()

    def _cover_clusters(self) -> None:
        """Have everything that the client may be told of clusters be those which its routes and filters need."""
        clusters = self._subscriptions.get(ResourceType.CLUSTER)
        hosts = self.configuration.of(ResourceType.VIRTUAL_HOST)
        if clusters is not None and isinstance(hosts, HostsOnDemand):
            clusters.cover(hosts.clusters(self.subscription(ResourceType.VIRTUAL_HOST).names))

    def acknowledged(self, routes: frozenset[str]) -> int:
        """Return the generation up to which this client serves everything, -1 before it does.

        `routes` are the route tables that must be among those it has acknowledged.
        """
        clusters, listeners = (self.subscription(t) for t in (ResourceType.CLUSTER, ResourceType.LISTENER))
        tables, filters = self.subscription(ResourceType.ROUTE), self.subscription(ResourceType.EXTENSION)
        asks_for_more = clusters.active or listeners.active or tables.active
        if self.node.role is Role.SIDECAR and filters.active and not asks_for_more:
            return filters.acknowledged  # An Envoy beside a workload, whose listeners and routes are its own.
        needed = [clusters, tables]
        if self.node.role in (Role.GATEWAY, Role.ENVOY, Role.ACTIVATOR) or listeners.active:
            needed.append(listeners)
        if not all(s.active for s in needed) or not (tables.wildcard or routes <= tables.names):
            return -1
        optional = (self.subscription(ResourceType.ENDPOINT), self.subscription(ResourceType.VIRTUAL_HOST), filters)
        needed += [asked for asked in optional if asked.active]
        return min(s.acknowledged for s in needed)

    def pushes(self, now: float) -> list[Push]:
        """Return every response that may be written now, in order."""
        self._date_lingering(now)
        out = []
        may_go: bool | None = None
        for type_ in PUSH_ORDER:
            subscription = self._subscriptions.get(type_)
            if type_ in _ROUTES and may_go is None:
                may_go = self._routes_may_go(now)
            if subscription is None or subscription.in_flight is not None or (type_ in _ROUTES and not may_go):
                continue
            push = self._push(subscription, now)
            if push is None:
                subscription.settle(self.configuration.generation)
            else:
                out.append(push)
        self._date_lingering(now)
        return out

    def wake_at(self) -> float | None:
        """Return when `pushes` must be called again although nothing came in; None when never."""
        times = [linger.due for linger in self._lingering.values() if linger.due is not None]
        if self.subscription(ResourceType.CLUSTER).in_flight is not None:
            times.clear()  # The removal has to wait for the answer anyway.
        if self._routes_due is not None:
            times.append(self._routes_due)
        return min(times, default=None)

    def _push(self, subscription: Subscription, now: float) -> Push | None:
        type_ = subscription.type
        if type_ is ResourceType.CLUSTER:
            subscription.dirty |= {name for name, linger in self._lingering.items() if linger.is_over(now)}
        update, gone, due = subscription.compare(self.configuration)
        if type_ is ResourceType.CLUSTER:
            kept, gone = self._keep(subscription, gone, now)
            if not update and not gone and kept and due:
                return None
        elif type_ is ResourceType.ENDPOINT:
            # A cluster that lingers keeps its endpoints; the client drops them with the cluster.
            clusters = self.subscription(ResourceType.CLUSTER).held
            held = [name for name in gone if subscription.held.holds(name) and clusters.holds(name)]
            gone = [name for name in gone if name not in held]
            due = due and bool(update or gone or not held)
        if not due:
            return None
        before = frozenset(one.name for one in update if subscription.held.holds(one.name))
        push = subscription.send(update, gone, self._lingering, self.configuration, self._nonce())
        if push is not None and type_ is ResourceType.CLUSTER:
            self._clusters_sent(push, before)
        return push

    def _keep(self, subscription: Subscription, gone: list[str], now: float) -> tuple[list[str], list[str]]:
        """Split `gone` into clusters to keep for now and clusters to remove."""
        configured = self.configuration.of(ResourceType.CLUSTER)
        wanted = [name for name in self._lingering if name in configured and subscription.wants(name)]
        for name in {*wanted, *(name for name in self._lingering if not subscription.held.holds(name))}:
            del self._lingering[name]  # It has come back, or the client itself has dropped it.
        if not self.subscription(ResourceType.ROUTE).active:
            return [], gone
        kept, remove = [], []
        for name in gone:
            if not subscription.held.holds(name):
                remove.append(name)  # Asked for, never there: say so at once.
                continue
            linger = self._lingering.setdefault(name, _Lingering(self.configuration.generation))
            if linger.is_over(now):
                del self._lingering[name]
                remove.append(name)
            else:
                kept.append(name)
        return kept, remove

    def _clusters_sent(self, push: Push, before: frozenset[str]) -> None:
        """Have endpoints follow the clusters that were sent; `before` are those of which the client held a version."""
        endpoints = self.subscription(ResourceType.ENDPOINT)
        served = self.configuration.of(ResourceType.ENDPOINT)
        changed = push.changed & before
        fresh = (name for name in push.changed - changed if name in served and name not in endpoints.held.accepted)
        self._awaited = shared_names(self._awaited.union(fresh).difference(push.removed))
        if self.variant is Variant.SOTW:
            self._stale_endpoints |= changed
        elif again := changed & endpoints.names:
            self.forced_endpoints += len(again)
            endpoints.force |= again

    def _routes_may_go(self, now: float) -> bool:
        clusters = self.subscription(ResourceType.CLUSTER)
        # What the client still owes an answer for is not about to go.
        routes = [one for one in map(self.subscription, _ROUTES) if one.in_flight is None]
        idle = not any(one.dirty or one.force or one.answer_due for one in routes)
        ready = clusters.in_flight is None and not clusters.dirty and not self._awaited
        if idle or ready:
            self._routes_due = None
            return True
        if self._routes_due is None:
            self._routes_due = now + ROUTES_WAIT_S
        if now < self._routes_due:
            return False
        self.capped_waits += 1
        self._routes_due = None
        self._awaited = frozenset()
        return True

    def _date_lingering(self, now: float) -> None:
        """Start the clock of clusters that no acknowledged route names any more."""
        if not self._lingering:
            return
        referrers = (self.subscription(t) for t in (*_ROUTES, ResourceType.LISTENER))
        served = min((s.acknowledged for s in referrers if s.active), default=0)
        for linger in self._lingering.values():
            if linger.due is None and served >= linger.since_generation:
                linger.due = now + CLUSTER_LINGER_S

    def _nonce(self) -> str:
        self._sent += 1
        return str(self._sent)
