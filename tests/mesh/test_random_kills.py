"""`kill -9` of any one process at random, under load: the state is whole, work goes on, nothing acknowledged is lost,
and no function ends with the mesh process.

Twenty kills; two hundred with `make soak`. How long it took until an event, a request and a write were acknowledged
again is written to the test's output (`pytest -rP`), by the process that was killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import time
from pathlib import Path

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.resources import BROKER, CONFIG_MAP, KSERVICE, REVISION, TRIGGER
from eventmesh.kube.status import is_ready
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import WAIT_S, MeshProcess, gone
from tests.mesh.steady_load import LEDGER, Load

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
NAMES = {
    "mesh": "eventmesh-mesh",
    "launcher": "eventmesh-launc",
    "gateway": "eventmesh-gatew",
    "activator": "eventmesh-activ",
    "sidecar": "eventmesh-sidec",
}
"""What `ps` shows of those that have a name of their own."""
ROLES = ("up", "function", *NAMES)
RECOVERED_WITHIN_S = 2.0
"""The bar, told beside what was measured: other work on the machine is in it."""


def victims(mesh: MeshProcess, role: str) -> list[int]:
    """Return the processes of that role; none while it is just being started."""
    match role:
        case "up":
            return [mesh.pid]
        case "function":
            return [pid for pid in mesh.descendants() if is_function(pid)]
        case _:
            return mesh.named(NAMES[role])


def is_function(pid: int) -> bool:
    return command_line(pid)[-1:] == ["function.py"]


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


async def kill_one(mesh: MeshProcess, load: Load, draw: random.Random) -> tuple[str, float]:
    """Kill a process; return its role, and the seconds until everything was acknowledged again."""
    role = draw.choice(ROLES)
    async with asyncio.timeout(WAIT_S):
        while not (found := victims(mesh, role)):
            await asyncio.sleep(0.02)
    functions = set(victims(mesh, "function"))
    began = time.monotonic()
    victim = draw.choice(sorted(found))
    os.kill(victim, signal.SIGKILL)
    if role == "up":
        # Nothing is left to start it again; whoever ran `eventmesh up` does it, as an init system would.
        await mesh.ended()
        await mesh.start()
    async with asyncio.timeout(WAIT_S):
        await load.acknowledged_again()
    if role in ("mesh", "gateway", "activator"):
        # Each by its own number: a list of children that is read while one of them ends may leave out others.
        assert all(map(is_function, functions)), f"functions ended with the {role}"
    seconds = time.monotonic() - began
    # It may end later than others have answered: the next round is not to count it among those that run.
    await gone({victim})
    return role, seconds


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


@pytest.mark.timeout(1800 if SOAK else 150)
async def test_any_one_process_may_be_killed_at_any_time(mesh: MeshProcess, tmp_path: Path) -> None:
    draw = random.Random(SEED)
    load = Load(mesh, "post")
    took: dict[str, list[float]] = {role: [] for role in ROLES}
    try:
        async with load.sink() as sink:
            await deploy_all(mesh, tmp_path, sink)
            deployed = await objects(mesh)
            load.start()
            await load.acknowledged_again()
            for _ in range(KILLS):
                role, seconds = await kill_one(mesh, load, draw)
                took[role].append(seconds)
                await asyncio.sleep(draw.random() * 0.2)
            async with asyncio.timeout(WAIT_S):
                await load.finish()
                while not load.accepted <= load.arrived:
                    await asyncio.sleep(0.02)
    finally:
        await load.stop()
        for role, seconds_each in took.items():
            if seconds_each:
                middle, worst = statistics.median(seconds_each), max(seconds_each)
                late = sum(seconds > RECOVERED_WITHIN_S for seconds in seconds_each)
                what = f"{middle:.2f} s median, {worst:.2f} s at most, {late} beyond {RECOVERED_WITHIN_S:.0f} s"
                print(f"{role:10} killed {len(seconds_each):3} times: {what}")  # noqa: T201
    assert await objects(mesh) == deployed
    async with mesh.api() as api:
        ledger = await api.get(CONFIG_MAP, LEDGER, "default")
    assert int(ledger["data"]["last"]) >= load.written
