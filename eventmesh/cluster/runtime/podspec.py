"""What a pod's spec means for processes: which containers, which ports, with or without sidecar. Pure."""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.cgroups import Limits
from eventmesh.cluster.runtime.container import Container, RestartPolicy, Role
from eventmesh.cluster.runtime.environment import References
from eventmesh.cluster.runtime.hooks import check_hooks
from eventmesh.cluster.runtime.pod import DEFAULT_GRACE_S
from eventmesh.cluster.runtime.probe import Exec, GrpcHealth, Probe, Purpose, parse_probe
from eventmesh.kube.api import Object
from eventmesh.kube.injection import has_sidecar
from eventmesh.kube.objects import annotations_of
from eventmesh.kube.quantity import parse_quantity

SIDECAR: Final = "queue-proxy"
"""Name of the sidecar's container, Knative's own: what a spec says under this name configures the sidecar."""

PROTOCOL: Final = "eventmesh.io/protocol"
"""Annotation of a pod: what its function speaks, where the name of its port cannot say it (a declared protocol)."""

DEFAULT_PORT: Final = 8080
"""Knative's default of containerPort."""


@frozen
class UserPort:
    """Where the function listens."""

    number: int
    protocol: str = "http1"
    """What it speaks, in the words of `EVENTMESH_USER_PROTOCOL`: http1, h2c, bolt, dubbo or a declaration's name."""


def functions(pod: Object) -> list[Object]:
    """Return the containers of the work: those that are not the sidecar."""
    return [item for item in pod["spec"].get("containers") or () if item["name"] != SIDECAR]


def init_containers(pod: Object) -> list[Object]:
    """Return the containers that run to their end, in order, before the work begins."""
    return list(pod["spec"].get("initContainers") or ())


def directory_name(pod: Object) -> str:
    """Return the name of the folder that holds the pod's logs and volumes: no other pod, ever, has the same."""
    metadata = pod["metadata"]
    return f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


def container(pod: Object, name: str) -> Object:
    """Return the container of that name, whatever it is for."""
    return next(item for item in (*init_containers(pod), *functions(pod)) if item["name"] == name)


def serving(pod: Object) -> Object:
    """Return the container that requests go to: the first with a port, else the first (Knative's rule)."""
    found = functions(pod)
    return next((container for container in found if container.get("ports")), found[0])


def sidecar_spec(pod: Object) -> Object:
    """Return the sidecar's container as the spec has it; an empty one when the spec says nothing of it."""
    for item in pod["spec"].get("containers") or ():
        if item["name"] == SIDECAR:
            return dict(item)
    return {"name": SIDECAR}


def containers(pod: Object) -> list[Container]:
    """Return what the pod's machine runs."""
    found = []
    for item in init_containers(pod):
        side = item.get("restartPolicy") == "Always"
        found.append(Container(item["name"], Role.SIDE if side else Role.INIT, probes(pod, item) if side else ()))
    requested = serving(pod)
    for item in functions(pod):
        pushed = item is requested and has_sidecar(pod) and listens(pod)
        found.append(Container(item["name"], probes=probes(pod, item), pushed=pushed))
    if has_sidecar(pod):
        found.append(Container(SIDECAR, Role.MESH))
    return found


def probes(pod: Object, container: Object) -> tuple[Probe, ...]:
    """Return what the runtime asks the container; nothing when that cannot be read (`unsupported` says why).

    The readiness of the container that requests go to is told by the sidecar; the runtime adds what the sidecar does
    not speak (exec and gRPC).
    """
    port = user_port(pod).number
    try:
        found = [parse_probe(container, purpose, port) for purpose in Purpose]
    except ConfigError:
        return ()
    told = has_sidecar(pod) and container["name"] == serving(pod)["name"]
    return tuple(
        probe
        for probe in found
        if probe is not None
        and not (told and probe.purpose is Purpose.READINESS and not isinstance(probe.action, Exec | GrpcHealth))
    )


def listens(pod: Object) -> bool:
    """Return whether somebody is to listen in the pod: a container names a port, or the pod is a Revision's.

    Any other is ready as soon as it runs, as in Kubernetes: what only sends (a source, a job) never listens.
    """
    named = any(item.get("ports") or item.get("readinessProbe") for item in functions(pod))
    return (
        named
        or any(variable["name"] == "PORT" for variable in serving(pod).get("env") or ())
        or bool(sidecar_spec(pod).get("env"))
    )


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
    """Return where the pod's function listens: the first containerPort, else a literal PORT, else 8080."""
    container, said = serving(pod), annotations_of(pod).get(PROTOCOL, "")
    for port in container.get("ports") or ():
        return UserPort(int(port["containerPort"]), said or _protocol(port.get("name") or ""))
    for variable in container.get("env") or ():
        if variable["name"] == "PORT" and str(variable.get("value") or "").isdigit():
            return UserPort(int(variable["value"]), said or "http1")
    return UserPort(DEFAULT_PORT, said or "http1")


def _protocol(port_name: str) -> str:
    """Return what a port of that name speaks, by the naming convention of Knative and Istio: `protocol[-suffix]`."""
    word = port_name.partition("-")[0]
    spoken = {"h2c": "h2c", "grpc": "h2c", "http2": "h2c", "tri": "h2c", "bolt": "bolt", "dubbo": "dubbo"}
    return spoken.get(word, "http1")


def unsupported(pod: Object, container: Object) -> str:
    """Return what of the container's probes and hooks cannot be asked; empty when there is nothing."""
    try:
        for purpose in Purpose:
            parse_probe(container, purpose, user_port(pod).number)
    except ConfigError as error:
        return str(error)
    return check_hooks(container, user_port(pod).number)


def readiness_probe(pod: Object) -> Object | None:
    """Return the readiness probe of the container that requests go to, or None."""
    probe: Object | None = serving(pod).get("readinessProbe")
    return probe


def deadline_s(pod: Object) -> float | None:
    """Return how long the pod may run in all, `activeDeadlineSeconds`; None = for ever."""
    seconds = pod["spec"].get("activeDeadlineSeconds")
    return None if seconds is None else float(seconds)


def limits(pod: Object, name: str) -> Limits:
    """Return what a container may use, as the kubelet takes it.

    A limit of 0 is none; one that asks for no processor time is promised what it is limited to.
    """
    for item in (*init_containers(pod), *(pod["spec"].get("containers") or ())):
        if item["name"] == name:
            resources = item.get("resources") or {}
            most, least = resources.get("limits") or {}, resources.get("requests") or {}
            cpu = _number(most.get("cpu"), 1000)
            asked = _number(least.get("cpu"), 1000)
            return Limits(_number(most.get("memory")) or None, cpu or None, cpu if asked is None else asked)
    return Limits()


def _number(quantity: object, times: int = 1) -> int | None:
    """Return a quantity as a whole number, rounded up; None for none, or one that cannot be read."""
    with suppress(ValueError):
        return None if quantity is None else ceil(parse_quantity(quantity) * times)
    return None


def missing_pull_secrets(pod: Object, references: References) -> list[str]:
    """Return the `imagePullSecrets` that do not exist; images of this machine need none, so the pod runs anyway."""
    names = [entry.get("name") or "" for entry in pod["spec"].get("imagePullSecrets") or ()]
    return [name for name in names if references.secret(pod["metadata"]["namespace"], name) is None]


def is_finished(pod: Object) -> bool:
    """Return whether the pod ran to its end in an earlier life."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def waiting_reason(pod: Object, name: str) -> str:
    """Return why a container has not been started, as its status says it."""
    status = pod.get("status") or {}
    told = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    waiting = [((item.get("state") or {}).get("waiting") or {}) for item in told if item["name"] == name]
    return str(waiting[0].get("reason") or "ContainerCreating") if waiting else "ContainerCreating"
