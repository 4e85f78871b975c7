"""Writes what has become of each GatewayClass, Gateway and route: accepted, resolved, programmed when gateways obey."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import GATEWAY, GATEWAY_CLASS
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.gateway_api.attaching import conflicts, port_problem
from eventmesh.xds.control.gateway_api.conditions import Condition, fails, holds, pending, written
from eventmesh.xds.control.gateway_api.hosts import GatewayApiHosts, secret_claimant
from eventmesh.xds.control.gateway_api.reading import is_own_class
from eventmesh.xds.control.gateway_api.rules import parent_of
from eventmesh.xds.control.gateway_api.values import (
    CONTROLLER_NAME,
    GROUP,
    Gateway,
    Listener,
    ParentRef,
    RouteKind,
    World,
)
from eventmesh.xds.control.promises import Promises

SUPPORTED_FEATURES = (
    *("GRPCRoute", "Gateway", "HTTPRoute"),
    *("HTTPRouteBackendRequestHeaderModification", "HTTPRouteBackendTimeout", "HTTPRouteHostRewrite"),
    *("HTTPRouteMethodMatching", "HTTPRouteParentRefPort", "HTTPRoutePathRedirect", "HTTPRoutePathRewrite"),
    *("HTTPRoutePortRedirect", "HTTPRouteQueryParamMatching", "HTTPRouteRequestMirror", "HTTPRouteRequestTimeout"),
    *("HTTPRouteResponseHeaderModification", "HTTPRouteSchemeRedirect", "Mesh", "ReferenceGrant"),
)
"""In the words of the specification's conformance profiles."""

_WAITING = pending("Programmed", "gateways have not acknowledged it yet")


@dataclass(slots=True)
class Obedience:
    """Who has acknowledged which publication, and which routes are held back."""

    acks: AckTracker
    refusal: Callable[[RouteKind, Key], str | None]
    """Returns why a data plane would not take a route; None when all take it."""
    is_held: Callable[[RouteKind, Key], bool]
    """Tells that a route is not in force, or on trial."""


class _Status(ABC):
    """What the controllers of one kind share."""

    def __init__(self, name: str, api: Api, resource: Resource, objects: Informer, clock: Clock) -> None:
        self.promises = Promises()
        self._api = api
        self._resource = resource
        self._objects = objects
        self._clock = clock
        self.controller = Controller(name, objects, self.reconcile, clock)

    async def reconcile(self, key: Key) -> None:
        """Write the status of one object as far as it is known."""
        obj = self._objects.get(key.name, key.namespace)
        if obj is None or is_deleting(obj):
            self.promises.gone(key)
            return
        status = self.status(key, obj)
        if status is not None and status != (obj.get("status") or {}):
            await self._api.replace(self._resource, {**obj, "status": status}, subresource="status")

    @abstractmethod
    def status(self, key: Key, obj: Object) -> Object | None:
        """Return what is to be stored; None: nothing is to be said, or not yet."""

    def _written(self, stored: list[Object], obj: Object, *wanted: Condition) -> list[Object]:
        now = rfc3339(self._clock.now())
        return written(stored, wanted, obj["metadata"].get("generation", 0), now)

    def _programmed(self, key: Key, acks: AckTracker) -> Condition | None:
        """Return whether data planes have the object as it is now; None when it has not been published yet."""
        publication = self.promises.of(key)
        if publication is None:
            return None
        found = acks.of(publication.generation, publication.at)
        if found.ready:
            self.promises.kept(key)
            return holds("Programmed")
        self.promises.reopened(key)
        if found.again_after_s is not None:
            self.controller.enqueue_after(key, found.again_after_s)
        return _WAITING


class GatewayClassStatus(_Status):
    """The controller of GatewayClass status."""

    def __init__(self, api: Api, classes: Informer, clock: Clock) -> None:
        super().__init__("gatewayclass", api, GATEWAY_CLASS, classes, clock)

    def status(self, key: Key, obj: Object) -> Object | None:
        """Accept the classes that are ours."""
        if not is_own_class(obj):
            return None
        accepted = holds("Accepted")
        if (obj.get("spec") or {}).get("parametersRef"):
            accepted = fails("Accepted", ("InvalidParameters", "spec.parametersRef: there are no parameters here"))
        stored = (obj.get("status") or {}).get("conditions") or []
        return {
            "conditions": self._written(stored, obj, accepted),
            "supportedFeatures": [{"name": name} for name in SUPPORTED_FEATURES],
        }


class GatewayStatus(_Status):
    """The controller of Gateway status."""

    def __init__(
        self,
        api: Api,
        gateways: Informer,
        clock: Clock,
        world: Callable[[], World],
        hosts: GatewayApiHosts,
        acks: AckTracker,
        certificates: Callable[[], Mapping[Key, str]],
        address: str,
    ) -> None:
        """`certificates` returns what is wrong with those in use; `address` is where gateways are found."""
        super().__init__("gateway", api, GATEWAY, gateways, clock)
        self._world = world
        self._hosts = hosts
        self._acks = acks
        self._certificates = certificates
        self._address = address

    def status(self, key: Key, obj: Object) -> Object | None:
        """Return conditions and listeners of a Gateway of ours."""
        gateway = self._world().own_gateways().get(key)
        if gateway is None:
            return None
        programmed = self._programmed(key, self._acks)
        if programmed is None:
            return None
        stored = obj.get("status") or {}
        before = {one["name"]: one.get("conditions") or [] for one in stored.get("listeners") or ()}
        listeners = [
            self._listener(gateway, one, obj, programmed, before.get(one.name, [])) for one in gateway.listeners
        ]
        served = [one for one in listeners if _is_true(one, "Accepted")]
        accepted = holds("Accepted")
        if gateway.asks_for_addresses:
            accepted = fails("Accepted", ("UnsupportedAddress", "spec.addresses: gateways have the address they have"))
        elif len(served) < len(listeners):
            bad = ", ".join(one["name"] for one in listeners if one not in served)
            status = "True" if served else "False"
            accepted = Condition("Accepted", status, "ListenersNotValid", f"listeners that are not served: {bad}")
        if accepted.status == "False":
            programmed = fails("Programmed", ("Invalid", "nothing is done about a Gateway that is not accepted"))
        kind = "IPAddress" if self._address.replace(".", "").isdecimal() else "Hostname"
        return {
            "addresses": [{"type": kind, "value": self._address}],
            "conditions": self._written(stored.get("conditions") or [], obj, accepted, programmed),
            "listeners": listeners,
        }

    def _listener(
        self, gateway: Gateway, listener: Listener, obj: Object, programmed: Condition, stored: list[Object]
    ) -> Object:
        conflict, problem = conflicts(gateway).get(listener.name), port_problem(listener, self._hosts.ports)
        resolved = self._resolved(gateway, listener)
        accepted = fails("Accepted", problem) if problem is not None else holds("Accepted")
        conflicted = Condition("Conflicted", "False", "NoConflicts")
        if conflict is not None:
            conflicted = Condition("Conflicted", "True", *conflict)
            accepted = fails("Accepted", conflict)
        if accepted.status != "True" or resolved.status != "True":
            programmed = fails(
                "Programmed", ("Invalid", "the listener is not accepted, or refers to what is not there")
            )
        return {
            "name": listener.name,
            "supportedKinds": [{"group": GROUP, "kind": kind.value} for kind in listener.kinds],
            "attachedRoutes": self._hosts.report.attached.counts.get((gateway.key, listener.name), 0),
            "conditions": self._written(stored, obj, accepted, conflicted, resolved, programmed),
        }

    def _resolved(self, gateway: Gateway, listener: Listener) -> Condition:
        if listener.unknown_kinds:
            known = ", ".join(kind.value for kind in RouteKind)
            return fails("ResolvedRefs", ("InvalidRouteKinds", f"allowedRoutes.kinds: routes there are: {known}"))
        for secret in listener.secrets:
            if secret.namespace != gateway.key.namespace:
                message = f"Secret {secret} is in another namespace; certificates are those of the Gateway's own"
                return fails("ResolvedRefs", ("RefNotPermitted", message))
        problem = self._certificates().get(secret_claimant(gateway.key))
        if listener.is_tls and problem is not None and any(f"Secret {one}" in problem for one in listener.secrets):
            return fails("ResolvedRefs", ("InvalidCertificateRef", problem.removeprefix("spec.tls: ")))
        return holds("ResolvedRefs")


class RouteStatus(_Status):
    """The controller of the status of one kind of routes."""

    def __init__(
        self,
        api: Api,
        kind: RouteKind,
        resource: Resource,
        routes: Informer,
        clock: Clock,
        world: Callable[[], World],
        invalid: Callable[[tuple[str, Key]], str | None],
        hosts: GatewayApiHosts,
        obedience: Obedience,
    ) -> None:
        """`invalid` returns why a route cannot be obeyed."""
        super().__init__(kind.value.lower(), api, resource, routes, clock)
        self._kind = kind
        self._world = world
        self._invalid = invalid
        self._hosts = hosts
        self._obedience = obedience

    def status(self, key: Key, obj: Object) -> Object | None:
        """Return an entry for each parent of ours, beside those that others have written."""
        stored = (obj.get("status") or {}).get("parents") or []
        others = [one for one in stored if one.get("controllerName") != CONTROLLER_NAME]
        own = []
        for ref in (obj.get("spec") or {}).get("parentRefs") or ():
            parent = parent_of(ref, key.namespace)
            if not self._world().owns(parent):
                continue
            conditions = self._conditions(key, parent)
            if conditions is None:
                return None
            before: Object = next((one for one in stored if one not in others and one.get("parentRef") == ref), {})
            entry = {
                "parentRef": ref,
                "controllerName": CONTROLLER_NAME,
                "conditions": self._written(before.get("conditions") or [], obj, *conditions),
            }
            if entry not in own:
                own.append(entry)
        if not own and len(others) == len(stored):
            return None
        return {"parents": [*others, *own]}

    def _conditions(self, key: Key, parent: ParentRef) -> list[Condition] | None:
        id_, report = (self._kind.value, key), self._hosts.report
        invalid = self._invalid(id_)
        nothing = fails("Programmed", ("NotAccepted", "nothing is done about a route that is not accepted"))
        if invalid is not None:
            return [fails("Accepted", ("UnsupportedValue", invalid)), nothing]
        programmed = self._programmed(key, self._obedience.acks)
        if programmed is None:
            return None
        problem, backend = report.rejection(id_, parent), report.backends.get(id_)
        resolved = fails("ResolvedRefs", backend) if backend is not None else holds("ResolvedRefs")
        if problem is not None:
            return [fails("Accepted", problem), resolved, nothing]
        refusal = self._obedience.refusal(self._kind, key)
        if refusal is not None:
            programmed = fails("Programmed", ("ConfigurationRefused", refusal))
        elif self._obedience.is_held(self._kind, key):
            programmed = _WAITING
        return [holds("Accepted"), resolved, programmed]


def _is_true(listener: Object, type_: str) -> bool:
    return any(one["type"] == type_ and one["status"] == "True" for one in listener["conditions"])
