"""Control over an embedded API with many Services, for the scale suite.

`python -m benchmarks.control_server SERVICES ENDPOINTS` says `port N`; each line of standard input moves one endpoint,
and `changed N` says when its EndpointSlice was written (Unix time in nanoseconds): as `ads-load serve`, with objects.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import ENDPOINT_SLICE, SERVICE
from eventmesh.xds.control.app import Control

NAMESPACE = "default"


def _service(number: int) -> Object:
    metadata = {"name": f"svc-{number}", "namespace": NAMESPACE}
    ports = [{"name": "http", "port": 80}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


def _slice(number: int, endpoints: int, moved: int) -> Object:
    hosts = [100 + moved % 100, *range(1, endpoints)]
    addresses = [f"10.{number // 250}.{number % 250}.{last}" for last in hosts]
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {
            "name": f"svc-{number}-0",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": f"svc-{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
    }


async def _changes(api: Api, services: int, endpoints: int) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    version = 0
    while await reader.readline():
        version += 1
        number = version % services
        stored = await api.get(ENDPOINT_SLICE, f"svc-{number}-0", NAMESPACE)
        began = time.time_ns()
        await api.replace(ENDPOINT_SLICE, {**stored, "endpoints": _slice(number, endpoints, version)["endpoints"]})
        sys.stdout.write(f"changed {began}\n")
        sys.stdout.flush()


async def _serve(services: int, endpoints: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        clock = SystemClock()
        embedded = EmbeddedApi(Store(Path(directory) / "store", clock), clock)
        api = embedded.in_process()
        informers = Informers(api, clock)
        control = Control(api, informers, clock)
        await embedded.start()
        for number in range(services):
            await api.create(SERVICE, _service(number), NAMESPACE)
            await api.create(ENDPOINT_SLICE, _slice(number, endpoints, 0), NAMESPACE)
        await informers.start()
        port = await control.start("127.0.0.1:0")
        sys.stdout.write(f"port {port}\n")
        sys.stdout.flush()
        await _changes(api, services, endpoints)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
