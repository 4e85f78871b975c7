"""Control over the embedded API, without processes: objects in, resources and statuses out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventmesh.base.clock import Clock, SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import ENDPOINT_SLICE, KINGRESS, REVISION, SERVERLESS_SERVICE, SERVICE
from eventmesh.kube.status import is_ready
from eventmesh.xds.control.app import Control
from eventmesh.xds.control.services import Settings
from eventmesh.xds.identity.issuer import Identities
from tests.waiting import WAIT_S

CLASS = "eventmesh.ingress.networking.knative.dev"


LABEL = "networking.internal.knative.dev/serverlessservice"


def _private(revision: str) -> dict[str, str]:
    return {LABEL: revision, "networking.internal.knative.dev/serviceType": "Private"}


class Bench:
    """One cluster with control and nothing else."""

    def __init__(
        self,
        directory: Path,
        clock: Clock | None = None,
        settings: Settings | None = None,
        identities: Callable[[Clock], Identities] | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.store = Store(directory / "store", self.clock)
        self.embedded = EmbeddedApi(self.store, self.clock)
        self.api: Api = self.embedded.in_process()
        self.informers = Informers(self.api, self.clock)
        self.settings = settings
        self.identities = identities(self.clock) if identities is not None else None
        self.control = Control(self.api, self.informers, self.clock, settings, self.identities)
        self.port = 0

    async def start(self, secured_address: str = "") -> None:
        await self.embedded.start()
        await self.informers.start()
        self.port = await self.control.start("127.0.0.1:0", secured_address)

    async def stop(self) -> None:
        await self.control.stop()
        await self.informers.stop()
        await self.embedded.stop()
        self.store.close()

    async def restart_control(self) -> None:
        """End control and start another one on the same port, with informers of its own."""
        await self.control.stop()
        await self.informers.stop()
        self.informers = Informers(self.api, self.clock)
        self.control = Control(self.api, self.informers, self.clock, self.settings)
        await self.informers.start()
        await self.control.start(f"127.0.0.1:{self.port}")

    async def revision(self, name: str, *, mode: str = "Proxy", concurrency: int = 0, protocol: str = "http1") -> None:
        """Create what a revision leaves behind: Revision, ServerlessService and its Services."""
        container = {"image": "dev.local/x"}
        await self.create(REVISION, name, {"containerConcurrency": concurrency, "containers": [container]})
        for service, labels_ in ((f"{name}-private", _private(name)), (name, {LABEL: name})):
            await self.create(SERVICE, service, {"ports": [{"name": "http", "port": 80}]}, labels=labels_)
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-deployment"}
        await self.create(SERVERLESS_SERVICE, name, {"mode": mode, "objectRef": reference, "protocolType": protocol})

    async def ingress(self, name: str, host: str, service: str, *, class_: str = CLASS, **more: Any) -> Object:
        """Create a KIngress with one external host that leads to `service`."""
        split = {"serviceNamespace": "default", "serviceName": service, "servicePort": 80, "percent": 100}
        rule = {"hosts": [host], "visibility": "ExternalIP", "http": {"paths": [{"splits": [split], **more}]}}
        annotations = {"networking.knative.dev/ingress-class": class_} if class_ else {}
        return await self.create(KINGRESS, name, {"rules": [rule]}, annotations=annotations)

    async def pods(self, revision: str, *addresses: str) -> None:
        """Say which pods of a revision are ready, as the endpoints controller does."""
        name = f"{revision}-private-0"
        body = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": f"{revision}-private", **_private(revision)},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8012, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        }
        stored = self.informers.of(ENDPOINT_SLICE).get(name, "default")
        if stored is None:
            await self.api.create(ENDPOINT_SLICE, body, "default")
        else:
            await self.api.replace(ENDPOINT_SLICE, {**stored, "endpoints": body["endpoints"]})

    async def create(
        self,
        resource: Resource,
        name: str,
        spec: Object,
        *,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> Object:
        metadata = {"name": name, "namespace": "default", "labels": labels or {}, "annotations": annotations or {}}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
        return await self.api.create(resource, body, "default")

    async def until(self, resource: Resource, name: str, holds: Callable[[Object], bool]) -> Object:
        """Return the object `name` as soon as it is there and `holds`."""
        changed = asyncio.Event()
        informer = self.informers.of(resource)
        informer.add_handler(lambda old, new: changed.set())
        async with asyncio.timeout(WAIT_S):
            while (found := informer.get(name, "default")) is None or not holds(found):
                changed.clear()
                await changed.wait()
        return found

    async def until_count(self, resource: Resource, count: int) -> None:
        """Return as soon as there are so many objects of a kind."""
        changed = asyncio.Event()
        informer = self.informers.of(resource)
        informer.add_handler(lambda old, new: changed.set())
        async with asyncio.timeout(WAIT_S):
            while len(informer) != count:
                changed.clear()
                await changed.wait()

    async def ready(self, name: str) -> Object:
        """Return the KIngress as soon as it is Ready."""
        return await self.until(KINGRESS, name, is_ready)

    def stored(self, resource: Resource, name: str) -> Object:
        found = self.informers.of(resource).get(name, "default")
        assert found is not None
        return found
