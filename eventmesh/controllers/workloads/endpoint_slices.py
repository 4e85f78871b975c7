"""EndpointSlices of a Service as one controller keeps them: those it wants are written, its others go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import Key, labels_of
from eventmesh.kube.resources import ENDPOINT_SLICE

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"

MAX_ENDPOINTS: Final = 1000
"""The API's own limit for one slice."""

_BY_SERVICE: Final = "service"


class EndpointSlices:
    """The slices that one controller makes."""

    def __init__(self, api: Api, informers: Informers, manager: str) -> None:
        """`manager` is how the controller is called in the label that says whose a slice is."""
        self._api = api
        self._manager = manager
        self.informer = informers.of(ENDPOINT_SLICE)
        self.informer.add_index(_BY_SERVICE, _service_of)

    async def keep(self, service: Key, wanted: Iterable[Object]) -> None:
        """Have the slices of a Service be `wanted`, whose labels name that Service and this controller."""
        by_name = {item["metadata"]["name"]: item for item in wanted}
        mine = (
            item["metadata"]["name"]
            for item in self.informer.by_index(_BY_SERVICE, str(service))
            if labels_of(item).get(MANAGED_BY) == self._manager
        )
        writes = [write(self._api, self.informer, item) for item in by_name.values()]
        writes += [self._remove(name, service.namespace) for name in mine if name not in by_name]
        await asyncio.gather(*writes)

    async def _remove(self, name: str, namespace: str) -> None:
        await self._api.delete(ENDPOINT_SLICE, name, namespace)


async def write(api: Api, cache: Informer, wanted: Object) -> None:
    """Create the object, or replace what is stored of it where that differs; metadata of others stays."""
    metadata = wanted["metadata"]
    stored = cache.get(metadata["name"], metadata["namespace"])
    if stored is None:
        await api.create(cache.resource, wanted, metadata["namespace"])
    elif any(stored.get(field) != value for field, value in wanted.items() if field != "metadata"):
        version = {"resourceVersion": stored["metadata"]["resourceVersion"]}
        await api.replace(cache.resource, {**wanted, "metadata": {**stored["metadata"], **metadata, **version}})


def service_of(item: Object) -> Iterator[Key]:
    """Yield the key of the Service that a slice names, if it names one."""
    if name := labels_of(item).get(SERVICE_NAME):
        yield Key(item["metadata"]["namespace"], name)


def _service_of(item: Object) -> tuple[str, ...]:
    return tuple(map(str, service_of(item)))
