"""ServerlessService: keeps the two Kubernetes Services of a revision. Its status is written by control."""

from __future__ import annotations

import asyncio

from eventmesh.base.clock import Clock
from eventmesh.base.errors import PermanentError
from eventmesh.controllers.autoscaler.resources import private_service, public_service
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import SERVERLESS_SERVICE, SERVICE


class ServerlessServices:
    """The controller of ServerlessServices, as far as Kubernetes Services go."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._children = Children(api)
        self._serverless = informers.of(SERVERLESS_SERVICE)
        self._services = informers.of(SERVICE)
        self.controller = Controller("serverlessservice", self._serverless, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._services)

    async def reconcile(self, key: Key) -> None:
        """Make both Services what they should be; raises PermanentError when a name is somebody else's."""
        serverless = self._serverless.get(key.name, key.namespace)
        if serverless is None or is_deleting(serverless):
            return
        try:
            await asyncio.gather(
                self._children.ensure(self._services, private_service(serverless), serverless),
                self._children.ensure(self._services, public_service(serverless), serverless),
            )
        except NotOwned as error:
            raise PermanentError(str(error)) from error
