"""What is left of pods when the runtime was killed, and how the next one takes it over.

A process is known by the label that it was started under: it lives in the launcher's list under its number until the
launcher has collected it, so that neither can mean another process. What else there is to know of a container stands in
the status of its pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.container import Container, Running, Terminated
from eventmesh.cluster.runtime.process import Survivor
from eventmesh.kube.api import Object

STATUS_UNKNOWN: Final = "ContainerStatusUnknown"
"""Kubernetes' reason for the end of a container that nobody has seen."""


@frozen
class Mark:
    """The label of a container's process: whose it is, and where its pod lives."""

    uid: str
    """Of the pod."""
    container: str
    address: str
    port: int
    protocol: str
    network: int | None
    """The launcher's number for the pod's namespace; None: it shares the host's."""
    group: str = ""
    """The name of its control group; empty: it has none."""

    def label(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))


@dataclass(slots=True)
class LeftPod:
    """What is left of one pod: at least one process, or the news of its end."""

    mark: Mark
    """Of any of them; where the pod lives is the same in all."""
    processes: dict[str, Survivor] = field(default_factory=dict)
    """By the name of the container."""
    groups: dict[str, str] = field(default_factory=dict)
    """The control groups of those that have one."""


def left_pods(survivors: Iterable[Survivor]) -> dict[str, LeftPod]:
    """Return what is left of each pod, by its uid; what is no pod's is passed over."""
    found: dict[str, LeftPod] = {}
    for survivor in survivors:
        if survivor.label.startswith("{"):
            mark = Mark(**json.loads(survivor.label))
            pod = found.setdefault(mark.uid, LeftPod(mark))
            pod.processes[mark.container] = survivor
            if mark.group:
                pod.groups[mark.container] = mark.group
    return found


def recall(containers: Mapping[str, Container], pod: Object, left: LeftPod, clock: Clock) -> None:
    """Bring `containers` to what the status of `pod` says of them, and what was left.

    One that the status calls running is taken to run; whether its process was left is for the caller to look at. How
    often one has failed in a row is forgotten, so that its back-off begins anew, as after a restart of the kubelet.
    """
    told = {entry["name"]: entry for entry in _entries(pod)}
    for container in containers.values():
        entry = told.get(container.name, {})
        state = entry.get("state") or {}
        container.restarts = entry.get("restartCount", 0)
        container.last = _terminated((entry.get("lastState") or {}).get("terminated"))
        if container.name in left.processes or "running" in state:
            container.state = _running((state.get("running") or {}).get("startedAt"), clock)
            container.run = 1
        else:
            container.state = _terminated(state.get("terminated")) or container.state


def ready_containers(pod: Object) -> frozenset[str]:
    """Return the containers that the status of `pod` calls ready."""
    return frozenset(entry["name"] for entry in _entries(pod) if entry.get("ready"))


def age_s(pod: Object, clock: Clock) -> float:
    """Return how long ago the pod was first run, in seconds."""
    started = (pod.get("status") or {}).get("startTime")
    return 0.0 if started is None else max(0.0, (clock.now() - _moment(started)).total_seconds())


def image_ids(pod: Object) -> dict[str, str]:
    """Return the images that the containers of `pod` really run."""
    return {entry["name"]: entry["imageID"] for entry in _entries(pod) if entry.get("imageID")}


def _entries(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _running(started: str | None, clock: Clock) -> Running:
    now = clock.now()
    began = now if started is None else _moment(started)
    return Running(began, clock.monotonic() - max(0.0, (now - began).total_seconds()))


def _terminated(state: Object | None) -> Terminated | None:
    if not state:
        return None
    return Terminated(
        code=state["exitCode"],
        signal=state.get("signal", 0),
        started_at=_moment(state["startedAt"]),
        finished_at=_moment(state["finishedAt"]),
        message=state.get("message", ""),
        cause=state.get("reason", ""),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
