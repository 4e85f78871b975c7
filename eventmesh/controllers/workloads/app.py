"""The workload controllers together."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.workloads.cronjob import CronJobs
from eventmesh.controllers.workloads.deployment import Deployments
from eventmesh.controllers.workloads.endpoints import ServiceEndpoints
from eventmesh.controllers.workloads.horizontal import HorizontalAutoscalers
from eventmesh.controllers.workloads.job import Jobs
from eventmesh.controllers.workloads.mirrored_endpoints import MirroredEndpoints
from eventmesh.controllers.workloads.replicaset import ReplicaSets
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers


class WorkloadControllers:
    """Runs the controllers of Deployments, ReplicaSets, (Cron)Jobs, autoscalers and endpoints over shared informers."""

    def __init__(self, api: Api, informers: Informers, clock: Clock) -> None:
        self.deployments = Deployments(api, informers, clock, EventRecorder(api, "deployment-controller", clock))
        self.replica_sets = ReplicaSets(api, informers, clock, EventRecorder(api, "replicaset-controller", clock))
        self.jobs = Jobs(api, informers, clock, EventRecorder(api, "job-controller", clock))
        self.cron_jobs = CronJobs(api, informers, clock, EventRecorder(api, "cronjob-controller", clock))
        self.horizontal = HorizontalAutoscalers(
            api, informers, clock, EventRecorder(api, "horizontal-pod-autoscaler", clock)
        )
        self.endpoints = ServiceEndpoints(api, informers, clock, EventRecorder(api, "endpoint-controller", clock))
        self.mirrored = MirroredEndpoints(
            api, informers, clock, EventRecorder(api, "endpoint-slice-mirroring-controller", clock)
        )
        self._controllers = (
            self.deployments.controller,
            self.replica_sets.controller,
            self.jobs.controller,
            self.cron_jobs.controller,
            self.horizontal.controller,
            self.endpoints.controller,
            self.mirrored.controller,
        )

    def start(self) -> None:
        """Begin to work; the informers are expected to have synced."""
        for controller in self._controllers:
            controller.start()

    async def stop(self) -> None:
        """Stop; objects stay as they are."""
        for controller in self._controllers:
            await controller.stop()
