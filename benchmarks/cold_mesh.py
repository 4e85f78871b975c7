"""A mesh of its own with functions that sleep, and what is asked of them: a request, an event, when things happened."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.direct import Program
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.client import HttpApi
from eventmesh.kube.config import ACTIVATOR_EXTENSION, admin_port, load_config
from eventmesh.kube.resources import BROKER, CONFIG_MAP, KSERVICE, POD, TRIGGER
from eventmesh.kube.status import condition
from functions.demo.mesh import EVENTMESH, MeshProcess

NAMESPACE = "default"
BROKER_NAME = "bench"
FUNCTION = Path(__file__).parent / "tiny"
FUNCTION_NAME = "function"
SLEEP_AFTER = "6s"
"""The shortest window and the shortest grace that Knative allows."""
PATIENCE_S = 90.0
SETTLE_S = 0.5
"""Between two wakes: as long as the mesh works on what the last one left to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The function's own account of its start, in monotonic seconds, and when the caller asked and had the answer."""

    asked: float
    answered: float
    began: float
    """The function's first line of code ran."""
    listening: float
    accepted: float
    """The request had reached the function."""
    event: float
    """The first event had reached the function; 0 when none has."""


class ColdMesh:
    """`eventmesh up` with `count` functions `cold-N`, each with a Trigger for events of type `cold-N`."""

    def __init__(self, count: int) -> None:
        self.names = [f"cold-{number}" for number in range(count)]
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-cold-")
        began = time.monotonic()
        self.process = MeshProcess(Path(self._scratch.name))
        self.ready_s = time.monotonic() - began
        self._host, _, port = self.process.gateway.rpartition(":")
        self._port = int(port)

    def stop(self) -> None:
        """Stop the mesh and forget its state."""
        self.process.stop()
        self._scratch.cleanup()

    def restart(self) -> float:
        """Stop the mesh and start it on the same state; return the seconds from exec to ready."""
        self.process.stop()
        began = time.monotonic()
        self.process = MeshProcess(Path(self._scratch.name))
        return time.monotonic() - began

    async def api(self) -> HttpApi:
        """Return a client of the mesh's API; close it."""
        return HttpApi(await load_config(self.process.kubeconfig))

    async def deploy(self, api: HttpApi) -> None:
        """Return when every function and every Trigger is Ready."""
        image = [*EVENTMESH, "images", "add", "tiny", str(FUNCTION)]
        subprocess.run(image, check=True, stdout=subprocess.DEVNULL, env=self.process.environment())
        await api.patch(CONFIG_MAP, "config-autoscaler", {"data": self.quick_sleep()}, "knative-serving")
        await create(api, BROKER, BROKER_NAME, {"spec": {}})
        for name in self.names:
            template = {"spec": {"containers": [{"image": "dev.local/tiny"}]}}
            await create(api, KSERVICE, name, {"spec": {"template": template}})
            subscriber = {"ref": {"apiVersion": KSERVICE.api_version, "kind": KSERVICE.kind, "name": name}}
            spec = {"broker": BROKER_NAME, "filter": {"attributes": {"type": name}}, "subscriber": subscriber}
            await create(api, TRIGGER, name, {"spec": spec})
        for resource in (KSERVICE, TRIGGER):
            await until(api, resource, lambda objects: all(map(is_ready, objects)))

    @staticmethod
    def quick_sleep() -> Object:
        """Return the settings with which functions sleep as soon as Knative allows."""
        return {"stable-window": SLEEP_AFTER, "scale-to-zero-grace-period": SLEEP_AFTER}

    async def asleep(self, api: HttpApi) -> None:
        """Return when no function has a pod, and the mesh has come to rest."""
        await until(api, POD, lambda pods: not pods)
        await asyncio.sleep(SETTLE_S)

    def program(self) -> Program:
        """Return how the mesh runs a function; wakes one."""
        self.call(self.names[0])
        return Program.of(self.data_planes()[FUNCTION_NAME][0])

    def data_planes(self) -> dict[str, list[int]]:
        """Return the processes of the mesh by name."""
        found: dict[str, list[int]] = {"up": [self.process.process.pid]}
        for child in psutil.Process(self.process.process.pid).children(recursive=True):
            # Functions go to sleep whenever they like.
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                is_function = child.cmdline()[-1:] == ["function.py"]
                found.setdefault(FUNCTION_NAME if is_function else child.name(), []).append(child.pid)
        return found

    def call(self, name: str) -> Answer:
        """Send a request through the gateway; raises RuntimeError for any answer but 200."""
        host = f"{name}.{NAMESPACE}.localhost"
        asked, status, body = self._exchange("GET", "/", {"Host": host}, None)
        answered = time.monotonic()
        if status != 200:
            raise RuntimeError(f"{name} answered {status}: {body}")
        return Answer(asked, answered, *map(float, body.split()))

    def send(self, name: str) -> tuple[float, float]:
        """Send the event that wakes `name`; return when it was sent and when it was accepted."""
        return self.post(BROKER_NAME, name, name), time.monotonic()

    def post(self, broker: str, event_type: str, event_id: str) -> float:
        """Send an event to a broker; return when it was sent, after it was accepted."""
        headers = {
            "Host": "broker-ingress.knative-eventing.localhost",
            "ce-specversion": "1.0",
            "ce-id": event_id,
            "ce-source": "/benchmarks",
            "ce-type": event_type,
            "content-type": "application/json",
        }
        sent, status, body = self._exchange("POST", f"/{NAMESPACE}/{broker}", headers, json.dumps({"n": 1}))
        if status != 202:
            raise RuntimeError(f"the broker answered {status}: {body}")
        return sent

    def metrics(self, prefix: str) -> list[str]:
        """Return the rows of the activator's metrics that begin so."""
        connection = http.client.HTTPConnection(admin_port(self.process.kubeconfig, ACTIVATOR_EXTENSION))
        try:
            connection.request("GET", "/stats/prometheus")
            page = connection.getresponse().read().decode()
        finally:
            connection.close()
        return [line for line in page.splitlines() if line.startswith(prefix)]

    def _exchange(self, method: str, path: str, headers: dict[str, str], body: str | None) -> tuple[float, int, str]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_S)
        try:
            began = time.monotonic()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return began, response.status, response.read().decode()
        finally:
            connection.close()


async def until(api: HttpApi, resource: Resource, holds: Callable[[list[Object]], bool]) -> None:
    """Return when `holds` is true of all objects of a kind; raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds((await api.list(resource, NAMESPACE)).items):
            await asyncio.sleep(0.1)


async def create(
    api: HttpApi, resource: Resource, name: str, rest: Object, annotations: dict[str, str] | None = None
) -> None:
    """Make an object in the namespace of the benchmarks."""
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations or {}}
    await api.create(resource, {"metadata": metadata, **rest}, NAMESPACE)


def is_ready(obj: Object) -> bool:
    """Return whether an object's condition Ready is True."""
    found = condition(obj, "Ready")
    return found is not None and found["status"] == "True"


def rss_and_pss_mib(pid: int) -> tuple[float, float] | None:
    """Return a process's own account of its memory; None when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return kib["Rss"] / 1024, kib["Pss"] / 1024
