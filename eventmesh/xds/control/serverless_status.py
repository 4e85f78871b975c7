"""Writes where a revision's requests go: the status of ServerlessServices.

A revision that goes to sleep is first put into Proxy mode; its pods may only end when every data plane sends to the
activator. That moment is `EndpointsPopulated` True with the new `observedGeneration`; until then the status stays as
it was. The two Services of a revision are somebody else's (`controllers.autoscaler`).
"""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import SERVERLESS_SERVICE
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.objects import private_service_of
from eventmesh.xds.control.promises import Promises

KINDS = ConditionSet(("EndpointsPopulated",))
ACTIVATOR = "ActivatorEndpointsPopulated"

BY_REVISION = "private service of"


class ServerlessStatus:
    """The controller of ServerlessService status."""

    def __init__(self, api: Api, serverless: Informer, services: Informer, clock: Clock, acks: AckTracker) -> None:
        self.promises = Promises()
        self._api = api
        self._serverless = serverless
        self._services = services
        self._clock = clock
        self._acks = acks
        self._services.add_index(BY_REVISION, _revision_of)
        self.controller = Controller("serverless-status", serverless, self.reconcile, clock)
        self.controller.watch(services, lambda service: filter(None, (private_service_of(service),)))

    async def reconcile(self, key: Key) -> None:
        """Write the status once the data plane has acknowledged the mode and the revision has its Services."""
        sks = self._serverless.get(key.name, key.namespace)
        if sks is None or is_deleting(sks):
            self.promises.gone(key)
            return
        publication = self.promises.of(key)
        private = self._services.by_index(BY_REVISION, str(key))
        if publication is None or not private:
            return  # Enqueued again by the publication, or by the Service.
        acks = self._acks.of(publication.generation, publication.at)
        if acks.ready:
            await self._write_ready(sks, private[0]["metadata"]["name"])
            self.promises.kept(key)
        elif acks.again_after_s is not None:
            self.controller.enqueue_after(key, acks.again_after_s)

    async def _write_ready(self, sks: Object, private: str) -> None:
        conditions = Conditions(KINDS, conditions_of(sks), self._clock.now())
        conditions.mark_true("EndpointsPopulated")
        conditions.mark(ACTIVATOR, "True" if sks["spec"].get("mode") == "Proxy" else "False")
        status = {
            "conditions": conditions.result(),
            "serviceName": sks["metadata"]["name"],
            "privateServiceName": private,
        }
        await write_status(self._api, SERVERLESS_SERVICE, sks, status)


def _revision_of(service: Object) -> tuple[str, ...]:
    revision = private_service_of(service)
    return (str(revision),) if revision else ()
