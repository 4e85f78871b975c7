"""`autoscaling/v1` HorizontalPodAutoscalers: those of `autoscaling/v2`, with one number for the processor.

What the older version has no field for stands in annotations, as on a cluster, so that who reads and writes it back
loses nothing (`kubernetes/pkg/apis/autoscaling/v1/conversion.go`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of

API_VERSION: Final = "autoscaling/v1"
_STORED_VERSION: Final = "autoscaling/v2"
_PREFIX: Final = "autoscaling.alpha.kubernetes.io/"
METRICS: Final = f"{_PREFIX}metrics"
CURRENT_METRICS: Final = f"{_PREFIX}current-metrics"
CONDITIONS: Final = f"{_PREFIX}conditions"
BEHAVIOR: Final = f"{_PREFIX}behavior"
_TOLERANCES: Final = {"scaleUp": f"{_PREFIX}scale-up-tolerance", "scaleDown": f"{_PREFIX}scale-down-tolerance"}
_ANNOTATIONS: Final = frozenset({METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR, *_TOLERANCES.values()})
_TYPES: Final = (("averageUtilization", "Utilization"), ("averageValue", "AverageValue"), ("value", "Value"))
"""By which value v2 says what kind of target it is."""


@frozen
class _Source:
    """How the two versions spell one source of metrics; in names of v1, `{}` is `target` or `current`."""

    values: tuple[tuple[str, str], ...]
    """Numbers: in v1, in v2."""
    own: tuple[tuple[str, str], ...] = ()
    """What is the same under either name."""
    selector: str = ""
    """The selector of a named metric, in v1; empty for a resource, which has none."""


_UTILIZATION = (("{}AverageUtilization", "averageUtilization"), ("{}AverageValue", "averageValue"))
_SOURCES: Final = {
    "resource": _Source(_UTILIZATION, (("name", "name"),)),
    "containerResource": _Source(_UTILIZATION, (("name", "name"), ("container", "container"))),
    "pods": _Source((("{}AverageValue", "averageValue"),), selector="selector"),
    "object": _Source(
        (("{}Value", "value"), ("averageValue", "averageValue")), (("target", "describedObject"),), "selector"
    ),
    "external": _Source((("{}Value", "value"), ("{}AverageValue", "averageValue")), selector="metricSelector"),
}


class AutoscalerView:
    """Translates between the stored autoscaler and the one of `autoscaling/v1`; parts that are not said stay unsaid."""

    def stored(self, obj: Object) -> Object:
        """Return the `autoscaling/v2` autoscaler of a v1 one; annotations that cannot be read say nothing."""
        said = annotations_of(obj)
        stored: Object = {**obj, "apiVersion": _STORED_VERSION, "metadata": _annotated(obj, {})}
        if isinstance(obj.get("spec"), dict):
            stored["spec"] = _stored_spec(obj["spec"], said)
        if isinstance(obj.get("status"), dict):
            stored["status"] = _stored_status(obj["status"], said)
        return stored

    def shown(self, obj: Object) -> Object:
        """Return a stored autoscaler as v1 has it."""
        spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
        more: dict[str, Any] = {METRICS: [], CURRENT_METRICS: [], CONDITIONS: status.pop("conditions", None)}
        for metric in spec.pop("metrics", None) or ():
            percent = _processor(metric, "target")
            if percent is None:
                more[METRICS].append(_older(metric, "target"))
            else:
                spec.setdefault("targetCPUUtilizationPercentage", percent)
        for metric in status.pop("currentMetrics", None) or ():
            # In full even if it is the processor's, for its value beside the percentage.
            more[CURRENT_METRICS].append(_older(metric, "current"))
            percent = _processor(metric, "current")
            if percent is not None:
                status["currentCPUUtilizationPercentage"] = percent
        written = {name: json.dumps(value, separators=(",", ":")) for name, value in more.items() if value}
        written |= _behavior_annotations(spec.pop("behavior", None) or {})
        shown = {**obj, "apiVersion": API_VERSION, "metadata": _annotated(obj, written), "spec": spec}
        return {**shown, "status": status} if "status" in obj else shown

    def selector(self, fields: str) -> str:
        """Return a field selector in the names of what is stored, which are the same."""
        return fields


def _annotated(obj: Object, written: dict[str, str]) -> Object:
    """Return the metadata of `obj` with the annotations of the conversion replaced by `written`."""
    metadata: Object = dict(obj.get("metadata") or {})
    kept = {name: value for name, value in annotations_of(obj).items() if name not in _ANNOTATIONS}
    if kept or written:
        metadata["annotations"] = kept | written
    else:
        metadata.pop("annotations", None)
    return metadata


def _stored_spec(spec: Object, said: dict[str, str]) -> Object:
    stored = dict(spec)
    percent = stored.pop("targetCPUUtilizationPercentage", None)
    metrics = [_newer(metric, "target") for metric in _items(said, METRICS)]
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        stored["metrics"] = metrics
    behavior = _behavior(said)
    if behavior:
        stored["behavior"] = behavior
    return stored


def _stored_status(status: Object, said: dict[str, str]) -> Object:
    stored = dict(status)
    percent = stored.pop("currentCPUUtilizationPercentage", None)
    metrics = [_newer(metric, "current") for metric in _items(said, CURRENT_METRICS)]
    if not metrics and percent is not None:
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}]
    if metrics:
        stored["currentMetrics"] = metrics
    conditions = list(_items(said, CONDITIONS))
    if conditions:
        stored["conditions"] = conditions
    return stored


def _processor(metric: Object, side: str) -> Any:
    """Return the percentage of the processor that a metric is about, or None for any other metric."""
    resource = _part(metric, "resource")
    is_processor = metric.get("type") == "Resource" and resource.get("name") == "cpu"
    return _part(resource, side).get("averageUtilization") if is_processor else None


def _older(metric: Object, side: str) -> Object:
    """Return a metric of v2 as v1 has it; `side` is `target` of a wish and `current` of what was measured."""
    older: Object = {"type": metric.get("type", "")}
    for name, source in _SOURCES.items():
        if name in metric:
            newer, identity = _part(metric, name), _part(_part(metric, name), "metric")
            found = {old: newer.get(new) for old, new in source.own}
            if source.selector:
                found |= {"metricName": identity.get("name", ""), source.selector: identity.get("selector")}
            found |= {old.format(side): _part(newer, side).get(new) for old, new in source.values}
            older[name] = _present(found)
    return older


def _newer(metric: Object, side: str) -> Object:
    """Return a metric of v1 as v2 has it."""
    newer: Object = {"type": metric.get("type", "")}
    for name, source in _SOURCES.items():
        if name in metric:
            older = _part(metric, name)
            found: Object = {new: older.get(old) for old, new in source.own}
            if source.selector:
                identity = {"name": older.get("metricName", ""), "selector": older.get(source.selector)}
                found["metric"] = _present(identity)
            numbers = _present({new: older.get(old.format(side)) for old, new in source.values})
            if "averageValue" in numbers and numbers.get("value") == "0":
                del numbers["value"]  # A Go program writes it so when there is none.
            if side == "target":
                numbers["type"] = next((word for number, word in _TYPES if number in numbers), "Value")
            newer[name] = _present({**found, side: numbers})
    return newer


def _behavior_annotations(behavior: Object) -> dict[str, str]:
    """Return the rules of scaling as annotations, under the names that a cluster writes: those of its own Go fields."""
    rules = {name: dict(rule) for name, rule in behavior.items() if isinstance(rule, dict)}
    tolerances = {_TOLERANCES[name]: rule.pop("tolerance", None) for name, rule in rules.items() if name in _TOLERANCES}
    written = {name: str(value) for name, value in tolerances.items() if value is not None}
    if behavior:
        written[BEHAVIOR] = json.dumps(_renamed(rules, str.upper), separators=(",", ":"))
    return written


def _behavior(said: dict[str, str]) -> Object:
    behavior = _renamed(_read(said, BEHAVIOR), str.lower)
    behavior = {name: rule for name, rule in behavior.items() if rule is not None} if isinstance(behavior, dict) else {}
    for name, annotation in _TOLERANCES.items():
        if annotation in said and isinstance(behavior.setdefault(name, {}), dict):
            behavior[name]["tolerance"] = said[annotation]
    return behavior


def _renamed(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case dict():
            return {change(name[:1]) + name[1:]: _renamed(item, change) for name, item in value.items()}
        case list():
            return [_renamed(item, change) for item in value]
        case _:
            return value


def _items(said: dict[str, str], annotation: str) -> Iterable[Object]:
    """Return the objects of a list in an annotation."""
    found = _read(said, annotation)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _read(said: dict[str, str], annotation: str) -> Any:
    try:
        return json.loads(said.get(annotation, "null"))
    except (ValueError, RecursionError):
        return None


def _part(obj: Object, name: str) -> Object:
    part = obj.get(name)
    return part if isinstance(part, dict) else {}


def _present(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if value is not None}
