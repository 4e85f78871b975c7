"""An API with the eventing controllers at work, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.eventing.admission import ADMISSIONS
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.status import condition
from tests.waiting import WAIT_S


class World:
    """The parts; made by `world_in`."""

    def __init__(self, directory: Path) -> None:
        clock = SystemClock()
        self.store = Store(directory / "store", clock)
        self.embedded = EmbeddedApi(self.store, clock)
        self.api: Api = self.embedded.in_process()
        self.informers = Informers(self.api, clock)
        self.controllers = EventingControllers(self.api, self.informers, clock)
        for resource, admission in self.controllers.admissions(ADMISSIONS).items():
            self.embedded.admission.register(resource, admission)

    async def create(self, resource: Resource, name: str, spec: dict[str, Any], **metadata: Any) -> Object:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        return await self.api.create(resource, {**body, "metadata": {"name": name, **metadata}}, "default")

    async def until(self, resource: Resource, name: str, kind: str, status: str) -> Object:
        """Return the object once its condition `kind` has `status`."""
        found = await self.api.list(resource, "default")
        for obj in found.items:
            if _has(obj, name, kind, status):
                return obj
        async for event in self.api.watch(resource, "default", resource_version=found.resource_version):
            if _has(event.object, name, kind, status):
                return event.object
        raise AssertionError("the watch ended")

    async def gone(self, resource: Resource) -> None:
        """Return once no object of the kind is left."""
        informer = self.informers.of(resource)
        async with asyncio.timeout(WAIT_S):
            while len(informer):
                await asyncio.sleep(0.005)

    async def when(self, resource: Resource, name: str, holds: Callable[[Object], bool]) -> Object:
        """Return the object once it is there and `holds`."""
        found = await self.api.list(resource, "default")
        for obj in found.items:
            if obj["metadata"]["name"] == name and holds(obj):
                return obj
        async with asyncio.timeout(WAIT_S):
            async for event in self.api.watch(resource, "default", resource_version=found.resource_version):
                if event.object["metadata"]["name"] == name and holds(event.object):
                    return event.object
        raise AssertionError("the watch ended")


def _has(obj: Object, name: str, kind: str, status: str) -> bool:
    return obj["metadata"]["name"] == name and (condition(obj, kind) or {}).get("status") == status


@asynccontextmanager
async def world_in(directory: Path) -> AsyncIterator[World]:
    """Run the whole until the block ends."""
    made = World(directory)
    await made.embedded.start()
    await made.informers.start()
    made.controllers.start()
    try:
        yield made
    finally:
        await made.controllers.stop()
        await made.informers.stop()
        await made.embedded.stop()
        made.store.close()
