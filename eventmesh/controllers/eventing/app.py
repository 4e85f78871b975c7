"""The eventing controllers together."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing import parallel, sequence
from eventmesh.controllers.eventing.addresses import BROKERS, CHANNELS, Addresses, Entrance
from eventmesh.controllers.eventing.admission.brokers import TriggerAdmission
from eventmesh.controllers.eventing.admission.injection import Injection
from eventmesh.controllers.eventing.admission.policies import EventPolicyAdmission
from eventmesh.controllers.eventing.api_server_source import ApiServerSources
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.broker import Brokers
from eventmesh.controllers.eventing.channel import Channels
from eventmesh.controllers.eventing.container_source import ContainerSources
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.controllers.eventing.event_policy import EventPolicies
from eventmesh.controllers.eventing.event_type import EventTypes
from eventmesh.controllers.eventing.flow import Flows
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.controllers.eventing.in_memory_channel import InMemoryChannels
from eventmesh.controllers.eventing.job_sink import JobSinks
from eventmesh.controllers.eventing.kafka_sink import KafkaSinks
from eventmesh.controllers.eventing.kafka_source import KafkaSources
from eventmesh.controllers.eventing.ping_source import PingSources
from eventmesh.controllers.eventing.request_reply import RequestReplies
from eventmesh.controllers.eventing.sink_binding import CREATED_ONLY, SUBJECTS, SinkBindings
from eventmesh.controllers.eventing.subscription import Subscriptions
from eventmesh.controllers.eventing.trigger import Triggers
from eventmesh.controllers.eventing.trust_bundles import TrustBundleCopies
from eventmesh.kube.admission import Admission
from eventmesh.kube.api import Api, Resource
from eventmesh.kube.eventing_features import FeatureStore
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import CONFIG_MAP, EVENT_POLICY, PARALLEL, SEQUENCE, SINK_BINDING, TRIGGER


class EventingControllers:
    """Runs the controllers of the kinds of Eventing over shared informers."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        *,
        brokers: Entrance = BROKERS,
        channels: Entrance = CHANNELS,
        through_sidecars: bool = False,
    ) -> None:
        """`brokers` and `channels` say where they can be reached from outside the mesh, if they can;
        `through_sidecars`, that pods have no other way out than their sidecars."""
        destinations = Destinations(informers)
        recorder = EventRecorder(api, "eventing-controller", clock)
        self._bindings = informers.of(SINK_BINDING)
        self._features = FeatureStore(informers.of(CONFIG_MAP))
        policies = AppliedPolicies(informers, self._features)
        addresses = Addresses(informers, self._features)
        bundles = TrustBundleCopies(api, informers, clock, recorder)
        shared = (api, informers, destinations, clock, recorder)
        sending = (*shared, Identities(api, informers, self._features))
        self._controllers = [
            made.controller
            for made in (
                Brokers(*shared, policies, addresses, brokers),
                Triggers(*sending, self._features),
                Channels(api, informers, clock, recorder, policies),
                InMemoryChannels(*shared, policies, addresses, channels),
                Subscriptions(*sending),
                Flows(SEQUENCE, sequence.plan, sequence.status, api, informers, clock, recorder, policies),
                Flows(PARALLEL, parallel.plan, parallel.status, api, informers, clock, recorder, policies),
                EventTypes(*shared),
                JobSinks(api, informers, clock, recorder, policies, addresses),
                KafkaSinks(api, informers, clock, recorder, policies, addresses),
                RequestReplies(api, informers, clock, recorder, policies, addresses),
                PingSources(*sending),
                ApiServerSources(*sending),
                KafkaSources(*sending),
                SinkBindings(*sending, bundles, through_sidecars=through_sidecars),
                ContainerSources(api, informers, clock, recorder),
                EventPolicies(api, informers, clock, recorder, self._features),
                bundles,
            )
        ]

    def admissions(self, admissions: Mapping[Resource, Admission]) -> dict[Resource, Admission]:
        """Return `admissions` with those that need to know what there is: of EventPolicies and Triggers, and of
        the kinds that SinkBindings may be about, each around the kind's own."""
        injections = {
            subject: Injection(subject, admissions.get(subject), self._bindings, created_only=subject in CREATED_ONLY)
            for subject in SUBJECTS
        }
        policies = EventPolicyAdmission(lambda: self._features.current.authentication)
        triggers = TriggerAdmission(lambda: self._features.current.cross_namespace)
        return {**admissions, **injections, EVENT_POLICY: policies, TRIGGER: triggers}

    def start(self) -> None:
        """Begin to work; the informers are expected to have synced."""
        for controller in self._controllers:
            controller.start()

    async def stop(self) -> None:
        """Stop; objects stay as they are."""
        for controller in self._controllers:
            await controller.stop()
