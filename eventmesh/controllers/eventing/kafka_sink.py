"""KafkaSinks: the address and the conditions. The activator writes (`activator.kafka_sink`), and tells how it goes."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.addresses import Addresses, Entrance
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.names import kafka_sink_url
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.kafka_report import report_of
from eventmesh.kube.kafka_sink import parse_kafka_sink
from eventmesh.kube.knative import KAFKA_SINK_INGRESS
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import KAFKA_SINK
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("Addressable", "DataPlaneAvailable", "TopicReady", "EventPoliciesReady"))
"""Of Knative's, those that mean something where the activator is told by the object itself."""


_ENTRANCE = Entrance(KAFKA_SINK_INGRESS)


class KafkaSinks:
    """The controller of KafkaSinks."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        recorder: EventRecorder,
        policies: AppliedPolicies,
        addresses: Addresses,
    ) -> None:
        self._api = api
        self._addresses = addresses
        self._policies = policies
        self._clock = clock
        self._sinks = informers.of(KAFKA_SINK, may_be_absent=True)
        self.controller = Controller("kafkasink", self._sinks, self.reconcile, clock, recorder=recorder)
        policies.follow(self.controller, self._sinks)
        addresses.follow(self.controller, self._sinks, _ENTRANCE)

    async def reconcile(self, key: Key) -> None:
        """Write address and conditions."""
        sink = self._sinks.get(key.name, key.namespace)
        if sink is None or is_deleting(sink):
            return
        conditions = Conditions(CONDITIONS, conditions_of(sink), self._clock.now())
        status = self._policies.mark(conditions, (KAFKA_SINK, sink))
        if told := (sink.get("status") or {}).get("annotations"):
            status["annotations"] = told
        url = kafka_sink_url(key.namespace, key.name)
        status |= self._addresses.mark(conditions, KAFKA_SINK, sink, url, _ENTRANCE)
        _mark(sink, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, KAFKA_SINK, sink, status)


def _mark(sink: Object, conditions: Conditions) -> None:
    try:
        parse_kafka_sink(sink)
    except ConfigError as error:
        # Admission refuses it; this tells of one that was stored before.
        conditions.mark_false("TopicReady", "SinkInvalid", str(error))
        return
    report = report_of(sink)
    if report is None:
        conditions.mark_unknown("DataPlaneAvailable", "NotYetServed", "no activator serves what it says yet")
        conditions.mark_unknown("TopicReady")
        return
    conditions.mark_true("DataPlaneAvailable")
    if report.settled:
        conditions.mark_true("TopicReady")
    else:
        conditions.mark_false("TopicReady", report.reason, report.problem)
