"""From zero to several pods and back, again and again, while functions are redeployed: no request is lost or fails.

Every revision begins at zero. Three services once; ten of them five times, ten thousand requests, with `make soak`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import KSERVICE, POD
from tests.mesh.objects import add_function, configure_autoscaler, deploy, service, until, until_none
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SERVICES, CYCLES = (10, 5) if SOAK else (3, 1)
REQUESTS = 200
"""Of each service in each cycle: ten thousand in all of a soak."""
CLIENTS = 8
"""Of each service at a time; with a target of two it is scaled to several pods."""

WORKING = """
import http.server, os, time
class Working(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.02)
        body = os.environ["K_REVISION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Working).serve_forever()
"""


class Burst:
    """The requests of one service in one cycle."""

    def __init__(self, session: aiohttp.ClientSession, mesh: MeshProcess, name: str) -> None:
        self.answers: Counter[str] = Counter()
        """By the revision that answered, or by what went wrong."""
        self.half_done = asyncio.Event()
        self._session = session
        self._url = f"http://127.0.0.1:{mesh.gateway_port}/"
        self._host = f"{name}.default.localhost"
        self._left = REQUESTS

    async def run(self) -> None:
        """Return when all have been answered, or have failed."""
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        while self._left:
            self._left -= 1
            try:
                async with self._session.get(self._url, headers={"Host": self._host}) as answer:
                    text = await answer.text()
                    self.answers[text if answer.status == 200 else f"{answer.status} {text}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                self.answers[repr(error)] += 1
            if self._left <= REQUESTS // 2:
                self.half_done.set()


async def redeploy(api: HttpApi, burst: Burst, name: str, generation: int) -> None:
    """Give the service another revision while it is being asked."""
    await burst.half_done.wait()
    template = service(name, "dev.local/working", **marks())["spec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "GENERATION", "value": str(generation)}]
    await api.patch(KSERVICE, name, {"spec": {"template": template}}, "default")
    wanted = f"{name}-{generation:05}"
    await until(api, KSERVICE, name, lambda obj: obj["status"].get("latestReadyRevisionName") == wanted)


def marks() -> dict[str, str]:
    return {"window": "6s", "target": "2", "initial_scale": "0"}


@pytest.mark.timeout(1800 if SOAK else 300)
async def test_no_request_is_lost_between_zero_and_many(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "working", "working", WORKING)
    names = [f"cycle-{number}" for number in range(SERVICES)]
    async with mesh.api() as api, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2 * WAIT_S)) as session:
        settings = {"scale-to-zero-grace-period": "6s", "allow-zero-initial-scale": "true"}
        await configure_autoscaler(api, settings)
        await asyncio.gather(*(deploy(api, service(name, "dev.local/working", **marks())) for name in names))
        for cycle in range(CYCLES):
            bursts = {name: Burst(session, mesh, name) for name in names}
            await asyncio.gather(
                *(burst.run() for burst in bursts.values()),
                *(redeploy(api, burst, name, cycle + 2) for name, burst in bursts.items()),
            )
            for name, burst in bursts.items():
                known = {f"{name}-{generation:05}" for generation in (cycle + 1, cycle + 2)}
                assert burst.answers.keys() <= known, burst.answers
                assert burst.answers.total() == REQUESTS
            # All the way down again, old revisions and new.
            await until_none(api, POD)
