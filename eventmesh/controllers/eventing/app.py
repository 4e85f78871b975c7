"""The eventing controllers together."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing import parallel, sequence
from eventmesh.controllers.eventing.admission.injection import Injection
from eventmesh.controllers.eventing.api_server_source import ApiServerSources
from eventmesh.controllers.eventing.broker import Brokers
from eventmesh.controllers.eventing.channel import Channels
from eventmesh.controllers.eventing.container_source import ContainerSources
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.controllers.eventing.event_type import EventTypes
from eventmesh.controllers.eventing.flow import Flows
from eventmesh.controllers.eventing.in_memory_channel import InMemoryChannels
from eventmesh.controllers.eventing.job_sink import JobSinks
from eventmesh.controllers.eventing.ping_source import PingSources
from eventmesh.controllers.eventing.sink_binding import CREATED_ONLY, SUBJECTS, SinkBindings
from eventmesh.controllers.eventing.subscription import Subscriptions
from eventmesh.controllers.eventing.trigger import Triggers
from eventmesh.kube.admission import Admission
from eventmesh.kube.api import Api, Resource
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import PARALLEL, SEQUENCE, SINK_BINDING


class EventingControllers:
    """Runs the controllers of the kinds of Eventing over shared informers."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        *,
        external_ingress: str = "",
        external_dispatcher: str = "",
    ) -> None:
        """`external_ingress` is the URL at which brokers can be reached from outside the mesh, if they can;
        `external_dispatcher` that of channels."""
        destinations = Destinations(informers)
        recorder = EventRecorder(api, "eventing-controller", clock)
        self._bindings = informers.of(SINK_BINDING)
        shared = (api, informers, destinations, clock, recorder)
        self._controllers = [
            made.controller
            for made in (
                Brokers(*shared, external_ingress),
                Triggers(*shared),
                Channels(api, informers, clock, recorder),
                InMemoryChannels(*shared, external_dispatcher),
                Subscriptions(*shared),
                Flows(SEQUENCE, sequence.plan, sequence.status, api, informers, clock, recorder),
                Flows(PARALLEL, parallel.plan, parallel.status, api, informers, clock, recorder),
                EventTypes(*shared),
                JobSinks(api, informers, clock, recorder),
                PingSources(*shared),
                ApiServerSources(*shared),
                SinkBindings(*shared),
                ContainerSources(api, informers, clock, recorder),
            )
        ]

    def injections(self, admissions: Mapping[Resource, Admission]) -> dict[Resource, Admission]:
        """Return the admissions of kinds that SinkBindings may be about, each around the kind's own in `admissions`."""
        return {
            subject: Injection(subject, admissions.get(subject), self._bindings, created_only=subject in CREATED_ONLY)
            for subject in SUBJECTS
        }

    def start(self) -> None:
        """Begin to work; the informers are expected to have synced."""
        for controller in self._controllers:
            controller.start()

    async def stop(self) -> None:
        """Stop; objects stay as they are."""
        for controller in self._controllers:
            await controller.stop()
