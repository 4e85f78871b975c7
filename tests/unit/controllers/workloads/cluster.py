"""The workload controllers over the real embedded API, in virtual time; tests play the runtime."""

from __future__ import annotations

from pathlib import Path

from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.workloads.app import WorkloadControllers
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.reconciler import SETTLE_S
from eventmesh.kube.resources import DEPLOYMENT, POD
from tests.manual_clock import ManualClock, settle


class Cluster:
    """Objects in, objects out."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.store = Store(directory / "store", self.clock)
        self.embedded = EmbeddedApi(self.store, self.clock)
        self.api: Api = self.embedded.in_process()
        self.informers = Informers(self.api, self.clock)
        self.workloads = WorkloadControllers(self.api, self.informers, self.clock)

    async def start(self) -> None:
        await self.embedded.start()
        await self.informers.start()
        self.workloads.start()

    async def stop(self) -> None:
        await self.workloads.stop()
        await self.informers.stop()
        await self.embedded.stop()
        self.store.close()

    async def all(self, resource: Resource) -> list[Object]:
        """Return all objects of the default namespace, once the controllers have nothing left to do."""
        for _ in range(10):
            await settle()
            await self.clock.advance(SETTLE_S)
        return (await self.api.list(resource, "default")).items

    async def pods(self) -> list[Object]:
        """Return the pods that are not on their way out."""
        return [pod for pod in await self.all(POD) if "deletionTimestamp" not in pod["metadata"]]

    async def deployment(self) -> Object:
        """Return the one Deployment."""
        (found,) = await self.all(DEPLOYMENT)
        return found

    async def report(self, pod: Object, *, ready: bool, address: str = "127.64.0.20") -> None:
        """Tell a pod's status as the runtime would."""
        status = {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }
        name = pod["metadata"]["name"]
        await self.api.patch(POD, name, {"status": status}, "default", subresource="status")

    async def remove(self) -> None:
        """End every pod that was told to go."""
        for pod in await self.all(POD):
            if "deletionTimestamp" in pod["metadata"]:
                await self.api.delete(POD, pod["metadata"]["name"], "default", grace_seconds=0)


def deployment(image: str, replicas: int, **spec: object) -> Object:
    """Return a Deployment of pods labelled `app: hello`."""
    labels = {"app": "hello"}
    container = {"name": "app", "image": image, "ports": [{"containerPort": 9000, "name": "web"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **spec,
        },
    }
