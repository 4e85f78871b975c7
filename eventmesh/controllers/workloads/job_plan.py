"""What a Job needs next; a pure function of the Job, its pods and the time, after Kubernetes' own Job controller.

No pod's end is lost or counted twice, whatever goes between: each pod carries a finalizer. Its uid is first written to
`status.uncountedTerminatedPods`, then the finalizer goes, and only the next pass moves the uid into the counters. Pods
that the Job itself takes back (suspended, fewer wanted) lose the finalizer first and are never counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from eventmesh.base.clock import rfc3339
from eventmesh.controllers.workloads.pods import is_ready_pod, phase
from eventmesh.kube.api import Object
from eventmesh.kube.events import EventKind
from eventmesh.kube.objects import is_deleting
from eventmesh.kube.status import condition

TRACKING: Final = "batch.kubernetes.io/job-tracking"
"""The finalizer that keeps a pod until its end has been counted."""

FIRST_BACK_OFF_S: Final = 10.0
"""Before the second pod after one that failed; it doubles. Kubernetes' own."""

MAX_BACK_OFF_S: Final = 600.0
"""Kubernetes' longest back-off of a Job."""

DEFAULT_BACKOFF_LIMIT: Final = 6
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

REACHED: Final = ("CompletionsReached", "Reached expected number of succeeded pods")
EXCEEDED: Final = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LATE: Final = ("DeadlineExceeded", "Job was active longer than specified deadline")


@dataclass(slots=True)
class Plan:
    """What to do, in this order: store `status`, release, delete, create."""

    status: Object
    release: list[Object] = field(default_factory=list)
    """Pods whose finalizer goes."""
    delete: list[Object] = field(default_factory=list)
    create: int = 0
    events: list[tuple[EventKind, str, str]] = field(default_factory=list)
    wake_after_s: float | None = None
    outlived: bool = False
    """True when `ttlSecondsAfterFinished` has passed and the Job itself is to go."""


def plan(job: Object, pods: Sequence[Object], now: datetime) -> Plan:
    """Return what brings the Job forward; `pods` are all that it controls, those on their way out included."""
    return _Pass(job, pods, now).run()


def is_finished(job: Object) -> bool:
    """Return whether the Job has come to its end, good or bad."""
    return any(_holds(job, kind) for kind in ("Complete", "Failed"))


def finished_at(job: Object) -> datetime | None:
    """Return when the Job came to its end, or None."""
    for kind in ("Complete", "Failed"):
        found = condition(job, kind)
        if found is not None and found["status"] == "True":
            return datetime.fromisoformat(found["lastTransitionTime"])
    return None


def back_off_s(failures: int) -> float:
    """Return how long after the last of `failures` in a row the next pod may begin."""
    return min(MAX_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** (failures - 1)) if failures else 0.0


class _Pass:
    """One pass over one Job."""

    def __init__(self, job: Object, pods: Sequence[Object], now: datetime) -> None:
        self.job = job
        self.pods = pods
        self.now = now
        self.spec = job["spec"]
        self.status: Object = {**(job.get("status") or {})}
        self.plan = Plan(self.status)
        self.active = [pod for pod in pods if _outcome(pod) is None]
        uncounted = self.status.get("uncountedTerminatedPods") or {}
        self.uncounted: dict[str, list[str]] = {
            "succeeded": list(uncounted.get("succeeded") or ()),
            "failed": list(uncounted.get("failed") or ()),
        }

    def run(self) -> Plan:
        if is_finished(self.job):
            return self._after_the_end()
        self._count()
        if not self.spec.get("suspend") and not self.status.get("startTime"):
            self.status["startTime"] = rfc3339(self.now)
        verdict = self._verdict()
        if verdict is not None:
            self._finish(*verdict)
        elif not is_deleting(self.job):
            self._manage()
        self._tell_counts()
        return self.plan

    # -- counting

    def _count(self) -> None:
        by_uid = {pod["metadata"]["uid"]: pod for pod in self.pods}
        for kind, uids in self.uncounted.items():
            for uid in list(uids):
                if uid not in by_uid or not _is_tracked(by_uid[uid]):
                    uids.remove(uid)
                    self.status[kind] = self.status.get(kind, 0) + 1
        known = {uid for uids in self.uncounted.values() for uid in uids}
        for pod in self.pods:
            outcome = _outcome(pod)
            if outcome is None or not _is_tracked(pod):
                continue
            if pod["metadata"]["uid"] not in known:
                self.uncounted[outcome].append(pod["metadata"]["uid"])
            self.plan.release.append(pod)

    def _total(self, kind: str) -> int:
        counted: int = self.status.get(kind, 0)
        return counted + len(self.uncounted[kind])

    # -- deciding

    def _verdict(self) -> tuple[str, str, str] | None:
        """Return the type, reason and message of the end that the Job has come to, or None."""
        target = condition(self.job, "FailureTarget")
        if target is not None and target["status"] == "True":
            return "Failed", target["reason"], target["message"]
        if self._holds_deadline():
            return ("Failed", *TOO_LATE)
        if self._gave_up():
            return ("Failed", *EXCEEDED)
        succeeded = self._total("succeeded")
        completions = self.spec.get("completions")
        # Without a number one success is the word of the whole queue: those still at work may finish.
        done = succeeded > 0 and not self.active if completions is None else succeeded >= completions
        return ("Complete", *REACHED) if done else None

    def _holds_deadline(self) -> bool:
        deadline_s, started = self._deadline_s(), self.status.get("startTime")
        if deadline_s is None or started is None or self.spec.get("suspend"):
            return False
        left = (datetime.fromisoformat(started) + timedelta(seconds=deadline_s) - self.now).total_seconds()
        if left > 0:
            self._wake(left)
        return left <= 0

    def _deadline_s(self) -> float | None:
        seconds = self.spec.get("activeDeadlineSeconds")
        return None if seconds is None else float(seconds)

    def _gave_up(self) -> bool:
        limit = self.spec.get("backoffLimit")
        limit = DEFAULT_BACKOFF_LIMIT if limit is None else int(limit)
        if self._total("failed") > limit:
            return True
        if self.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return False
        restarts = sum(_restarts(pod) for pod in self.active)
        return restarts > 0 if limit == 0 else restarts >= limit

    def _finish(self, kind: str, reason: str, message: str) -> None:
        """Say what the Job has come to; the last word only when nothing of it runs any more."""
        early = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        if not _holds(self.job, early):
            self._set(early, "True", reason, message)
        self.plan.delete = list(self.active)
        if kind == "Complete":
            # What was more than enough is taken back, and is no failure.
            self.plan.release += [pod for pod in self.active if _is_tracked(pod)]
        if self.active or any(self.uncounted.values()) or any(_runs_out(pod) for pod in self.pods):
            return
        self._set(kind, "True", reason, message)
        if kind == "Complete":
            self.status["completionTime"] = rfc3339(self.now)
            self.plan.events.append((EventKind.NORMAL, "Completed", "Job completed"))
        else:
            self.plan.events.append((EventKind.WARNING, reason, message))
        self._wake(self.spec.get("ttlSecondsAfterFinished"))

    def _manage(self) -> None:
        if self.spec.get("suspend"):
            self._take_back(self.active)
            self.status.pop("startTime", None)
            if not _holds(self.job, "Suspended"):
                self._set("Suspended", "True", "JobSuspended", "Job suspended")
                self.plan.events.append((EventKind.NORMAL, "Suspended", "Job suspended"))
            return
        if _holds(self.job, "Suspended"):
            self._set("Suspended", "False", "JobResumed", "Job resumed")
            self.plan.events.append((EventKind.NORMAL, "Resumed", "Job resumed"))
        wanted = self._wanted()
        if len(self.active) > wanted:
            self._take_back(sorted(self.active, key=is_ready_pod)[: len(self.active) - wanted])
        elif len(self.active) < wanted:
            wait_s = self._back_off_left()
            if wait_s > 0:
                self._wake(wait_s)
            else:
                self.plan.create = wanted - len(self.active)

    def _wanted(self) -> int:
        parallelism = int(self.spec.get("parallelism", 1))
        completions = self.spec.get("completions")
        succeeded = self._total("succeeded")
        if completions is None:
            return len(self.active) if succeeded else parallelism
        return max(0, min(int(completions) - succeeded, parallelism))

    def _back_off_left(self) -> float:
        ends = sorted((_ended_at(pod, self.now), _outcome(pod) == "failed") for pod in self.pods if _outcome(pod))
        failures = 0
        for _, failed in ends:
            failures = failures + 1 if failed else 0
        if not failures:
            return 0.0
        return (ends[-1][0] + timedelta(seconds=back_off_s(failures)) - self.now).total_seconds()

    def _take_back(self, pods: Sequence[Object]) -> None:
        self.plan.release += [pod for pod in pods if _is_tracked(pod)]
        self.plan.delete += pods
        gone = {pod["metadata"]["uid"] for pod in pods}
        self.active = [pod for pod in self.active if pod["metadata"]["uid"] not in gone]

    # -- telling

    def _after_the_end(self) -> Plan:
        self.plan.release = [pod for pod in self.pods if _is_tracked(pod)]
        ended, ttl_s = finished_at(self.job), self.spec.get("ttlSecondsAfterFinished")
        if ttl_s is not None and ended is not None:
            left = (ended + timedelta(seconds=ttl_s) - self.now).total_seconds()
            self.plan.outlived = left <= 0
            self._wake(left)
        return self.plan

    def _tell_counts(self) -> None:
        self.status["ready"] = sum(is_ready_pod(pod) for pod in self.active)
        self.status["terminating"] = sum(_runs_out(pod) for pod in self.pods)
        self.status["uncountedTerminatedPods"] = {kind: uids for kind, uids in self.uncounted.items() if uids}
        self.status["active"] = len(self.active) + self.plan.create
        if not self.status["active"]:
            del self.status["active"]

    def _set(self, kind: str, status: str, reason: str, message: str) -> None:
        others = [entry for entry in self.status.get("conditions") or [] if entry["type"] != kind]
        stamp = rfc3339(self.now)
        written = {"type": kind, "status": status, "reason": reason, "message": message}
        self.status["conditions"] = [*others, {**written, "lastProbeTime": stamp, "lastTransitionTime": stamp}]

    def _wake(self, after_s: float | None) -> None:
        if after_s is not None and after_s > 0:
            known = self.plan.wake_after_s
            self.plan.wake_after_s = after_s if known is None else min(known, after_s)


def _holds(job: Object, kind: str) -> bool:
    found = condition(job, kind)
    return found is not None and found["status"] == "True"


def _outcome(pod: Object) -> str | None:
    """Return the counter that the pod belongs to; None while it is active. One that was told to go has failed."""
    match phase(pod):
        case "Succeeded":
            return "succeeded"
        case "Failed":
            return "failed"
        case _:
            return "failed" if is_deleting(pod) else None


def _is_tracked(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def _runs_out(pod: Object) -> bool:
    """Return whether the pod was told to go and still has processes."""
    metadata = pod["metadata"]
    return is_deleting(pod) and phase(pod) in ("Pending", "Running") and metadata.get("deletionGracePeriodSeconds") != 0


def _restarts(pod: Object) -> int:
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return sum(container.get("restartCount", 0) for container in found)


def _ended_at(pod: Object, now: datetime) -> datetime:
    """Return when the last container of a finished pod ended; of one that says nothing, when it was told to go."""
    ends = []
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("finishedAt"):
            ends.append(datetime.fromisoformat(ended["finishedAt"]))
    told = pod["metadata"].get("deletionTimestamp")
    return max(ends, default=datetime.fromisoformat(told) if told else now)
