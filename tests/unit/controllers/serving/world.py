"""An embedded API with the Serving controllers at work, and the parts of its neighbours played by the test.

The store, admission, informers and controllers are the real ones. What control, the workload controllers and
the runtime would write (statuses) the test writes itself, so that each state can be held still and looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from eventmesh.autoscale.stat import Stat
from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import MeshError
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.autoscaler.app import Autoscaler
from eventmesh.controllers.serving.app import ServingControllers
from eventmesh.controllers.serving.names import REVISION as REVISION_LABEL
from eventmesh.controllers.serving.settings import LocalSettings, ServingSettings
from eventmesh.kube.api import Api, ApiError, EventType, Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, labels_of
from eventmesh.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    DOMAIN_CLAIM,
    EVENT,
    KINGRESS,
    KSERVICE,
    POD,
    REVISION,
    SERVERLESS_SERVICE,
)
from eventmesh.kube.status import condition

DIGEST = "sha256:" + "a" * 64
STAMP = "2026-01-01T00:00:00Z"
CRDS = Path(__file__).parents[4] / "knative"
AT_MOST_S = 60.0
"""A state that is not there by then will never be."""


class KnownImages:
    """The images that there are: all of `dev.local`, but for those that were taken away."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    async def resolve(self, image: str) -> str:
        if image in self.missing or not image.startswith("dev.local/"):
            raise MeshError(f"unknown image {image}: known are dev.local/hello")
        return image if "@" in image else f"{image}@{DIGEST}"


class SettableClock(SystemClock):
    """The machine's time, which a test may push forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)

    def unix_s(self) -> float:
        return super().unix_s() + self.ahead_s


class World:
    """The API and everybody who works on it."""

    def __init__(self, directory: Path) -> None:
        self.clock = SettableClock()
        self.images = KnownImages()
        self.store = Store(directory / "store", self.clock)
        self.embedded = EmbeddedApi(self.store, self.clock)
        self.embedded.apply(CRDS)
        self.api: Api = self.embedded.in_process()
        self.user: Api = self.embedded.in_process("alice")
        self.informers = Informers(self.api, self.clock)
        local = LocalSettings(default_domain="localhost", external_port=8080)
        self.serving = ServingControllers(self.api, self.informers, self.clock, self.images, local)
        self.autoscaler = Autoscaler(self.api, self.informers, self.clock, self.serving.settings, ("127.0.0.1", 0))
        for resource, admission in self.serving.admissions().items():
            self.embedded.admission.register(resource, admission)

    async def start(self) -> None:
        await self.embedded.start()
        await self.informers.start()
        await self.serving.start()
        await self.autoscaler.start()

    async def stop(self) -> None:
        await self.autoscaler.stop()
        await self.serving.stop()
        await self.informers.stop()
        await self.embedded.stop()
        self.store.close()

    # -- users

    async def deploy(self, name: str = "hello", image: str = "dev.local/hello", **template: Any) -> Object:
        """Create a Service as a user does."""
        spec = {"template": {"spec": {"containers": [{"image": image}]}, **template}}
        return await self.user.create(KSERVICE, _object(KSERVICE, name, spec), "default")

    async def change(self, resource: Resource, name: str, patch: Object) -> Object:
        """Merge `patch` into an object as a user does."""
        return await self.user.patch(resource, name, patch, "default")

    async def configure(self, name: str, data: dict[str, str]) -> None:
        """Write a ConfigMap of the system namespace."""
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        try:
            await self.api.create(CONFIG_MAP, config_map, "knative-serving")
        except ApiError as error:
            if not error.already_exists:
                raise
            await self.api.patch(CONFIG_MAP, name, {"data": data}, "knative-serving")

    # -- looking

    def key(self, name: str) -> Key:
        return Key("default", name)

    async def get(self, resource: Resource, name: str) -> Object:
        return await self.api.get(resource, name, "default")

    async def names(self, resource: Resource) -> set[str]:
        listing = await self.api.list(resource, "default")
        return {obj["metadata"]["name"] for obj in listing.items}

    async def until(self, resource: Resource, name: str, holds: Callable[[Object], bool]) -> Object:
        """Return the object as soon as `holds` does; fails with the object as it was last."""
        last: list[Object] = []
        try:
            async with asyncio.timeout(AT_MOST_S):
                async for obj in self._versions(resource, name):
                    last[:] = [obj]
                    if holds(obj):
                        return obj
        except TimeoutError:
            pass
        raise AssertionError(f"{resource.kind} {name} never came to be as expected; at last it was {last}")

    async def _versions(self, resource: Resource, name: str) -> AsyncIterator[Object]:
        selector = f"metadata.name={name}"
        listing = await self.api.list(resource, "default", field_selector=selector)
        for obj in listing.items:
            yield obj
        since = listing.resource_version
        async for event in self.api.watch(resource, "default", resource_version=since, field_selector=selector):
            if event.type is not EventType.DELETED:
                yield event.object

    async def until_condition(self, resource: Resource, name: str, kind: str, status: str, reason: str = "") -> Object:
        """Return the object as soon as one of its conditions is as given, for its present generation."""

        def holds(obj: Object) -> bool:
            found = condition(obj, kind) or {}
            observed = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
            return observed and found.get("status") == status and reason in ("", found.get("reason", ""))

        return await self.until(resource, name, holds)

    async def until_claimed(self, domain: str, namespace: str) -> None:
        """Return when `namespace` has the claim to `domain`."""
        async with asyncio.timeout(AT_MOST_S):
            listing = await self.api.list(DOMAIN_CLAIM)
            holders = {obj["metadata"]["name"]: obj["spec"]["namespace"] for obj in listing.items}
            if holders.get(domain) == namespace:
                return
            async for event in self.api.watch(DOMAIN_CLAIM, resource_version=listing.resource_version):
                obj = event.object
                named = (obj["metadata"]["name"], (obj.get("spec") or {}).get("namespace"))
                if event.type is not EventType.DELETED and named == (domain, namespace):
                    return

    async def until_setting(self, holds: Callable[[ServingSettings], bool]) -> None:
        """Return as soon as the settings in force are as expected."""
        changed = asyncio.Event()
        self.serving.settings.on_change(changed.set)
        async with asyncio.timeout(AT_MOST_S):
            while not holds(self.serving.settings.current):
                await changed.wait()
                changed.clear()

    async def until_event(self, namespace: str, name: str, reason: str) -> Object:
        """Return the Event about an object with that reason."""
        async with asyncio.timeout(AT_MOST_S):
            listing = await self.api.list(EVENT, namespace)
            found = [obj for obj in listing.items if _is_about(obj, name, reason)]
            if found:
                return found[0]
            async for event in self.api.watch(EVENT, namespace, resource_version=listing.resource_version):
                if _is_about(event.object, name, reason):
                    return event.object
        raise AssertionError("a watch ended")

    # -- the parts of the neighbours

    async def control_acknowledges(self, revision: str) -> Object:
        """Say as control does that the data plane has the endpoints of a revision."""
        serverless = await self.until(SERVERLESS_SERVICE, revision, lambda obj: True)
        status = {
            "serviceName": revision,
            "privateServiceName": f"{revision}-private",
            "observedGeneration": serverless["metadata"]["generation"],
            "conditions": [_true("EndpointsPopulated"), _true("Ready")],
        }
        return await self._status(SERVERLESS_SERVICE, serverless, status)

    async def control_publishes(self, route: str) -> Object:
        """Say as control does that the data plane has the routes of a KIngress."""
        ingress = await self.until(KINGRESS, route, lambda obj: True)
        gateway = {"ingress": [{"domainInternal": "gateway.knative-serving.svc.cluster.local"}]}
        status = {
            "observedGeneration": ingress["metadata"]["generation"],
            "conditions": [_true("LoadBalancerReady"), _true("NetworkConfigured"), _true("Ready")],
            "publicLoadBalancer": gateway,
            "privateLoadBalancer": gateway,
        }
        return await self._status(KINGRESS, ingress, status)

    async def pod_runs(self, revision: str, number: int = 0) -> Object:
        """Have a pod of a revision that is ready."""
        return await self._pod(revision, number, {"conditions": [_true("Ready")], "podIP": f"127.64.0.{number + 1}"})

    async def pod_crashes(self, revision: str, code: int, message: str) -> Object:
        """Have a pod of a revision whose container keeps ending."""
        ended = {"terminated": {"exitCode": code, "message": message, "reason": "Error"}}
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        container = {"name": "user-container", "ready": False, "state": waiting, "lastState": ended}
        return await self._pod(revision, 0, {"containerStatuses": [container]})

    async def pod_ends(self, revision: str, number: int = 0) -> None:
        """Have a pod of a revision that is gone."""
        await self.embedded.in_process().delete(POD, f"{revision}-{number}", "default", grace_seconds=0)
        await self.until_gone(POD, f"{revision}-{number}")

    async def until_gone(self, resource: Resource, name: str) -> None:
        async with asyncio.timeout(AT_MOST_S):
            listing = await self.api.list(resource, "default")
            if name not in {obj["metadata"]["name"] for obj in listing.items}:
                return
            async for event in self.api.watch(resource, "default", resource_version=listing.resource_version):
                if event.type.value == "DELETED" and event.object["metadata"]["name"] == name:
                    return

    async def deployment_says(self, revision: str, *conditions: Object) -> Object:
        """Have the Deployment's controller say how it is."""
        deployment = await self.get(DEPLOYMENT, f"{revision}-deployment")
        return await self._status(DEPLOYMENT, deployment, {"conditions": list(conditions)})

    async def ready(self, name: str = "hello", revision: str = "hello-00001") -> Object:
        """Let everybody do his part until the Service is ready; return it."""
        await self.until(REVISION, revision, lambda obj: True)
        await self.pod_runs(revision)
        await self.control_acknowledges(revision)
        await self.until_condition(REVISION, revision, "Ready", "True")
        await self.until(
            KINGRESS,
            name,
            lambda obj: any(
                split["serviceName"] == revision
                for rule in obj["spec"]["rules"]
                for path in rule["http"]["paths"]
                for split in path["splits"]
            ),
        )
        await self.control_publishes(name)
        return await self.until_condition(KSERVICE, name, "Ready", "True")

    def report(self, revision: str, concurrency: float) -> None:
        """Report the load of a revision as an activator does."""
        stat = Stat("activator", average_concurrent_requests=concurrency, request_count=concurrency)
        self.autoscaler.deciders.report(Key("default", revision), stat)

    async def _status(self, resource: Resource, obj: Object, status: Object) -> Object:
        return await self.api.replace(resource, {**obj, "status": status}, subresource="status")

    async def _pod(self, revision: str, number: int, status: Object) -> Object:
        name = f"{revision}-{number}"
        template = (await self.until(DEPLOYMENT, f"{revision}-deployment", lambda obj: True))["spec"]["template"]
        assert labels_of(template)[REVISION_LABEL] == revision
        pod = _object(POD, name, template["spec"], labels=labels_of(template))
        try:
            stored = await self.api.create(POD, pod, "default")
        except ApiError as error:
            if not error.already_exists:
                raise
            stored = await self.get(POD, name)
        return await self._status(POD, stored, status)


def _is_about(event: Object, name: str, reason: str) -> bool:
    return bool((event.get("involvedObject") or {}).get("name") == name and event.get("reason") == reason)


def _object(resource: Resource, name: str, spec: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": spec,
    }


def _true(kind: str) -> Object:
    return {"type": kind, "status": "True", "lastTransitionTime": STAMP}
