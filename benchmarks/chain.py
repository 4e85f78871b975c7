"""A chain of four functions at zero, with pre-warming and without, beside one function alone: event sent to last reply.

Three brokers in one mesh, each with functions of its own that all run the same program; every round puts all of them to
sleep and asks each broker once, in an order that changes. The first round is for learning and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import queue
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.cold_mesh import NAMESPACE, ColdMesh, create, is_ready, until
from eventmesh.kube.api import Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import BROKER, CONFIG_MAP, KSERVICE, TRIGGER
from functions.demo.mesh import EVENTMESH

FUNCTION = Path(__file__).parent / "link"
STEPS = 4
BAR = 1.5
"""What a chain with pre-warming may cost, in cold starts of one function."""
PATIENCE_S = 60.0
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Chain:
    """A broker and how many functions its events go through."""

    name: str
    length: int
    annotations: tuple[tuple[str, str], ...] = ()


ALONE = _Chain("alone", 1)
PLAIN = _Chain("plain", STEPS)
PREWARMED = _Chain("prewarmed", STEPS, (("eventmesh.io/prewarm", "8"),))
CHAINS = (ALONE, PLAIN, PREWARMED)


class _Sink(http.server.BaseHTTPRequestHandler):
    arrivals: queue.Queue[tuple[str, float]] = queue.Queue()

    def do_POST(self) -> None:
        self.arrivals.put((self.headers["ce-type"], time.monotonic()))
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        del format, args


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 0, or raise RuntimeError or queue.Empty when a chain did not come to its end."""
    report.progress("starting a mesh")
    mesh = ColdMesh(0)
    try:
        with _sink() as url:
            figures, guesses = asyncio.run(_measure(mesh, url, args.rounds))
    finally:
        report.clear_progress()
        mesh.stop()
    _print(figures, guesses)
    return 0


@contextmanager
def _sink() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


async def _measure(mesh: ColdMesh, sink: str, rounds: int) -> tuple[dict[str, list[float]], list[str]]:
    figures: dict[str, list[float]] = {chain.name: [] for chain in CHAINS}
    api = await mesh.api()
    try:
        report.progress("deploying")
        await _deploy(mesh, api, sink)
        for number in range(rounds + 1):
            report.progress(f"round {number} of {rounds}: waiting until all functions sleep")
            await mesh.asleep(api)
            turn = number % len(CHAINS)
            for chain in (*CHAINS[turn:], *CHAINS[:turn]):
                taken = await asyncio.to_thread(_ask, mesh, chain, f"{chain.name}-{number}")
                if number:
                    figures[chain.name].append(taken)
                await asyncio.sleep(PAUSE_S)
        return figures, await asyncio.to_thread(mesh.metrics, "eventmesh_prewarm_")
    finally:
        await api.close()


async def _deploy(mesh: ColdMesh, api: HttpApi, sink: str) -> None:
    image = [*EVENTMESH, "images", "add", "link", str(FUNCTION)]
    await asyncio.to_thread(
        subprocess.run, image, check=True, stdout=subprocess.DEVNULL, env=mesh.process.environment()
    )
    await api.patch(CONFIG_MAP, "config-autoscaler", {"data": mesh.quick_sleep()}, "knative-serving")
    for chain in CHAINS:
        await create(api, BROKER, chain.name, {"spec": {}}, dict(chain.annotations))
        for step in range(chain.length):
            name = f"{chain.name}-{step}"
            template = {"spec": {"containers": [{"image": "dev.local/link"}]}}
            await create(api, KSERVICE, name, {"spec": {"template": template}})
            subscriber = {"ref": {"apiVersion": KSERVICE.api_version, "kind": KSERVICE.kind, "name": name}}
            await create(api, TRIGGER, name, {"spec": _trigger(chain.name, step, subscriber)})
        await create(api, TRIGGER, f"{chain.name}-end", {"spec": _trigger(chain.name, chain.length, {"uri": sink})})
    for resource in (KSERVICE, TRIGGER):
        await until(api, resource, lambda objects: all(map(is_ready, objects)))


def _trigger(broker: str, step: int, subscriber: Object) -> Object:
    return {"broker": broker, "filter": {"attributes": {"type": f"{broker}.{step}"}}, "subscriber": subscriber}


def _ask(mesh: ColdMesh, chain: _Chain, event_id: str) -> float:
    """Return the seconds from sending the first event to the last reply's arrival."""
    sent = mesh.post(chain.name, f"{chain.name}.0", event_id)
    kind, arrived = _Sink.arrivals.get(timeout=PATIENCE_S)
    if kind != f"{chain.name}.{chain.length}":
        raise RuntimeError(f"{kind} arrived where {chain.name} was asked")
    return arrived - sent


def _print(figures: dict[str, list[float]], guesses: list[str]) -> None:
    titles = {ALONE: "one function", PLAIN: f"chain of {STEPS}", PREWARMED: f"chain of {STEPS}, pre-warmed"}
    print(f"\nA chain of functions at zero, each 0.3 s to start, in namespace {NAMESPACE}")
    print(f"  {'ms, event sent to last reply':34}{'p50':>8}{'min':>8}{'max':>8}")
    for chain, title in titles.items():
        values = [value * 1e3 for value in figures[chain.name]]
        print(f"  {title:34}{statistics.median(values):8.0f}{min(values):8.0f}{max(values):8.0f}")
    alone = statistics.median(figures[ALONE.name])
    for chain in (PLAIN, PREWARMED):
        print(f"  {titles[chain]}: {statistics.median(figures[chain.name]) / alone:.2f} cold starts")
    ratio = statistics.median(figures[PREWARMED.name]) / alone
    print(report.limit_bar("pre-warmed chain", ratio, BAR, "cold starts"))
    for line in guesses:
        print(f"  {line}")
    report.save("chain", {**figures, "guesses": guesses})
