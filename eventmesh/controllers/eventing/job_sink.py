"""JobSinks: the address and the conditions. The activator takes events in and starts Jobs (`activator.job_sink`)."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing.addresses import Addresses, Entrance
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.names import job_sink_url
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import JOB_SINK_INGRESS
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import JOB_SINK
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("Addressable", "EventPoliciesReady"))

_ENTRANCE = Entrance(JOB_SINK_INGRESS)


class JobSinks:
    """The controller of JobSinks."""

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
        self._sinks = informers.of(JOB_SINK)
        self.controller = Controller("jobsink", self._sinks, self.reconcile, clock, recorder=recorder)
        policies.follow(self.controller, self._sinks)
        addresses.follow(self.controller, self._sinks, _ENTRANCE)

    async def reconcile(self, key: Key) -> None:
        """Write address, selector and conditions."""
        sink = self._sinks.get(key.name, key.namespace)
        if sink is None or is_deleting(sink):
            return
        conditions = Conditions(CONDITIONS, conditions_of(sink), self._clock.now())
        status = self._policies.mark(conditions, (JOB_SINK, sink))
        status |= self._addresses.mark(conditions, JOB_SINK, sink, job_sink_url(key.namespace, key.name), _ENTRANCE)
        status["job"] = {"selector": f"sinks.knative.dev/job-sink-name={key.name}"}
        status["conditions"] = conditions.result()
        await write_status(self._api, JOB_SINK, sink, status)
