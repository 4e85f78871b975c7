"""The status that the API shows of a pod; a pure function of its machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from eventmesh.base.clock import rfc3339
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.container import Container, Role, Running, State, Terminated, Waiting
from eventmesh.cluster.runtime.pod import DEADLINE_EXCEEDED, PodMachine
from eventmesh.cluster.runtime.stage import Stage
from eventmesh.kube.api import Object
from eventmesh.kube.status import CONTAINERS_SILENT, condition

HOST_IP: Final = "127.0.0.1"


@frozen
class Facts:
    """What a pod's machine does not know of it."""

    address: str
    image_ids: dict[str, str]
    """Container name -> `dev.local/NAME@sha256:...` of what really runs."""
    network_note: str = ""
    """Why the pod shares the host's network; empty when it has its own."""


def pod_status(pod: Object, machine: PodMachine, facts: Facts, now: datetime) -> Object:
    """Return the whole `status` of `pod`."""
    status: Object = {
        "phase": _phase(machine),
        "conditions": _conditions(pod, machine, facts, now),
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "podIP": facts.address,
        "podIPs": [{"ip": facts.address}],
        "qosClass": (pod.get("status") or {}).get("qosClass", "BestEffort"),
        "startTime": (pod.get("status") or {}).get("startTime") or rfc3339(now),
        "containerStatuses": _statuses(pod["spec"].get("containers"), machine, facts),
    }
    if pod["spec"].get("initContainers"):
        status["initContainerStatuses"] = _statuses(pod["spec"]["initContainers"], machine, facts)
    if machine.expired:
        status |= {"reason": "DeadlineExceeded", "message": DEADLINE_EXCEEDED}
    return status


def _phase(machine: PodMachine) -> str:
    apps = [container for container in machine.containers.values() if container.role is Role.APP]
    if machine.finished or machine.stage is Stage.GONE:
        well = machine.finished and not machine.expired and all(container.succeeded for container in apps)
        return "Succeeded" if well else "Failed"
    begun = all(not isinstance(container.state, Waiting) or container.last is not None for container in apps)
    return "Running" if begun else "Pending"


def _conditions(pod: Object, machine: PodMachine, facts: Facts, now: datetime) -> list[Object]:
    own_network = "False" if facts.network_note else "True"
    ready = _readiness(machine)
    wanted = (
        ("PodScheduled", "True", "", ""),
        ("Initialized", *_initialized(machine)),
        ("PodReadyToStartContainers", "True", "", ""),
        ("eventmesh.io/NetworkIsolated", own_network, "HostNetwork" if facts.network_note else "", facts.network_note),
        ("ContainersReady", *ready),
        ("Ready", *ready),
    )
    return [_condition(pod, *each, now) for each in wanted]


def _readiness(machine: PodMachine) -> tuple[str, str, str]:
    if machine.ready:
        return "True", "", ""
    match _phase(machine):
        case "Succeeded":
            return "False", "PodCompleted", ""
        case "Failed":
            return "False", "PodFailed", ""
        case _:
            apps = [container for container in machine.containers.values() if container.role is Role.APP]
            unready = [container.name for container in apps if not machine.is_ready(container)]
            silent = [container.silence for container in apps if container.silence and container.name in unready]
            if silent:
                return "False", CONTAINERS_SILENT, "; ".join(silent)
            # The mesh's own container is in no spec when it was put in unasked.
            named = unready or [container.name for container in machine.containers.values() if not container.running]
            return "False", "ContainersNotReady", f"containers with unready status: [{' '.join(named)}]"


def _initialized(machine: PodMachine) -> tuple[str, str, str]:
    if machine.uninitialized:
        message = f"containers with incomplete status: [{' '.join(machine.uninitialized)}]"
        return "False", "ContainersNotInitialized", message
    return "True", "PodCompleted" if _phase(machine) == "Succeeded" else "", ""


def _condition(pod: Object, kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    stored = condition(pod, kind)
    turned = rfc3339(now)
    if stored is not None and stored["status"] == status:
        turned = stored["lastTransitionTime"]
    written: Object = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": turned}
    if reason:
        written["reason"] = reason
    if message:
        written["message"] = message
    return written


def _statuses(specs: Sequence[Object] | None, machine: PodMachine, facts: Facts) -> list[Object]:
    return [_container_status(spec, machine.containers[spec["name"]], machine, facts) for spec in specs or ()]


def _container_status(spec: Object, container: Container, machine: PodMachine, facts: Facts) -> Object:
    status: Object = {
        "name": container.name,
        "image": spec.get("image", ""),
        "imageID": facts.image_ids.get(container.name, ""),
        "ready": machine.ready if container.role is Role.MESH else machine.is_ready(container),
        "started": machine.is_started(container),
        "restartCount": container.restarts,
        "state": _state(container.state),
        "lastState": _state(container.last) if container.last is not None else {},
    }
    return status


def _state(state: State) -> Object:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}
        case Running(started_at=started):
            return {"running": {"startedAt": rfc3339(started)}}
        case Terminated():
            ended: Object = {
                "exitCode": state.code,
                "reason": state.reason,
                "startedAt": rfc3339(state.started_at),
                "finishedAt": rfc3339(state.finished_at),
            }
            if state.signal:
                ended["signal"] = state.signal
            if state.message:
                ended["message"] = state.message
            return {"terminated": ended}
