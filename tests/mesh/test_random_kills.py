"""`kill -9` of any one process at random, under load: the state is whole, nothing acknowledged is lost, no function
ends with the mesh process, and within two seconds an event, a request and a write are acknowledged again.

Twenty kills; two hundred with `make soak`. The two seconds are those of a machine that is free for the mesh: the time
that its processes waited for a processor or a disk is taken off (`starvation`). Both times are written to the test's
output (`pytest -rP`), by the process that was killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
from pathlib import Path

import pytest

from eventmesh.cluster.runtime.restarts import RECOVERED_WITHIN_S
from eventmesh.kube.api import Object
from eventmesh.kube.resources import BROKER, CONFIG_MAP, KSERVICE, REVISION, TRIGGER
from eventmesh.kube.status import is_ready
from tests.mesh.killing import ROLES, Recovery, kill
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import MeshProcess
from tests.mesh.steady_load import LEDGER, Load
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
KILLS = 200 if SOAK else 20
RELAY = """
import http.server, os
class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("ce-id", self.headers["ce-id"])
        for name, value in (("specversion", "1.0"), ("source", "/relay"), ("type", "done")):
            self.send_header(f"ce-{name}", value)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Relay).serve_forever()
"""


def show(recoveries: list[Recovery]) -> None:
    for role in ROLES:
        its = [each for each in recoveries if each.role == role]
        if its:
            wall_s, own_s = [each.wall_s for each in its], [each.own_s for each in its]
            times = f"{statistics.median(wall_s):.2f} s median, {max(wall_s):.2f} s at most"
            own = f"{statistics.median(own_s):.2f} and {max(own_s):.2f} s of them"
            print(f"{role:10} killed {len(its):3} times: {times}; {own} its own")  # noqa: T201


async def objects(mesh: MeshProcess) -> list[tuple[str, str, str]]:
    """Return kind, name and UID of what was deployed and made of it."""
    async with mesh.api() as api:
        lists = [await api.list(resource, "default") for resource in (KSERVICE, REVISION, BROKER, TRIGGER)]
    return sorted(identity(obj) for listed in lists for obj in listed.items)


def identity(obj: Object) -> tuple[str, str, str]:
    return obj.get("kind", ""), obj["metadata"]["name"], obj["metadata"]["uid"]


async def deploy_all(mesh: MeshProcess, directory: Path, sink: str) -> None:
    add_function(mesh, directory / "relay", "relay", RELAY)
    delivery = {"retry": 100, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}
    async with mesh.api() as api:
        await api.create(CONFIG_MAP, {"metadata": {"name": LEDGER}, "data": {"last": "0"}}, "default")
        await deploy(api, service("relay", "dev.local/relay", min_scale="2"))
        await api.create(BROKER, {"metadata": {"name": "post"}, "spec": {"delivery": delivery}}, "default")
        relay = {"ref": {"apiVersion": KSERVICE.api_version, "kind": KSERVICE.kind, "name": "relay"}}
        for name, kind, subscriber in (("relay", "begun", relay), ("end", "done", {"uri": sink})):
            spec = {"broker": "post", "filter": {"attributes": {"type": kind}}, "subscriber": subscriber}
            await api.create(TRIGGER, {"metadata": {"name": name}, "spec": spec}, "default")
            await until(api, TRIGGER, name, is_ready)


@pytest.mark.timeout(1800 if SOAK else 600)
async def test_any_one_process_may_be_killed_at_any_time(mesh: MeshProcess, tmp_path: Path) -> None:
    draw = random.Random(SEED)
    load = Load(mesh, "post")
    recoveries: list[Recovery] = []
    try:
        async with load.sink() as sink:
            await deploy_all(mesh, tmp_path, sink)
            deployed = await objects(mesh)
            load.start()
            await load.acknowledged_again()
            for _ in range(KILLS):
                recoveries.append(await kill(mesh, load, draw.choice(ROLES), draw.choice))
                await asyncio.sleep(draw.random() * 0.2)
            async with asyncio.timeout(WAIT_S):
                await load.finish()
                while not load.accepted <= load.arrived:
                    await asyncio.sleep(0.02)
    finally:
        await load.stop()
        show(recoveries)
    assert await objects(mesh) == deployed
    async with mesh.api() as api:
        ledger = await api.get(CONFIG_MAP, LEDGER, "default")
    assert int(ledger["data"]["last"]) >= load.written
    late = [each for each in recoveries if each.own_s > RECOVERED_WITHIN_S]
    assert not late, f"after these an event, a request or a write waited: {late}"
