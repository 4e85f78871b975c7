"""CronJob: a Job at each time of a schedule."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Final

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.cron import Schedule
from eventmesh.base.errors import ConfigError, PermanentError
from eventmesh.controllers.workloads.cron_plan import MAX_MISSED, due, job_name, last_success, outlived, wait_s
from eventmesh.controllers.workloads.job_plan import is_finished
from eventmesh.kube.api import Api, ApiError, Object, Propagation
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_controlled_by, is_deleting, key_of, owner_reference
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import CRON_JOB, JOB
from eventmesh.kube.status import condition

SCHEDULED_AT: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"

JITTER_S: Final = 0.1
"""After the moment itself, so that a clock that is a little behind does not find it still to come."""


class CronJobs:
    """The controller of CronJobs."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._recorder = recorder
        self._cron_jobs = informers.of(CRON_JOB)
        self._jobs = informers.of(JOB)
        self.controller = Controller("cronjobs", self._cron_jobs, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._jobs, settle_s=SETTLE_S)

    async def reconcile(self, key: Key) -> None:
        """Begin the Job that is due, forget old ones, tell the status, and come back at the next time."""
        cron_job = self._cron_jobs.get(key.name, key.namespace)
        if cron_job is None or is_deleting(cron_job):
            return
        jobs = [job for job in self._jobs.list(key.namespace) if is_controlled_by(job, cron_job)]
        active = [job for job in jobs if not is_finished(job)]
        finished = [(job, _succeeded(job)) for job in jobs if is_finished(job)]
        for job in outlived(cron_job, finished):
            await self._delete(cron_job, job)
        scheduled = (cron_job.get("status") or {}).get("lastScheduleTime")
        if not cron_job["spec"].get("suspend"):
            scheduled, active = await self._begin(cron_job, active, scheduled)
        status: Object = {}
        if active:
            status["active"] = [_reference(job) for job in active]
        if scheduled:
            status["lastScheduleTime"] = scheduled
        succeeded = last_success(cron_job, finished)
        if succeeded is not None:
            status["lastSuccessfulTime"] = rfc3339(succeeded)
        if status != (cron_job.get("status") or {}):
            await self._api.replace(CRON_JOB, {**cron_job, "status": status}, subresource="status")

    async def _begin(
        self, cron_job: Object, active: list[Object], scheduled: str | None
    ) -> tuple[str | None, list[Object]]:
        """Begin what is due; return the last time used and the Jobs that now run."""
        spec, now = cron_job["spec"], self._clock.now()
        schedule = _schedule(spec)
        wait = wait_s(schedule, now)
        if wait is not None:
            self.controller.enqueue_after(key_of(cron_job), wait + JITTER_S)
        found = due(schedule, cron_job, now)
        if found.at is None:
            return scheduled, active
        if found.missed > MAX_MISSED:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            await self._recorder.record(cron_job, EventKind.WARNING, "TooManyMissedTimes", message)
        policy = spec.get("concurrencyPolicy") or "Allow"
        if policy == "Forbid" and active:
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            await self._recorder.record(cron_job, EventKind.NORMAL, "JobAlreadyActive", message)
            return scheduled, active
        if policy == "Replace":
            for job in active:
                await self._delete(cron_job, job)
            active = []
        job = await self._create(cron_job, found.at)
        names = {item["metadata"]["name"] for item in active}
        return rfc3339(found.at), active if job["metadata"]["name"] in names else [*active, job]

    async def _create(self, cron_job: Object, at: datetime) -> Object:
        metadata, template = cron_job["metadata"], copy.deepcopy(cron_job["spec"]["jobTemplate"])
        wanted = template.get("metadata") or {}
        name = job_name(cron_job, at)
        job: Object = {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": dict(wanted.get("labels") or {}),
                "annotations": {**(wanted.get("annotations") or {}), SCHEDULED_AT: rfc3339(at)},
                "ownerReferences": [owner_reference(CRON_JOB, cron_job)],
            },
            "spec": template["spec"],
        }
        try:
            made = await self._api.create(JOB, job, metadata["namespace"])
        except ApiError as error:
            if error.already_exists:
                found = await self._api.get(JOB, name, metadata["namespace"])
                # Ours, from a pass whose status was not stored.
                if is_controlled_by(found, cron_job):
                    return found
            await self._recorder.record(cron_job, EventKind.WARNING, "FailedCreate", error.message)
            raise
        await self._recorder.record(cron_job, EventKind.NORMAL, "SuccessfulCreate", f"Created job {name}")
        return made

    async def _delete(self, cron_job: Object, job: Object) -> None:
        metadata = job["metadata"]
        try:
            await self._api.delete(
                JOB, metadata["name"], metadata["namespace"], uid=metadata["uid"], propagation=Propagation.BACKGROUND
            )
        except ApiError as error:
            if not (error.not_found or error.conflict):
                raise
            return
        message = f"Deleted job {metadata['name']}"
        await self._recorder.record(cron_job, EventKind.NORMAL, "SuccessfulDelete", message)


def _schedule(spec: Object) -> Schedule:
    try:
        return Schedule.parse(spec["schedule"], spec.get("timeZone") or "")
    except ConfigError as error:
        # Admission refuses it; an object that came in another way waits for its author.
        raise PermanentError(f"spec.{error}") from error


def _succeeded(job: Object) -> bool:
    found = condition(job, "Complete")
    return found is not None and found["status"] == "True"


def _reference(job: Object) -> Object:
    metadata = job["metadata"]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
