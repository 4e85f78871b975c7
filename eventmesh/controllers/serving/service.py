"""Service: keeps a Configuration and a Route of its name, and tells what becomes of them."""

from __future__ import annotations

from typing import Any

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.names import ROUTES
from eventmesh.controllers.serving.resources.configuration import configuration, route
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIGURATION, KSERVICE, ROUTE
from eventmesh.kube.status import Conditions, ConditionSet, condition, conditions_of, write_status

CONFIGURATIONS_READY = "ConfigurationsReady"
ROUTES_READY = "RoutesReady"
_CONDITIONS = ConditionSet((CONFIGURATIONS_READY, ROUTES_READY))


class Services:
    """The controller of Knative Services."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._children = Children(api, recorder)
        self._services = informers.of(KSERVICE)
        self._configurations = informers.of(CONFIGURATION)
        self._routes = informers.of(ROUTE)
        self.controller = Controller("service", self._services, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._configurations)
        self.controller.watch_controlled(self._routes)

    async def reconcile(self, key: Key) -> None:
        """Make the children what the Service says and its status what they say."""
        service = self._services.get(key.name, key.namespace)
        if service is None or is_deleting(service):
            return
        conditions = Conditions(_CONDITIONS, conditions_of(service), self._clock.now())
        status: Object = dict(service.get("status") or {})
        await self._configuration(service, status, conditions)
        await self._route(service, status, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, KSERVICE, service, status)

    async def _configuration(self, service: Object, status: Object, conditions: Conditions) -> None:
        wanted = configuration(service)
        try:
            child = await self._children.ensure(self._configurations, wanted, service, kept_annotations=(ROUTES,))
        except NotOwned as error:
            conditions.mark_false(CONFIGURATIONS_READY, "NotOwned", str(error))
            return
        if not _is_observed(child):
            message = "The Configuration is still working to reflect the latest desired specification."
            conditions.mark_unknown(CONFIGURATIONS_READY, "OutOfDate", message)
            return
        _copy(child["status"], status, "latestCreatedRevisionName", "latestReadyRevisionName")
        _propagate(child, conditions, CONFIGURATIONS_READY)

    async def _route(self, service: Object, status: Object, conditions: Conditions) -> None:
        try:
            child = await self._children.ensure(self._routes, route(service), service)
        except NotOwned as error:
            conditions.mark_false(ROUTES_READY, "NotOwned", str(error))
            return
        if not _is_observed(child):
            message = "The Route is still working to reflect the latest desired specification."
            conditions.mark_unknown(ROUTES_READY, "OutOfDate", message)
            return
        _copy(child["status"], status, "url", "address", "traffic")
        _propagate(child, conditions, ROUTES_READY)
        if conditions.is_true(ROUTES_READY) and not _is_migrated(service, status):
            message = "Traffic is not yet migrated to the latest revision."
            conditions.mark_unknown(ROUTES_READY, "TrafficNotMigrated", message)


def _is_observed(obj: Object) -> bool:
    observed: int | None = (obj.get("status") or {}).get("observedGeneration")
    generation: int = obj["metadata"]["generation"]
    return observed == generation


def _copy(source: Object, target: Object, *fields: str) -> None:
    for field in fields:
        if field in source:
            target[field] = source[field]
        else:
            target.pop(field, None)


def _propagate(child: Object, conditions: Conditions, kind: str) -> None:
    ready = condition(child, "Ready")
    if ready is None:
        conditions.mark_unknown(kind)
    else:
        conditions.mark(kind, ready["status"], ready.get("reason", ""), ready.get("message", ""))


def _is_migrated(service: Object, status: Object) -> bool:
    """Return whether the route's traffic is the wanted one, with the newest ready revision where it is asked for."""
    newest = status.get("latestReadyRevisionName")
    wanted = [_share(target, target.get("revisionName") or newest) for target in service["spec"]["traffic"]]
    given = [_share(target, target.get("revisionName")) for target in status.get("traffic") or []]
    return wanted == given


def _share(target: Object, revision: Any) -> tuple[str, object, int]:
    return target.get("tag") or "", revision, target.get("percent") or 0
