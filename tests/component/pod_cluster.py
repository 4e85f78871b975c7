"""A cluster without data plane: the embedded API, the workload controllers and the runtime, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.runtime.agent import PodAgent
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.cluster.runtime.images import ImageStore
from eventmesh.cluster.runtime.logs import LogQuery
from eventmesh.cluster.runtime.network import PodAddresses
from eventmesh.cluster.runtime.process import ProcessLauncher
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.workloads.app import WorkloadControllers
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import POD
from eventmesh.kube.status import condition


class Cluster:
    """A cluster without data plane: what is applied runs."""

    def __init__(self, directory: Path, groups: ControlGroups | None = None) -> None:
        self.clock = SystemClock()
        self.images = ImageStore(directory)
        self.store = Store(directory / "store", self.clock)
        self.embedded = EmbeddedApi(self.store, self.clock)
        self.api: Api = self.embedded.in_process()
        self.informers = Informers(self.api, self.clock)
        self.workloads = WorkloadControllers(self.api, self.informers, self.clock)
        self.launcher = ProcessLauncher.start()
        self.addresses = PodAddresses.reserve()
        self.agent = PodAgent(
            self.api,
            self.informers,
            self.clock,
            launcher=self.launcher,
            addresses=self.addresses,
            images=self.images,
            bootstrap=lambda pod, address: {},
            data_dir=directory,
            groups=groups or ControlGroups.find(),
        )

    async def start(self) -> None:
        await self.embedded.start()
        await self.informers.start()
        self.workloads.start()
        await self.agent.start()

    async def stop(self) -> None:
        await self.workloads.stop()
        await self.agent.stop()
        await self.launcher.stop()
        await self.informers.stop()
        await self.embedded.stop()
        self.store.close()
        self.addresses.close()

    def image(self, directory: Path, name: str, program: str) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "main.py").write_text(program)
        self.images.add(name, directory)

    async def until(self, resource: Resource, holds: Callable[[list[Object]], bool]) -> list[Object]:
        """Return the objects of `resource` as soon as `holds`."""
        changed = asyncio.Event()
        informer = self.informers.of(resource)
        informer.add_handler(lambda old, new: changed.set())
        while not holds(found := informer.list("default")):
            changed.clear()
            await changed.wait()
        return found

    async def log(self, pod: Object) -> str:
        name = pod["metadata"]["name"]
        return b"".join([part async for part in self.agent.read_log("default", name, "", LogQuery())]).decode()


@asynccontextmanager
async def running(directory: Path, groups: ControlGroups | None = None) -> AsyncIterator[Cluster]:
    cluster = Cluster(directory, groups)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


def deployment(image: str, version: str, replicas: int = 1, env: tuple[Object, ...] = ()) -> Object:
    labels = {"app": "hello"}
    container: dict[str, Any] = {
        "name": "app",
        "image": image,
        "env": [{"name": "VERSION", "value": version}, *env],
        "ports": [{"containerPort": 8080, "name": "http"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"eventmesh.io/inject": "false"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
        },
    }


def is_ready(pod: Object) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def bare(name: str, container: dict[str, Any], **spec: Any) -> Object:
    """Return a pod without sidecar."""
    whole = {"name": "app", **container}
    metadata = {"name": name, "annotations": {"eventmesh.io/inject": "false"}}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": metadata,
        "spec": {"containers": [whole], "terminationGracePeriodSeconds": 2, **spec},
    }


def sharing(spec: Object, directory: Path) -> Object:
    """Return the spec of a pod whose containers see this machine's `directory`, at its own path."""
    volume = {"name": "shared", "hostPath": {"path": str(directory)}}
    mount = {"name": "shared", "mountPath": str(directory)}
    containers = [{**each, "volumeMounts": [mount]} for each in spec["containers"]]
    return {**spec, "volumes": [volume], "containers": containers}
