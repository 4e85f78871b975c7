"""Events that wait for a function at zero count as its load: it is made as large as they need at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from eventmesh.cli.send import post
from eventmesh.cloudevents.event import Event
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import BROKER, DEPLOYMENT, KSERVICE, TRIGGER
from eventmesh.kube.status import is_ready
from tests.mesh.objects import add_function, configure_autoscaler, service, until
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

NEVER_READY = """
import time
time.sleep(3600)
"""
EVENTS, MOST_PODS = 12, 4


async def test_a_function_at_zero_is_scaled_for_all_events_that_wait(shared_mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(shared_mesh, tmp_path / "starting", "starting", NEVER_READY)
    async with shared_mesh.api() as api, asyncio.timeout(WAIT_S):
        await configure_autoscaler(api, {"allow-zero-initial-scale": "true"})
        wanted = service("starting", "dev.local/starting", initial_scale="0", target="1", max_scale=str(MOST_PODS))
        while not await _accepted(api, wanted):
            await asyncio.sleep(0.05)
        await until(api, KSERVICE, "starting", is_ready)
        broker = await _make(api, BROKER, "backlog", {})
        reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "starting"}
        await _make(api, TRIGGER, "starting", {"broker": "backlog", "subscriber": {"ref": reference}})
        url = next(each["url"] for each in broker["status"]["addresses"] if each.get("name") == "external")
        for number in range(EVENTS):
            event = Event({"id": str(number), "source": "/s", "type": "work", "specversion": "1.0"})
            status, _ = await asyncio.to_thread(post, url, event)
            assert status == 202
        # One request alone, the scout's, would make it two.
        while await _replicas(api) < MOST_PODS:
            await asyncio.sleep(0.05)
        for resource, name in ((TRIGGER, "starting"), (KSERVICE, "starting"), (BROKER, "backlog")):
            await api.delete(resource, name, "default")


async def _accepted(api: HttpApi, wanted: Object) -> bool:
    """Return whether the Service is there: it is refused until admission has heard of the configuration."""
    try:
        await api.create(KSERVICE, wanted, "default")
    except ApiError as error:
        assert "initial-scale" in str(error)
        return False
    return True


async def _make(api: HttpApi, resource: Resource, name: str, spec: dict[str, Any]) -> Object:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}
    await api.create(resource, body, "default")
    return await until(api, resource, name, is_ready)


async def _replicas(api: HttpApi) -> int:
    selector = "serving.knative.dev/service=starting"
    deployments = (await api.list(DEPLOYMENT, "default", label_selector=selector)).items
    return max((deployment["spec"].get("replicas", 0) for deployment in deployments), default=0)
