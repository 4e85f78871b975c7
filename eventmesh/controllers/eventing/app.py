"""The eventing controllers together."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing.broker import Brokers
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.controllers.eventing.trigger import Triggers
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers


class EventingControllers:
    """Runs the controllers of Brokers and Triggers over shared informers."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, *, external_ingress: str = "") -> None:
        """`external_ingress` is the URL at which brokers can be reached from outside the mesh, if they can."""
        destinations = Destinations(informers)
        recorder = EventRecorder(api, "eventing-controller", clock)
        self.brokers = Brokers(api, informers, destinations, clock, recorder, external_ingress)
        self.triggers = Triggers(api, informers, destinations, clock, recorder)

    def start(self) -> None:
        """Begin to work; the informers are expected to have synced."""
        self.brokers.controller.start()
        self.triggers.controller.start()

    async def stop(self) -> None:
        """Stop; objects stay as they are."""
        await self.brokers.controller.stop()
        await self.triggers.controller.stop()
