"""The part of control that serves Gateway API: its informers, and the controllers that write statuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from eventmesh.kube.api import Resource
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import GATEWAY, GATEWAY_CLASS, GRPC_ROUTE, HTTP_ROUTE, NAMESPACE, REFERENCE_GRANT
from eventmesh.xds.control.changes import Effect, Handler
from eventmesh.xds.control.gateway_api.status import GatewayClassStatus, GatewayStatus, Obedience, RouteStatus
from eventmesh.xds.control.gateway_api.values import RouteKind
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.promises import Promises, Promising

ROUTES: Mapping[RouteKind, Resource] = {RouteKind.HTTP: HTTP_ROUTE, RouteKind.GRPC: GRPC_ROUTE}


class GatewayApi:
    """What control does for Gateway API beside publishing."""

    def __init__(self, ground: Ground, elsewhere: Callable[[Resource, Key], str | None]) -> None:
        """`elsewhere` returns why a data plane of another replica does not take a route."""
        api, clock, settings, acks = ground.api, ground.clock, ground.settings, ground.acks
        watcher, builder = ground.watcher.gateway_api, ground.builder
        # Kinds that an API may not have been given: it has no such routes, and nobody waits for them.
        own = {
            resource: ground.informers.of(resource, may_be_absent=True)
            for resource in (GATEWAY_CLASS, GATEWAY, *ROUTES.values(), REFERENCE_GRANT)
        }
        self._watcher = watcher
        self._in_force = ground.in_force
        self._builder = builder
        self._told = 0
        self._elsewhere = elsewhere
        host, _ = settings.public
        self._gateways = GatewayStatus(
            api,
            own[GATEWAY],
            clock,
            watcher.current,
            builder.gateway_api,
            acks,
            certificates=lambda: builder.certificates.problems,
            address=settings.public_service if settings.is_gateway_named else host,
        )
        self.routes: Mapping[RouteKind, RouteStatus] = {
            kind: RouteStatus(
                api,
                kind,
                resource,
                own[resource],
                clock,
                watcher.current,
                watcher.invalid.get,
                builder.gateway_api,
                Obedience(acks, self._refusal, self._is_held),
            )
            for kind, resource in ROUTES.items()
        }
        self._classes = GatewayClassStatus(api, own[GATEWAY_CLASS], clock)
        self.parts: tuple[Promising, ...] = (self._classes, self._gateways, *self.routes.values())
        """Controllers with their promises."""

    def watches(self) -> Iterator[tuple[Resource, Handler, Promises | None]]:
        """Yield which kinds are watched, who takes them in, and who keeps promises about them."""
        yield GATEWAY_CLASS, self._watcher.gateway_class, None
        yield GATEWAY, self._watcher.gateway, self._gateways.promises
        yield HTTP_ROUTE, self._watcher.http_route, self.routes[RouteKind.HTTP].promises
        yield GRPC_ROUTE, self._watcher.grpc_route, self.routes[RouteKind.GRPC].promises
        yield REFERENCE_GRANT, self._watcher.grant, None
        yield NAMESPACE, self._watcher.namespace, None

    def changed(self, resource: Resource, key: Key) -> None:
        """Take note that an object of `resource` has another form, or has gone."""
        for kind, own in ROUTES.items():
            if own is resource:
                self._in_force.route_changed(kind, key)

    def published(self) -> None:
        """Have statuses written anew when the routes have been attached anew: what they say may have changed."""
        if self._told == self._builder.gateway_api.builds:
            return
        self._told = self._builder.gateway_api.builds
        world = self._watcher.world
        for key in world.gateways:
            self._gateways.promises.changed(key, Effect.ENDPOINTS)
        for kind, part in self.routes.items():
            for key in (*world.of_kind(kind), *(key for name, key in self._watcher.invalid if name == kind.value)):
                part.promises.changed(key, Effect.ENDPOINTS)

    def refused(self, kind: RouteKind, keys: Sequence[Key]) -> None:
        """Have statuses written of routes that a data plane has refused."""
        for key in keys:
            self.routes[kind].controller.enqueue(key)

    def _refusal(self, kind: RouteKind, key: Key) -> str | None:
        return self._in_force.routes[kind].message(key) or self._elsewhere(ROUTES[kind], key)

    def _is_held(self, kind: RouteKind, key: Key) -> bool:
        return self._in_force.routes[kind].holds(key)
