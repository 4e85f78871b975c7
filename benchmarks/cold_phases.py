"""Where the time of a cold start goes: when objects changed, seen through the API, and what the function tells."""

from __future__ import annotations

import asyncio
import statistics
import time
from types import TracebackType

from benchmarks.cold_mesh import Answer
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import EventType, Object, Resource, WatchEvent
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import DEPLOYMENT, ENDPOINT_SLICE, POD
from eventmesh.kube.status import condition

SERVICE = "serving.knative.dev/service"
PHASES = (
    ("held, told, decided", "scaled"),
    ("pod made", "pod"),
    ("function's exec to its first line", "began"),
    ("function starts", "listening"),
    ("sidecar says READY", "ready"),
    ("endpoints written", "endpoints"),
    ("EDS, request forwarded", "accepted"),
    ("answer back", "answered"),
)
"""What happens, and the mark that ends it. Marks of objects are seen through a watch, a millisecond or so late."""


class Marks:
    """Watches the objects of a wake and notes when each first said what it waits for. An asynchronous context."""

    def __init__(self, api: HttpApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._seen: dict[str, dict[str, float]] = {}
        self._tasks = TaskGroup("phases")

    async def __aenter__(self) -> Marks:
        for resource in (DEPLOYMENT, POD, ENDPOINT_SLICE):
            version = (await self._api.list(resource, self._namespace)).resource_version
            self._tasks.spawn(resource.plural, self._watch(resource, version))
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.stop()

    def phases(self, service: str, answer: Answer) -> dict[str, float]:
        """Return the milliseconds of each phase of the wake of `service`."""
        marks = self._seen.get(service, {}) | {
            "began": answer.began,
            "listening": answer.listening,
            "accepted": answer.accepted,
            "answered": answer.answered,
        }
        taken: dict[str, float] = {}
        before = answer.asked
        for phase, mark in PHASES:
            if mark in marks:
                taken[phase] = (marks[mark] - before) * 1e3
                before = marks[mark]
        return taken

    async def _watch(self, resource: Resource, version: str) -> None:
        async for event in self._api.watch(resource, self._namespace, resource_version=version):
            now = time.monotonic()
            mark = _mark(resource, event)
            service = (event.object["metadata"].get("labels") or {}).get(SERVICE)
            if mark and service:
                self._seen.setdefault(service, {}).setdefault(mark, now)


def print_phases(wakes: list[dict[str, float]]) -> None:
    """Print the median of each phase."""
    print(f"\n  {'phases of a wake, ms':34}{'p50':>8}{'max':>8}")
    for phase, _ in PHASES:
        values = [wake[phase] for wake in wakes if phase in wake]
        if values:
            print(f"  {phase:34}{statistics.median(values):8.1f}{max(values):8.1f}")


def _mark(resource: Resource, event: WatchEvent) -> str:
    obj: Object = event.object
    if resource is DEPLOYMENT:
        return "scaled" if obj["spec"].get("replicas") else ""
    if resource is ENDPOINT_SLICE:
        return "endpoints" if any(each["conditions"].get("ready") for each in obj.get("endpoints") or ()) else ""
    if event.type is EventType.ADDED:
        return "pod"
    ready = condition(obj, "Ready")
    return "ready" if ready is not None and ready["status"] == "True" else ""
