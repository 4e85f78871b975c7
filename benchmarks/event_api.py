"""The least that a broker needs beside it: an API that holds one Broker. `python -m benchmarks.event_api DIR [URL]`.

With the URL of a subscriber there is a Trigger too, and control, without which nothing is delivered.
"""

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
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import BROKER, TRIGGER
from eventmesh.xds.control.app import Control

NAMESPACE, NAME = "default", "bench"


async def serve(directory: Path, subscriber: str) -> None:
    """Serve until killed; `directory`/kubeconfig appears when it can be reached; `control` beside is control's port."""
    clock = SystemClock()
    api = EmbeddedApi(Store(directory / "store", clock), clock)
    for resource, admission in ADMISSIONS.items():
        api.admission.register(resource, admission)
    await api.start()
    broker = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "metadata": {"name": NAME}}
    await api.in_process().create(BROKER, broker, NAMESPACE)
    server = ApiServer(api, ("127.0.0.1", 0), directory / "tls")
    await server.start()
    if subscriber:
        inside = api.in_process()
        informers = Informers(inside, clock)
        eventing, control = EventingControllers(inside, informers, clock), Control(inside, informers, clock)
        await informers.start()
        eventing.start()
        spec = {"broker": NAME, "subscriber": {"uri": subscriber}}
        trigger = {"apiVersion": TRIGGER.api_version, "kind": TRIGGER.kind, "metadata": {"name": NAME}, "spec": spec}
        await inside.create(TRIGGER, trigger, NAMESPACE)
        (directory / "control").write_text(str(await control.start("127.0.0.1:0")))
    write_kubeconfig(directory / "kubeconfig", server.url, server.credentials.ca_pem, server.credentials.token)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), *sys.argv[2:] or [""]))
