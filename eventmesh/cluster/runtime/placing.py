"""The scheduler's part, with one node: a pod is placed there; if that was cordoned, it waits and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.builtin.podspec import NODE_NAME
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informer
from eventmesh.kube.resources import POD
from eventmesh.kube.status import condition

_log = log.get("runtime.placing")

SCHEDULED: Final = "PodScheduled"
UNSCHEDULABLE: Final = "Unschedulable"
_WHY: Final = "0/1 nodes are available: 1 node(s) were unschedulable."
"""In the words of Kubernetes' scheduler."""


class Placing:
    """Says which pods may begin; `again` is called when the node takes pods again."""

    def __init__(self, nodes: Informer, api: Api, clock: Clock, again: Callable[[], None]) -> None:
        self._nodes = nodes
        self._api = api
        self._clock = clock
        self._again = again
        self._recorder = EventRecorder(api, "default-scheduler", clock)
        self._waiting: set[str] = set()
        self._tasks = TaskGroup("placing")

    def start(self) -> None:
        """Follow the node; the informer is expected to have synced."""
        self._nodes.add_handler(self._node_changed)

    async def stop(self) -> None:
        """Tell nothing any more."""
        await self._tasks.stop()

    def places(self, pod: Object) -> bool:
        """Return whether the pod may begin; one that was placed before may, as a kubelet starts what is bound to it."""
        uid = pod["metadata"]["uid"]
        placed = condition(pod, SCHEDULED)
        if not self._cordoned() or (placed is not None and placed["status"] == "True"):
            self._waiting.discard(uid)
            return True
        if uid not in self._waiting:
            self._waiting.add(uid)
            self._tasks.spawn("telling", self._tell(pod))
        return False

    def forget(self, pod: Object) -> None:
        """A pod is gone."""
        self._waiting.discard(pod["metadata"]["uid"])

    def _cordoned(self) -> bool:
        node = self._nodes.get(NODE_NAME)
        return node is not None and bool((node.get("spec") or {}).get("unschedulable"))

    def _node_changed(self, _old: Object | None, _new: Object | None) -> None:
        if self._waiting and not self._cordoned():
            self._again()

    async def _tell(self, pod: Object) -> None:
        metadata = pod["metadata"]
        told = {
            "type": SCHEDULED,
            "status": "False",
            "reason": UNSCHEDULABLE,
            "message": _WHY,
            "lastTransitionTime": rfc3339(self._clock.now()),
        }
        patch = {"metadata": {"uid": metadata["uid"]}, "status": {"phase": "Pending", "conditions": [told]}}
        await self._recorder.record(pod, EventKind.WARNING, "FailedScheduling", _WHY)
        try:
            await self._api.patch(POD, metadata["name"], patch, metadata["namespace"], subresource="status")
        except (ApiError, UnavailableError) as error:
            _log.debug("not told that a pod waits for the node", pod=metadata["name"], reason=error)
