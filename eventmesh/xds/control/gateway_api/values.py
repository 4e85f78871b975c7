"""Gateway API objects as control sees them. Immutable and hashable: encoded virtual hosts are kept by them.

What a route matches and how it edits headers are values of the data plane's own model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.kube.selectors import LabelSelector
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import HeaderEdits, Redirect
from eventmesh.xds.control.policy.values import RoutePolicy

GROUP = "gateway.networking.k8s.io"

CONTROLLER_NAME = "eventmesh.io/gateway-controller"
"""`spec.controllerName` of the GatewayClasses that are ours."""

Labels = tuple[tuple[str, str], ...]


class RouteKind(Enum):
    """Kinds of routes, by their names in Kubernetes."""

    HTTP = "HTTPRoute"
    GRPC = "GRPCRoute"


class Admits(Enum):
    """Whose routes a listener takes (`allowedRoutes.namespaces.from`)."""

    ALL = "All"
    SAME = "Same"
    SELECTOR = "Selector"
    NONE = "None"


@frozen
class Listener:
    """A listener of a Gateway."""

    name: str
    port: int
    is_tls: bool = False
    hostname: str = ""
    """Empty: every host."""
    secrets: tuple[Key, ...] = ()
    admits: Admits = Admits.SAME
    selector: LabelSelector = LabelSelector()
    """Of namespaces, for Admits.SELECTOR."""
    kinds: tuple[RouteKind, ...] = (RouteKind.HTTP, RouteKind.GRPC)
    unknown_kinds: bool = False
    """It names kinds of routes that there are not here."""
    problem: tuple[str, str] | None = None
    """Why it cannot be served: (reason of the condition Accepted, message)."""


@frozen
class Gateway:
    """A Gateway of one of our classes, or of another."""

    key: Key
    created: str
    generation: int
    class_name: str
    listeners: tuple[Listener, ...]
    asks_for_addresses: bool = False


@frozen
class ParentRef:
    """What a route wants to be attached to."""

    kind: str
    key: Key
    section: str = ""
    port: int = 0


@frozen
class Backend:
    """A share of a rule's requests."""

    service: Key
    port: int
    weight: int = 1
    request: HeaderEdits = HeaderEdits()
    response: HeaderEdits = HeaderEdits()
    problem: tuple[str, str] | None = None
    """Why it is nothing that requests could be sent to: (reason of the condition ResolvedRefs, message)."""


@frozen
class Copy:
    """A backend that gets copies of a share of the requests, and whose answers nobody waits for."""

    backend: Backend
    millionths: int


@frozen
class Rewrite:
    """What becomes of host and path on the way to the backend; empty: they stay."""

    host: str = ""
    path: str = ""
    """In place of the whole path."""
    prefix: str = ""
    """In place of the matched prefix."""


@frozen
class Rule:
    """Requests that match one of `matches` go to the backends, or are redirected."""

    matches: tuple[RouteMatch, ...]
    backends: tuple[Backend, ...] = ()
    request: HeaderEdits = HeaderEdits()
    response: HeaderEdits = HeaderEdits()
    rewrite: Rewrite = Rewrite()
    redirect: Redirect | None = None
    policy: RoutePolicy | None = None
    """Timeouts and retries."""
    copies: tuple[Copy, ...] = ()

    @property
    def references(self) -> tuple[Backend, ...]:
        """Return every backend that the rule names."""
        return (*self.backends, *(copy.backend for copy in self.copies))


@frozen
class Route:
    """An HTTPRoute or a GRPCRoute."""

    kind: RouteKind
    key: Key
    created: str
    generation: int
    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...]
    rules: tuple[Rule, ...]

    @property
    def id(self) -> RouteId:
        """Return which object it is, of whichever kind."""
        return self.kind.value, self.key

    @property
    def age(self) -> tuple[str, Key]:
        """Return what decides between two routes that want the same: the older one, then the first by name."""
        return self.created, self.key


RouteId = tuple[str, Key]
"""Kind and key."""


@frozen
class Grant:
    """A ReferenceGrant: who may refer to objects of its namespace from elsewhere."""

    key: Key
    sources: frozenset[tuple[str, str]]
    """(kind, namespace) of those who refer."""
    targets: frozenset[tuple[str, str]]
    """(kind, name) of what they may refer to; an empty name is every one."""


@frozen
class World:
    """All Gateway API objects there are, at one moment. Replaced, never changed."""

    classes: Mapping[str, bool] = field(default_factory=dict)
    """GatewayClasses by name: are they ours?"""
    gateways: Mapping[Key, Gateway] = field(default_factory=dict)
    routes: Mapping[RouteId, Route] = field(default_factory=dict)
    grants: Mapping[Key, Grant] = field(default_factory=dict)
    labels: Mapping[str, Labels] = field(default_factory=dict)
    """Of namespaces."""

    def of_kind(self, kind: RouteKind) -> Mapping[Key, Route]:
        """Return the routes of one kind."""
        return {route.key: route for route in self.routes.values() if route.kind is kind}

    def own_gateways(self) -> Mapping[Key, Gateway]:
        """Return the Gateways of our classes."""
        return {key: one for key, one in self.gateways.items() if self.classes.get(one.class_name)}

    def owns(self, parent: ParentRef) -> bool:
        """Tell whether what becomes of a route at `parent` is ours to say."""
        return parent.kind == "Service" or (parent.kind == "Gateway" and parent.key in self.own_gateways())

    def permits(self, kind: str, namespace: str, target_kind: str, target: Key) -> bool:
        """Tell whether objects of `kind` in `namespace` may refer to `target`."""
        if namespace == target.namespace:
            return True
        wanted = {(target_kind, ""), (target_kind, target.name)}
        return any(
            grant.key.namespace == target.namespace
            and (kind, namespace) in grant.sources
            and not wanted.isdisjoint(grant.targets)
            for grant in self.grants.values()
        )
