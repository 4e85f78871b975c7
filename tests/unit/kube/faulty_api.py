"""The real in-process API with faults in front of it: what a network and a restarted server do to a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import Api, Object, ObjectList, Propagation, Resource, WatchEvent


class FaultyApi:
    """Hands every verb on; a call to `list` or `watch` first takes the next planned fault, if there is one."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.list_faults: list[Exception] = []
        self.watch_faults: list[Exception | None] = []
        """None ends the watch at once, as a server does that is going down."""
        self.lists = 0
        self.watches = 0

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return await self._api.get(resource, name, namespace)

    async def list(self, resource: Resource, namespace: str | None = None, **selectors: str) -> ObjectList:
        self.lists += 1
        if self.list_faults:
            raise self.list_faults.pop(0)
        return await self._api.list(resource, namespace, **selectors)

    async def watch(
        self, resource: Resource, namespace: str | None = None, **options: str
    ) -> AsyncIterator[WatchEvent]:
        self.watches += 1
        if self.watch_faults:
            fault = self.watch_faults.pop(0)
            if fault is None:
                return
            raise fault
        async for event in self._api.watch(resource, namespace, **options):
            yield event

    async def create(
        self, resource: Resource, obj: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        return await self._api.create(resource, obj, namespace)

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        return await self._api.replace(resource, obj, subresource=subresource)

    async def patch(
        self, resource: Resource, name: str, patch: object, namespace: str | None = None, **options: Any
    ) -> Object:
        return await self._api.patch(resource, name, patch, namespace, **options)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        await self._api.delete(resource, name, namespace, propagation=propagation, uid=uid, grace_seconds=grace_seconds)


class Line(FaultyApi):
    """One replica's way to the API, which may be cut or fall silent."""

    cut = False
    silent = False

    async def _pass(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.cut:
            raise UnavailableError("no route to host")

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        await self._pass()
        return await super().get(resource, name, namespace)

    async def create(self, resource: Resource, obj: Object, *rest: Any, **options: Any) -> Object:
        await self._pass()
        return await super().create(resource, obj, *rest, **options)

    async def replace(self, resource: Resource, obj: Object, **options: Any) -> Object:
        await self._pass()
        return await super().replace(resource, obj, **options)

    async def delete(self, resource: Resource, name: str, *rest: Any, **options: Any) -> None:
        await self._pass()
        await super().delete(resource, name, *rest, **options)
