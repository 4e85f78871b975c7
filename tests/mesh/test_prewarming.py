"""A function is woken before its event is there: by a broker that asks for it, through the real autoscaler."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import BROKER, KSERVICE, TRIGGER
from eventmesh.kube.status import is_ready
from tests.mesh.objects import add_function, configure_autoscaler, deploy, service, until
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

TRIES = 6

PRICE = """
import http.server, os
class Price(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("ce-id", self.headers["ce-id"] + "-priced")
        for name, value in (("specversion", "1.0"), ("source", "/price"), ("type", "priced")):
            self.send_header(f"ce-{name}", value)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Price).serve_forever()
"""


async def step(api: HttpApi, name: str, takes: str) -> None:
    """Deploy a step that is at zero from its first moment, and its Trigger."""
    await deploy(api, service(name, "dev.local/price", initial_scale="0"))
    subscriber = {"ref": {"apiVersion": KSERVICE.api_version, "kind": KSERVICE.kind, "name": name}}
    spec = {"broker": "orders", "filter": {"attributes": {"type": takes}}, "subscriber": subscriber}
    await api.create(TRIGGER, {"metadata": {"name": name}, "spec": spec}, "default")
    await until(api, TRIGGER, name, is_ready)


async def traced(mesh: MeshProcess, event: str, wanted: str) -> str:
    """Return the timeline of the event as soon as it says so."""
    async with asyncio.timeout(WAIT_S):
        while wanted not in (told := await mesh.eventmesh("events", "trace", event)).out:
            assert told.code == 0, told.err
    return told.out


async def test_what_will_follow_is_woken_while_the_step_before_runs(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "price", "price", PRICE)
    send = ("send", "--broker", "orders", "--type", "placed")
    async with mesh.api() as api:
        await configure_autoscaler(api, {"allow-zero-initial-scale": "true"})
        metadata = {"name": "orders", "annotations": {"eventmesh.io/prewarm": "4"}}
        await api.create(BROKER, {"metadata": metadata, "spec": {}}, "default")
        await step(api, "price", "placed")
        assert (await mesh.eventmesh(*send, "--id", "1")).code == 0
        await traced(mesh, "1", "replied with event")
        # What price answers is known now; who takes that comes later, asleep. An event that is quicker than the news of
        # a Trigger leads nowhere that is known: then another one and another function show it.
        for number in range(2, 2 + TRIES):
            ship, event = f"ship-{number}", str(number)
            await step(api, ship, "priced")
            assert (await mesh.eventmesh(*send, "--source", f"/{event}", "--id", event)).code == 0
            told = await traced(mesh, event, f"default/{ship}  attempt 1  200")
            if f"default/{ship}  woken for an event that will probably follow" in told:
                break
        else:
            raise AssertionError(f"nobody was woken ahead: {told}")
        first = json.loads((await mesh.eventmesh("events", "trace", "1", "-o", "json")).out)
    assert "woken" not in json.dumps(first)
