"""The least that a broker needs beside it: an API that holds one Broker. `python -m benchmarks.event_api DIR`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.eventing.admission import ADMISSIONS
from eventmesh.kube.resources import BROKER

NAMESPACE, NAME = "default", "bench"


async def serve(directory: Path) -> None:
    """Serve until killed; `directory`/kubeconfig appears when it can be reached."""
    clock = SystemClock()
    api = EmbeddedApi(Store(directory / "store", clock), clock)
    for resource, admission in ADMISSIONS.items():
        api.admission.register(resource, admission)
    await api.start()
    broker = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "metadata": {"name": NAME}}
    await api.in_process().create(BROKER, broker, NAMESPACE)
    server = ApiServer(api, ("127.0.0.1", 0), directory / "tls")
    await server.start()
    write_kubeconfig(directory / "kubeconfig", server.url, server.credentials.ca_pem, server.credentials.token)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
