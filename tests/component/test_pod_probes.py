"""Probes with real sockets and processes: what each kind hears, and what becomes of a pod that fails one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.asking import Asker
from eventmesh.cluster.runtime.commands import Place
from eventmesh.cluster.runtime.probe import Action, Exec, GrpcHealth, HttpGet, Outcome, Probe, Purpose, TcpSocket
from eventmesh.cluster.runtime.process import Command, ProcessLauncher
from eventmesh.kube.resources import EVENT, POD
from tests.component.pod_cluster import bare, running, sharing
from tests.waiting import WAIT_S

SERVERS = """
import http.server, threading, grpc
from concurrent.futures import ThreadPoolExecutor

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if self.headers.get("X-Mark") == "yes" else 503)
        self.end_headers()
    def log_message(self, *words):
        pass  # nobody reads what this prints

def check(request, context):
    return {b"": b"\\x08\\x01", b"\\x0a\\x04shop": b"\\x08\\x02"}[request]

health = grpc.unary_unary_rpc_method_handler(check)
server = grpc.server(ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health}),))
server.add_insecure_port("127.0.0.1:50051")
server.start()
without = grpc.server(ThreadPoolExecutor(1))
without.add_insecure_port("127.0.0.1:50052")
without.start()
web = http.server.HTTPServer(("127.0.0.1", 8080), Handler)
print("up", flush=True)
web.serve_forever()
"""


@pytest_asyncio.fixture
async def asker() -> AsyncIterator[Asker]:
    """Return what asks a pod in a network of its own, in which servers run."""
    launcher = ProcessLauncher.start()
    try:
        network = await launcher.make_network()
        command = Command((sys.executable, "-c", SERVERS), dict(os.environ))
        reading, writing = os.pipe()
        await launcher.spawn(command, writing, writing, network)
        os.close(writing)
        async with asyncio.timeout(WAIT_S):
            said = await asyncio.get_running_loop().run_in_executor(None, os.read, reading, 100)
        assert said.startswith(b"up")
        place = Place("127.64.0.20", podspec.UserPort(8080), network)
        yield Asker(place, 8080, True, launcher, lambda name: command)
        os.close(reading)
    finally:
        await launcher.stop()


async def ask(asker: Asker, action: Action, timeout_s: float = WAIT_S) -> Outcome:
    return await asker.ask("app", Probe(Purpose.LIVENESS, action, timeout_s=timeout_s))


async def test_every_kind_of_probe_reaches_into_the_network_of_the_pod(asker: Asker) -> None:
    assert (await ask(asker, HttpGet(8080, "/", headers=(("X-Mark", "yes"),)))).success
    assert await ask(asker, HttpGet(8080)) == Outcome(False, "HTTP probe failed with statuscode: 503")
    assert (await ask(asker, TcpSocket(8080))).success
    refused = "dial tcp 127.0.0.1:81: connect: connection refused"
    assert await ask(asker, TcpSocket(81)) == Outcome(False, refused)
    assert await ask(asker, HttpGet(81, "/live")) == Outcome(False, f'Get "http://127.0.0.1:81/live": {refused}')
    assert (await ask(asker, GrpcHealth(50051))).success
    unwell = Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')
    assert await ask(asker, GrpcHealth(50051, "shop")) == unwell
    assert "does not implement the grpc health protocol" in (await ask(asker, GrpcHealth(50052))).output
    assert await ask(asker, GrpcHealth(81)) == Outcome(False, refused)


async def test_an_exec_probe_runs_where_the_container_runs_and_is_ended_when_it_takes_too_long(asker: Asker) -> None:
    connect = "import socket; socket.create_connection(('127.0.0.1', 8080)); print('inside')"
    assert await ask(asker, Exec((sys.executable, "-c", connect))) == Outcome(True, "inside")
    assert await ask(asker, Exec(("sh", "-c", "echo no; exit 3"))) == Outcome(False, "no")
    assert "cannot start 'no-such-program'" in (await ask(asker, Exec(("no-such-program",)))).output
    late = await ask(asker, Exec(("sh", "-c", "sleep 600")), timeout_s=0.2)
    assert late == Outcome(False, 'command timed out: "sh -c sleep 600" timed out after 0.2s')


async def test_a_server_that_never_answers_is_a_failure_after_the_timeout(asker: Asker) -> None:
    # The gRPC server takes the connection and waits for HTTP/2.
    answer = await ask(asker, HttpGet(50051), timeout_s=0.2)
    assert not answer.success


async def test_a_pod_that_fails_its_liveness_is_restarted_and_tells_it_in_events(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as cluster:
        cluster.image(tmp_path / "app", "app", "import time; time.sleep(600)")
        (tmp_path / "marks").mkdir()
        sick = tmp_path / "marks" / "sick"
        probe = {"exec": {"command": ["sh", "-c", f"test ! -e {sick} || {{ echo sick; exit 1; }}"]}}
        live = {**probe, "periodSeconds": 1, "failureThreshold": 1, "terminationGracePeriodSeconds": 1}
        pod = bare("frail", {"image": "dev.local/app", "livenessProbe": live})
        await cluster.api.create(POD, {**pod, "spec": sharing(pod["spec"], sick.parent)}, "default")
        async with asyncio.timeout(WAIT_S):
            await cluster.until(POD, lambda pods: bool(pods) and "'started': True" in str(pods[0]))
            sick.touch()
            (found,) = await cluster.until(POD, lambda pods: "exitCode" in str(pods[0]["status"]))
            sick.unlink()
            (found,) = await cluster.until(
                POD, lambda pods: pods[0]["status"]["containerStatuses"][0]["restartCount"] >= 1
            )
        (status,) = found["status"]["containerStatuses"]
        assert (status["lastState"]["terminated"]["exitCode"], status["lastState"]["terminated"]["signal"]) == (143, 15)
        async with asyncio.timeout(WAIT_S):
            events = await cluster.until(EVENT, lambda events: len(events) >= 2)
        told = {(event["type"], event["reason"], event["message"]) for event in events}
        assert told >= {
            ("Warning", "Unhealthy", "Liveness probe failed: sick"),
            ("Normal", "Killing", "Container app failed liveness probe, will be restarted"),
        }
