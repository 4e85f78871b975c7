"""JobSinks: the address and the conditions. The activator takes events in and starts Jobs (`activator.job_sink`)."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.names import job_sink_url
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import JOB_SINK
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("Addressable", "EventPoliciesReady"))


class JobSinks:
    """The controller of JobSinks."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder, policies: AppliedPolicies
    ) -> None:
        self._api = api
        self._policies = policies
        self._clock = clock
        self._sinks = informers.of(JOB_SINK)
        self.controller = Controller("jobsink", self._sinks, self.reconcile, clock, recorder=recorder)
        policies.follow(self.controller, self._sinks)

    async def reconcile(self, key: Key) -> None:
        """Write address, selector and conditions."""
        sink = self._sinks.get(key.name, key.namespace)
        if sink is None or is_deleting(sink):
            return
        conditions = Conditions(CONDITIONS, conditions_of(sink), self._clock.now())
        conditions.mark_true("Addressable")
        status = self._policies.mark(conditions, (JOB_SINK, sink))
        address = {"name": "http", "url": job_sink_url(key.namespace, key.name)}
        status["address"] = self._policies.with_audience(JOB_SINK, sink, address)
        status["job"] = {"selector": f"sinks.knative.dev/job-sink-name={key.name}"}
        status["conditions"] = conditions.result()
        await write_status(self._api, JOB_SINK, sink, status)
