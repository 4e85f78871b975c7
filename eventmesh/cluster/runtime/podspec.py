"""What a pod's spec means for processes: which containers, which ports, with or without sidecar. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eventmesh.cluster.runtime.pod import Container, RestartPolicy
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of

INJECT: Final = "eventmesh.io/inject"
"""Label or annotation of a pod: `"false"` runs it without a sidecar, in the host's network, at the pod's address."""

SIDECAR: Final = "queue-proxy"
"""Name of the sidecar's container, Knative's own: what a spec says under this name configures the sidecar."""

DEFAULT_PORT: Final = 8080
"""Knative's default of containerPort."""

DEFAULT_GRACE_S: Final = 30
"""Kubernetes' default of terminationGracePeriodSeconds."""


@dataclass(frozen=True, slots=True)
class UserPort:
    """Where the function listens."""

    number: int
    protocol: str = "http1"
    """What it speaks, in the words of `EVENTMESH_USER_PROTOCOL`: http1, h2c or bolt."""


def has_sidecar(pod: Object) -> bool:
    """Return whether the pod is part of the mesh; every pod is, unless it says no."""
    chosen = labels_of(pod).get(INJECT) or annotations_of(pod).get(INJECT) or "true"
    return chosen != "false" and not pod["spec"].get("hostNetwork")


def functions(pod: Object) -> list[Object]:
    """Return the containers that are not the sidecar."""
    return [item for item in pod["spec"].get("containers") or () if item["name"] != SIDECAR]


def sidecar_spec(pod: Object) -> Object:
    """Return the sidecar's container as the spec has it; an empty one when the spec says nothing of it."""
    for item in pod["spec"].get("containers") or ():
        if item["name"] == SIDECAR:
            return dict(item)
    return {"name": SIDECAR}


def containers(pod: Object) -> list[Container]:
    """Return what the pod's machine runs."""
    found = [Container(item["name"]) for item in functions(pod)]
    if has_sidecar(pod):
        found.append(Container(SIDECAR, sidecar=True))
    return found


def restart_policy(pod: Object) -> RestartPolicy:
    """Return the pod's restart policy."""
    return RestartPolicy(pod["spec"].get("restartPolicy") or "Always")


def grace_s(pod: Object) -> float:
    """Return how long the pod may take to end: what its deletion says, or its spec."""
    told = pod["metadata"].get("deletionGracePeriodSeconds")
    if told is None:
        told = pod["spec"].get("terminationGracePeriodSeconds")
    return float(DEFAULT_GRACE_S if told is None else told)


def user_port(pod: Object) -> UserPort:
    """Return where the pod's function listens: a literal PORT, else the first containerPort, else 8080."""
    for container in functions(pod):
        for port in container.get("ports") or ():
            name = port.get("name") or ""
            return UserPort(int(port["containerPort"]), _protocol(name))
    for container in functions(pod):
        for variable in container.get("env") or ():
            if variable["name"] == "PORT" and str(variable.get("value") or "").isdigit():
                return UserPort(int(variable["value"]))
    return UserPort(DEFAULT_PORT)


def _protocol(port_name: str) -> str:
    """Return what a port of that name speaks, by the naming convention of Knative and Istio: `protocol[-suffix]`."""
    word = port_name.partition("-")[0]
    return {"h2c": "h2c", "grpc": "h2c", "http2": "h2c", "bolt": "bolt"}.get(word, "http1")


def unsupported(pod: Object, container: Object) -> str:
    """Return what the container asks for that a local process cannot have; empty when there is nothing."""
    if pod["spec"].get("initContainers"):
        return "initContainers: not supported for local processes; prepare in the function's own start"
    for kind in ("livenessProbe", "startupProbe"):
        if container.get(kind):
            return f"{kind}: not supported for local processes; a process that is broken must end itself"
    if "exec" in (container.get("readinessProbe") or {}):
        return "readinessProbe.exec: not supported for local processes; use httpGet, tcpSocket or grpc"
    return ""


def readiness_probe(pod: Object) -> Object | None:
    """Return the first function's readiness probe, or None."""
    for container in functions(pod):
        probe: Object | None = container.get("readinessProbe")
        return probe
    return None


def is_finished(pod: Object) -> bool:
    """Return whether the pod ran to its end in an earlier life."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
