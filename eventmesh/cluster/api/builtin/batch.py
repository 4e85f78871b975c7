"""Defaults and checks of Job and CronJob (`kubernetes/pkg/apis/batch`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventmesh.base.cron import Schedule
from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.builtin.podspec import check_pod_spec, default_pod_spec
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.strategy import Strategy
from eventmesh.kube.api import Object

MAX_CRON_JOB_NAME: Final = 52
"""Kubernetes' own: eleven characters of its Jobs' names are the time, and a label takes 63."""

_NOT_HERE: Final = (
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "podFailurePolicy",
    "successPolicy",
)
"""Fields that the local controller does not act on; refused rather than passed over."""

_COUNTS: Final = (
    "parallelism",
    "completions",
    "backoffLimit",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
)


class JobStrategy(Strategy):
    """A job runs a template to its end; its pods carry its uid."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in counts and the generated selector."""
        spec = obj.setdefault("spec", {})
        _default_job_spec(spec)
        uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
        if not spec.get("selector"):
            spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = spec["template"]["metadata"].setdefault("labels", {})
        labels.update({"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid})
        labels.update({"batch.kubernetes.io/job-name": name, "job-name": name})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require runnable containers that may end, counts that count, and nothing that would be passed over."""
        causes = list(_job_causes(obj["spec"], "spec"))
        if old is not None:
            for field in ("template", "selector", "completions"):
                if old["spec"].get(field) != obj["spec"].get(field):
                    value = obj["spec"].get(field)
                    causes.append(Cause(CauseType.INVALID, f"spec.{field}", "field is immutable", value))
        return causes


class CronJobStrategy(Strategy):
    """A cron job makes a job at each time of its schedule."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in policy, history and the job's own defaults."""
        spec = obj.setdefault("spec", {})
        for name, value in (
            ("concurrencyPolicy", "Allow"),
            ("suspend", False),
            ("successfulJobsHistoryLimit", 3),
            ("failedJobsHistoryLimit", 1),
        ):
            if spec.get(name) is None:
                spec[name] = value
        template = spec.setdefault("jobTemplate", {})
        template.setdefault("metadata", {})
        # Counts are defaulted in each Job; here only the pods' own, so that what is applied again is the same.
        pods = template.setdefault("spec", {}).setdefault("template", {})
        if not isinstance(pods.get("metadata"), dict):
            pods["metadata"] = {}
        default_pod_spec(pods.setdefault("spec", {}))

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require a schedule that can be read, a known policy, and a job that could be made."""
        spec, name = obj["spec"], obj["metadata"].get("name") or ""
        causes: list[Cause] = []
        if len(name) > MAX_CRON_JOB_NAME:
            detail = f"must be no more than {MAX_CRON_JOB_NAME} characters"
            causes.append(Cause(CauseType.INVALID, "metadata.name", detail, name))
        if not spec.get("schedule"):
            causes.append(Cause(CauseType.REQUIRED, "spec.schedule"))
        else:
            causes += _schedule_causes(spec)
        if spec["concurrencyPolicy"] not in ("Allow", "Forbid", "Replace"):
            detail = 'supported values: "Allow", "Forbid", "Replace"'
            causes.append(Cause(CauseType.NOT_SUPPORTED, "spec.concurrencyPolicy", detail, spec["concurrencyPolicy"]))
        for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"):
            causes += _count_causes(spec, field, "spec")
        return causes + list(_job_causes(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec"))


def _default_job_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    for name, value in (
        ("parallelism", 1),
        ("backoffLimit", 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
        ("podReplacementPolicy", "TerminatingOrFailed"),
    ):
        if spec.get(name) is None:
            spec[name] = value
    template = spec.setdefault("template", {})
    if not isinstance(template.get("metadata"), dict):
        template["metadata"] = {}
    default_pod_spec(template.setdefault("spec", {}))


def _job_causes(spec: Object, path: str) -> Iterator[Cause]:
    for field in _COUNTS:
        yield from _count_causes(spec, field, path)
    for field in _NOT_HERE:
        if spec.get(field) is not None:
            yield Cause(CauseType.FORBIDDEN, f"{path}.{field}", "is not supported in the local cluster")
    for field, known in (("completionMode", "NonIndexed"), ("podReplacementPolicy", "TerminatingOrFailed")):
        value = spec.get(field)
        if value not in (None, known):
            detail = f'the local cluster knows only "{known}"'
            yield Cause(CauseType.NOT_SUPPORTED, f"{path}.{field}", detail, value)
    pod_spec = spec["template"]["spec"]
    policy = pod_spec.get("restartPolicy")
    if policy not in ("OnFailure", "Never"):
        detail = 'supported values: "OnFailure", "Never"'
        yield Cause(CauseType.NOT_SUPPORTED, f"{path}.template.spec.restartPolicy", detail, policy)
    yield from check_pod_spec(pod_spec, f"{path}.template.spec")


def _count_causes(spec: Object, field: str, path: str) -> Iterator[Cause]:
    value = spec.get(field)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        yield Cause(CauseType.INVALID, f"{path}.{field}", "must be greater than or equal to 0", value)


def _schedule_causes(spec: Object) -> Iterator[Cause]:
    try:
        Schedule.parse(str(spec["schedule"]), str(spec.get("timeZone") or ""))
    except ConfigError as error:
        field = "timeZone" if error.path == "timezone" else error.path
        yield Cause(CauseType.INVALID, f"spec.{field}", error.problem, spec.get(field))
