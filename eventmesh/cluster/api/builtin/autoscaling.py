"""Defaults and checks of HorizontalPodAutoscaler (`kubernetes/pkg/apis/autoscaling`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.strategy import Strategy
from eventmesh.kube.api import Object
from eventmesh.kube.quantity import parse_quantity

MAX_WINDOW_S: Final = 3600
"""Kubernetes' longest stabilizationWindowSeconds; it bounds what an autoscaler remembers."""

MAX_PERIOD_S: Final = 1800
"""Kubernetes' longest periodSeconds of a policy."""


class AutoscalerStrategy(Strategy):
    """An autoscaler has a target, bounds, and something to look at."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in the least number of pods and the metric."""
        spec = obj.setdefault("spec", {})
        if spec.get("minReplicas") is None:
            spec["minReplicas"] = 1
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require a target, bounds in order, targets that can be reached, and policies that can be followed."""
        spec = obj["spec"]
        causes = list(_reference_causes(spec.get("scaleTargetRef") or {}))
        low, high = spec["minReplicas"], spec.get("maxReplicas")
        if low < 1:
            causes.append(Cause(CauseType.INVALID, "spec.minReplicas", "must be greater than or equal to 1", low))
        if not high or high < 1:
            causes.append(Cause(CauseType.INVALID, "spec.maxReplicas", "must be greater than 0", high))
        elif high < low:
            detail = "must be greater than or equal to `minReplicas`"
            causes.append(Cause(CauseType.INVALID, "spec.maxReplicas", detail, high))
        for number, metric in enumerate(spec["metrics"]):
            causes += _metric_causes(metric, f"spec.metrics[{number}]")
        for direction, rules in (spec.get("behavior") or {}).items():
            causes += _rules_causes(rules or {}, f"spec.behavior.{direction}")
        return causes


def _reference_causes(reference: Object) -> Iterator[Cause]:
    for field in ("kind", "name"):
        if not reference.get(field):
            yield Cause(CauseType.REQUIRED, f"spec.scaleTargetRef.{field}")


def _metric_causes(metric: Object, path: str) -> Iterator[Cause]:
    if metric.get("type") != "Resource":
        return
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    where = f"{path}.resource.target"
    percent, value = target.get("averageUtilization"), target.get("averageValue")
    if percent is None and value is None:
        yield Cause(CauseType.REQUIRED, where, "must set either a target raw value or a target utilization")
    if percent is not None and percent < 1:
        yield Cause(CauseType.INVALID, f"{where}.averageUtilization", "must be greater than 0", percent)
    if value is not None:
        try:
            positive = parse_quantity(value) > 0
        except ValueError:
            positive = False
        if not positive:
            yield Cause(CauseType.INVALID, f"{where}.averageValue", "must be positive", value)


def _rules_causes(rules: Object, path: str) -> Iterator[Cause]:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and not 0 <= window <= MAX_WINDOW_S:
        detail = f"must be between 0 and {MAX_WINDOW_S}"
        yield Cause(CauseType.INVALID, f"{path}.stabilizationWindowSeconds", detail, window)
    select = rules.get("selectPolicy")
    if select not in (None, "Max", "Min", "Disabled"):
        detail = 'supported values: "Disabled", "Max", "Min"'
        yield Cause(CauseType.NOT_SUPPORTED, f"{path}.selectPolicy", detail, select)
    for number, policy in enumerate(rules.get("policies") or []):
        where = f"{path}.policies[{number}]"
        if policy.get("type") not in ("Pods", "Percent"):
            detail = 'supported values: "Percent", "Pods"'
            yield Cause(CauseType.NOT_SUPPORTED, f"{where}.type", detail, policy.get("type"))
        for field, most in (("value", None), ("periodSeconds", MAX_PERIOD_S)):
            value = policy.get(field)
            if not isinstance(value, int) or value < 1 or (most is not None and value > most):
                detail = "must be greater than zero" if most is None else f"must be between 1 and {most}"
                yield Cause(CauseType.INVALID, f"{where}.{field}", detail, value)
