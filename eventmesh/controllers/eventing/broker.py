"""Brokers of class EventMesh: the address and the conditions. Any other class is left alone."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing.addresses import Addresses, Entrance
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.destinations import (
    Destinations,
    dead_letter_sink_of,
    references,
    resolve_dead_letter_sink,
)
from eventmesh.controllers.eventing.names import broker_url
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.objects import Key, annotations_of, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import BROKER
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(
    (
        "IngressReady",
        "TriggerChannelReady",
        "FilterReady",
        "Addressable",
        "DeadLetterSinkResolved",
        "EventPoliciesReady",
    )
)
"""Those of Knative's own broker, so that what people know to look for is there."""


class Brokers:
    """The controller of Brokers."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        policies: AppliedPolicies,
        addresses: Addresses,
        entrance: Entrance,
    ) -> None:
        self._api = api
        self._addresses = addresses
        self._entrance = entrance
        self._clock = clock
        self._destinations = destinations
        self._policies = policies
        self._brokers = informers.of(BROKER)
        self.controller = Controller("broker", self._brokers, self.reconcile, clock, recorder=recorder)
        destinations.follow(self.controller, self._brokers, lambda obj: [references(dead_letter_sink_of(obj))])
        policies.follow(self.controller, self._brokers)
        addresses.follow(self.controller, self._brokers, entrance)

    async def reconcile(self, key: Key) -> None:
        """Write address and conditions."""
        broker = self._brokers.get(key.name, key.namespace)
        if broker is None or is_deleting(broker) or annotations_of(broker).get(CLASS_ANNOTATION) != BROKER_CLASS:
            return
        conditions = Conditions(CONDITIONS, conditions_of(broker), self._clock.now())
        for kind in ("IngressReady", "TriggerChannelReady", "FilterReady"):
            conditions.mark_true(kind)
        plain = broker_url(key.namespace, key.name)
        status = self._addresses.mark(conditions, BROKER, broker, plain, self._entrance)
        status |= self._policies.mark(conditions, (BROKER, broker))
        status |= resolve_dead_letter_sink(self._destinations, dead_letter_sink_of(broker), conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, BROKER, broker, status)
