"""Defaults and checks of `PodSpec`, shared by pods and everything with a pod template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.kube.api import Object

NODE_NAME = "local"
"""The one node of an embedded cluster."""

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def default_pod_spec(spec: Object, *, restart_policy: str = "Always") -> None:
    """Fill in the defaults of a pod spec, in place."""
    spec.setdefault("restartPolicy", restart_policy)
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in _containers(spec, "containers") + _containers(spec, "initContainers"):
        _default_container(container)


def _default_container(container: Object) -> None:
    image = container.get("image", "")
    newest = image.endswith(":latest") or ":" not in image.rpartition("/")[2]
    container.setdefault("imagePullPolicy", "Always" if newest else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for name in _PROBES:
        probe = container.get(name)
        if isinstance(probe, dict):
            for field, value in _PROBE_DEFAULTS.items():
                # Knative's probes say 0 for "let the server choose"; the server stores its choice.
                if not probe.get(field):
                    probe[field] = value


def _containers(spec: Object, field: str) -> list[Object]:
    containers = spec.get(field)
    if not isinstance(containers, list):
        return []
    return [container for container in containers if isinstance(container, dict)]


def check_pod_spec(spec: Object, path: str) -> list[Cause]:
    """Return what keeps the containers from running: no name, no image, a name twice, a probe that cannot be asked."""
    containers = _containers(spec, "containers")
    if not containers:
        return [Cause(CauseType.REQUIRED, f"{path}.containers")]
    causes: list[Cause] = []
    if spec.get("restartPolicy") not in _RESTART_POLICIES:
        detail = 'supported values: "Always", "OnFailure", "Never"'
        causes.append(Cause(CauseType.NOT_SUPPORTED, f"{path}.restartPolicy", detail, spec.get("restartPolicy")))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        detail = "must be between 1 and 2147483647, inclusive"
        causes.append(Cause(CauseType.INVALID, f"{path}.activeDeadlineSeconds", detail, deadline))
    seen: set[Any] = set()
    every = [(f"{path}.initContainers[{n}]", item) for n, item in enumerate(_containers(spec, "initContainers"))]
    every += [(f"{path}.containers[{n}]", item) for n, item in enumerate(containers)]
    for where, container in every:
        causes += _restart_causes(container, where)
        for field in ("name", "image"):
            if not container.get(field):
                causes.append(Cause(CauseType.REQUIRED, f"{where}.{field}"))
        name = container.get("name")
        if name in seen:
            causes.append(Cause(CauseType.DUPLICATE, f"{where}.name", value=name))
        seen.add(name)
        for kind in _PROBES:
            if isinstance(container.get(kind), dict):
                causes += _probe_causes(container[kind], kind, f"{where}.{kind}")
    return causes


def _restart_causes(container: Object, where: str) -> Iterator[Cause]:
    policy = container.get("restartPolicy")
    if policy is None:
        return
    if ".initContainers[" not in where:
        yield Cause(CauseType.FORBIDDEN, f"{where}.restartPolicy", "may not be set for non-init containers")
    elif policy != "Always":
        yield Cause(CauseType.NOT_SUPPORTED, f"{where}.restartPolicy", 'supported values: "Always"', policy)


def _probe_causes(probe: Object, kind: str, where: str) -> Iterator[Cause]:
    handlers = [handler for handler in _HANDLERS if probe.get(handler) is not None]
    if not handlers:
        yield Cause(CauseType.REQUIRED, where, "must specify a handler type")
    for handler in handlers[1:]:
        yield Cause(CauseType.FORBIDDEN, f"{where}.{handler}", "may not specify more than 1 handler type")
    if "exec" in handlers and not (probe["exec"] or {}).get("command"):
        yield Cause(CauseType.REQUIRED, f"{where}.exec.command")
    for field in ("initialDelaySeconds", *_PROBE_DEFAULTS):
        value = probe.get(field) or 0
        if value < 0:
            yield Cause(CauseType.INVALID, f"{where}.{field}", "must be greater than or equal to 0", value)
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield Cause(CauseType.INVALID, f"{where}.successThreshold", "must be 1", probe["successThreshold"])
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and kind == "readinessProbe":
        detail = "must not be set for readinessProbes"
        yield Cause(CauseType.INVALID, f"{where}.terminationGracePeriodSeconds", detail, grace)
    elif grace is not None and grace < 1:
        yield Cause(CauseType.INVALID, f"{where}.terminationGracePeriodSeconds", "must be greater than 0", grace)


def qos_class(spec: Object) -> str:
    """Return Kubernetes' word for how sure a pod may be of its resources (`pkg/apis/core/v1/helper/qos`)."""
    containers = _containers(spec, "containers") + _containers(spec, "initContainers")
    asked = [container.get("resources") or {} for container in containers]
    if not any(resources.get(bound) for resources in asked for bound in ("requests", "limits")):
        return "BestEffort"
    for resources in asked:
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        if any(kind not in limits or requests[kind] != limits[kind] for kind in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"
