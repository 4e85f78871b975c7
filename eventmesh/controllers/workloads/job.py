"""Job: pods of one template that run to their end, as many as it wants to succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import TemporaryError
from eventmesh.controllers.workloads.job_plan import TRACKING, Plan, plan
from eventmesh.controllers.workloads.pods import pod_of
from eventmesh.controllers.workloads.unseen import UnseenWrites
from eventmesh.kube.api import Api, ApiError, Object, Propagation
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, controller_of, is_deleting, key_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import JOB, POD

MAX_PODS_AT_ONCE: Final = 50
"""Pods created in one pass, as for a ReplicaSet; the rest follows when these are seen."""

RETRY_S: Final = 3.0
"""After a pod was refused, as for a ReplicaSet."""

ORPHANS: Final = "job-orphans"
"""Index of pods that wait for a Job to count them, by the namespace and name of that Job."""


class Jobs:
    """The controller of Jobs."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._recorder = recorder
        self._jobs = informers.of(JOB)
        self._pods = informers.of(POD)
        self._pods.add_index(ORPHANS, _job_of_tracked)
        self._unseen = UnseenWrites(api, self._pods)
        self._written: dict[str, int] = {}
        """By uid, the version of a Job after our last write of its status: an older one in the cache counts wrongly."""
        self._jobs.add_handler(self._forget)
        self.controller = Controller("jobs", self._jobs, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._pods, settle_s=SETTLE_S)

    async def reconcile(self, key: Key) -> None:
        """Bring the Job forward, and let go the pods of one that is gone."""
        job = self._jobs.get(key.name, key.namespace)
        uid = job["metadata"]["uid"] if job is not None else ""
        waiting = self._pods.by_index(ORPHANS, str(key))
        leaving = job is None or is_deleting(job)
        orphans = [pod for pod in waiting if leaving or (controller_of(pod) or {}).get("uid") != uid]
        await asyncio.gather(*(self._release(pod) for pod in orphans))
        if job is None or is_deleting(job) or not self._unseen.settled(uid):
            return
        if int(job["metadata"]["resourceVersion"]) < self._written.get(uid, 0):
            return
        await self._carry_out(job, plan(job, self._unseen.pods_of(uid), self._clock.now()))

    async def _carry_out(self, job: Object, wanted: Plan) -> None:
        metadata = job["metadata"]
        if wanted.outlived:
            await self._api.delete(
                JOB, metadata["name"], metadata["namespace"], uid=metadata["uid"], propagation=Propagation.FOREGROUND
            )
            return
        if wanted.status != (job.get("status") or {}):
            stored = await self._api.replace(JOB, {**job, "status": wanted.status}, subresource="status")
            self._written[metadata["uid"]] = int(stored["metadata"]["resourceVersion"])
        for kind, reason, message in wanted.events:
            await self._recorder.record(job, kind, reason, message)
        await asyncio.gather(*(self._release(pod) for pod in wanted.release))
        await asyncio.gather(*(self._delete(job, pod) for pod in wanted.delete))
        await asyncio.gather(*(self._create(job) for _ in range(min(wanted.create, MAX_PODS_AT_ONCE))))
        if wanted.wake_after_s is not None:
            # One second later than due: stamps are whole seconds.
            self.controller.enqueue_after(key_of(job), wanted.wake_after_s + 1.0)

    async def _create(self, job: Object) -> None:
        metadata = job["metadata"]
        pod = pod_of(JOB, job)
        pod["metadata"]["finalizers"] = [TRACKING]
        try:
            made = await self._unseen.create(pod, metadata["uid"], metadata["namespace"])
        except ApiError as error:
            await self._recorder.record(job, EventKind.WARNING, "FailedCreate", f"Error creating: {error.message}")
            raise TemporaryError(error.message, RETRY_S) from error
        await self._recorder.record(
            job, EventKind.NORMAL, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}"
        )

    async def _delete(self, job: Object, pod: Object) -> None:
        await self._unseen.delete(pod)
        await self._recorder.record(
            job, EventKind.NORMAL, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}"
        )

    async def _release(self, pod: Object) -> None:
        metadata = pod["metadata"]
        kept = [name for name in metadata.get("finalizers") or () if name != TRACKING]
        change = {"metadata": {"uid": metadata["uid"], "finalizers": kept or None}}
        try:
            await self._api.patch(POD, metadata["name"], change, metadata["namespace"])
        except ApiError as error:
            if not (error.not_found or error.conflict):
                raise

    def _forget(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._written.pop(old["metadata"]["uid"], None)


def _job_of_tracked(pod: Object) -> Sequence[str]:
    owner = controller_of(pod)
    if owner is None or owner["kind"] != JOB.kind or TRACKING not in (pod["metadata"].get("finalizers") or ()):
        return ()
    return (str(Key(pod["metadata"]["namespace"], owner["name"])),)
