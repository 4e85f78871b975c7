"""KafkaSources: where they send to, and the conditions. The activator reads, and tells how far it has come."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.destinations import (
    Destinations,
    dead_letter_sink_of,
    references,
    resolve_dead_letter_sink,
)
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.controllers.eventing.sinks import resolve_sink
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.kafka_report import report_of
from eventmesh.kube.kafka_source import EVENT_TYPE, KafkaReading, event_source, parse_kafka_source
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import KAFKA_SOURCE
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(
    (
        "SinkProvided",
        "DeadLetterSinkResolved",
        "Deployed",
        "ConnectionEstablished",
        "InitialOffsetsCommitted",
        "OIDCIdentityCreated",
    )
)
"""Knative's, and of the dead letter sink as Triggers have it."""


class KafkaSources:
    """The controller of KafkaSources."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        identities: Identities,
    ) -> None:
        self._api = api
        self._identities = identities
        self._clock = clock
        self._destinations = destinations
        self._sources = informers.of(KAFKA_SOURCE, may_be_absent=True)
        self.controller = Controller("kafkasource", self._sources, self.reconcile, clock, recorder=recorder)
        destinations.follow(self.controller, self._sources, _refers_to)
        identities.follow(self.controller, self._sources)

    async def reconcile(self, key: Key) -> None:
        """Write the sinks' addresses and the conditions."""
        source = self._sources.get(key.name, key.namespace)
        if source is None or is_deleting(source):
            return
        conditions = Conditions(CONDITIONS, conditions_of(source), self._clock.now())
        status = resolve_sink(self._destinations, source, conditions)
        status |= resolve_dead_letter_sink(self._destinations, dead_letter_sink_of(source), conditions)
        status |= await self._identities.ensure(KAFKA_SOURCE, source, conditions)
        if told := (source.get("status") or {}).get("annotations"):
            status["annotations"] = told
        try:
            reading = parse_kafka_source(source)
        except ConfigError as error:
            # Admission refuses it; this tells of one that was stored before.
            conditions.mark_false("Deployed", "SourceInvalid", str(error))
        else:
            self._mark(source, reading, conditions)
            attributes = [event_source(key.namespace, key.name, topic) for topic in reading.topics]
            status["ceAttributes"] = [{"type": EVENT_TYPE, "source": told} for told in attributes]
            # One member of the group reads for all that are asked for.
            status["consumers"] = min(1, reading.consumers)
        status["conditions"] = conditions.result()
        await write_status(self._api, KAFKA_SOURCE, source, status)

    def _mark(self, source: Object, reading: KafkaReading, conditions: Conditions) -> None:
        if not reading.consumers:
            for kind in ("Deployed", "ConnectionEstablished", "InitialOffsetsCommitted"):
                conditions.mark_true(kind, "NoConsumers", "consumers is 0: nothing is read")
            return
        report = report_of(source)
        if report is None:
            conditions.mark_unknown("Deployed", "NotYetReading", "no activator reads what it says yet")
            conditions.mark_unknown("ConnectionEstablished")
            conditions.mark_unknown("InitialOffsetsCommitted")
            return
        conditions.mark_true("Deployed")
        if not report.connected:
            conditions.mark_false("ConnectionEstablished", report.reason, report.problem)
            conditions.mark_unknown("InitialOffsetsCommitted")
            return
        conditions.mark_true("ConnectionEstablished")
        if report.settled:
            conditions.mark_true("InitialOffsetsCommitted")
        else:
            conditions.mark_false("InitialOffsetsCommitted", report.reason, report.problem)


def _refers_to(source: Object) -> tuple[Key | None, ...]:
    return references((source.get("spec") or {}).get("sink")), references(dead_letter_sink_of(source))
