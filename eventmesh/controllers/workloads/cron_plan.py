"""When a CronJob begins its next Job; pure, after Kubernetes' own CronJob controller."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base.cron import Schedule
from eventmesh.base.frozen import frozen
from eventmesh.controllers.workloads.job_plan import finished_at
from eventmesh.kube.api import Object

MAX_MISSED: Final = 100
"""Times that are counted one by one; Kubernetes' own bound for telling that something is wrong."""

DEFAULT_SUCCESSFUL_KEPT: Final = 3
DEFAULT_FAILED_KEPT: Final = 1

_WINDOWS: Final = tuple(timedelta(days=days) for days in (1 / 1440, 1 / 24, 1, 31, 366))
"""How far back the last time is looked for when too many have been missed: the shortest that holds one will do."""


@frozen
class Due:
    """The last time that has come and was not used."""

    at: datetime | None
    missed: int
    """How many have come since the last one used, at most one more than `MAX_MISSED`."""


def due(schedule: Schedule, cron_job: Object, now: datetime) -> Due:
    """Return the time for which a Job is to begin now, none when none has come since the last."""
    status, spec = cron_job.get("status") or {}, cron_job["spec"]
    since = datetime.fromisoformat(status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
    deadline_s = spec.get("startingDeadlineSeconds")
    if deadline_s is not None:
        since = max(since, now - timedelta(seconds=deadline_s))
    found = None
    for missed in range(MAX_MISSED + 1):
        following = schedule.after(since)
        if following is None or following > now:
            return Due(found, missed)
        found = since = following
    return Due(_last(schedule, now), MAX_MISSED + 1)


def wait_s(schedule: Schedule, now: datetime) -> float | None:
    """Return the seconds until the next time, None when there is none any more."""
    following = schedule.after(now)
    return None if following is None else (following - now).total_seconds()


def job_name(cron_job: Object, at: datetime) -> str:
    """Return the one name of the Job of that time, so that it cannot be made twice: the minutes since 1970."""
    return f"{cron_job['metadata']['name']}-{int(at.timestamp()) // 60}"


def outlived(cron_job: Object, finished: Sequence[tuple[Object, bool]]) -> list[Object]:
    """Return the ended Jobs (with whether they succeeded) that the history has no room for, the oldest first."""
    spec = cron_job["spec"]
    gone: list[Object] = []
    for well, field, default in (
        (True, "successfulJobsHistoryLimit", DEFAULT_SUCCESSFUL_KEPT),
        (False, "failedJobsHistoryLimit", DEFAULT_FAILED_KEPT),
    ):
        kept = spec.get(field)
        jobs = sorted((job for job, succeeded in finished if succeeded is well), key=_begun)
        gone += jobs[: max(0, len(jobs) - (default if kept is None else int(kept)))]
    return gone


def last_success(cron_job: Object, finished: Sequence[tuple[Object, bool]]) -> datetime | None:
    """Return when a Job of it last succeeded, those that are gone included."""
    stored = (cron_job.get("status") or {}).get("lastSuccessfulTime")
    ends = [datetime.fromisoformat(stored)] if stored else []
    ends += [ended for job, well in finished if well and (ended := finished_at(job)) is not None]
    return max(ends, default=None)


def _last(schedule: Schedule, now: datetime) -> datetime | None:
    for window in _WINDOWS:
        found, since = None, now - window
        while (following := schedule.after(since)) is not None and following <= now:
            found = since = following
        if found is not None:
            return found
    return None


def _begun(job: Object) -> tuple[str, str]:
    return (job.get("status") or {}).get("startTime") or "", job["metadata"]["name"]
