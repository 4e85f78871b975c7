"""The status that the API shows of a pod; a pure function of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eventmesh.base.clock import rfc3339
from eventmesh.cluster.runtime.pod import Container, PodMachine, Running, Stage, State, Terminated, Waiting
from eventmesh.kube.api import Object
from eventmesh.kube.status import condition

HOST_IP: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
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
        "qosClass": "BestEffort",
        "startTime": (pod.get("status") or {}).get("startTime") or rfc3339(now),
        "containerStatuses": [
            _container_status(container, machine.containers[container["name"]], machine, facts)
            for container in pod["spec"].get("containers") or ()
        ],
    }
    return status


def _phase(machine: PodMachine) -> str:
    functions = [container for container in machine.containers.values() if not container.sidecar]
    if machine.finished or machine.stage is Stage.GONE:
        codes = [c.state.code for c in functions if isinstance(c.state, Terminated)]
        return "Succeeded" if machine.finished and not any(codes) else "Failed"
    begun = all(not isinstance(container.state, Waiting) or container.last is not None for container in functions)
    return "Running" if begun else "Pending"


def _conditions(pod: Object, machine: PodMachine, facts: Facts, now: datetime) -> list[Object]:
    ready = machine.ready
    finished = machine.finished
    unready = [name for name, container in machine.containers.items() if not container.sidecar]
    reason = "" if ready else ("PodCompleted" if finished else "ContainersNotReady")
    message = "" if ready or finished else f"containers with unready status: [{' '.join(unready)}]"
    own_network = "False" if facts.network_note else "True"
    wanted = (
        ("PodScheduled", "True", "", ""),
        ("Initialized", "True", "", ""),
        ("PodReadyToStartContainers", "True", "", ""),
        ("eventmesh.io/NetworkIsolated", own_network, "HostNetwork" if facts.network_note else "", facts.network_note),
        ("ContainersReady", str(ready), reason, message),
        ("Ready", str(ready), reason, message),
    )
    return [_condition(pod, *each, now) for each in wanted]


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


def _container_status(spec: Object, container: Container, machine: PodMachine, facts: Facts) -> Object:
    status: Object = {
        "name": container.name,
        "image": spec.get("image", ""),
        "imageID": facts.image_ids.get(container.name, ""),
        "ready": machine.ready and container.running,
        "started": container.running,
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
