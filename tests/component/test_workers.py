"""`eventmesh gateway --workers N`: one data plane of several processes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.cluster.bootstrap import bootstrap as mesh_bootstrap
from eventmesh.dataplane.workers import Workers
from eventmesh.model.listener import Listener
from eventmesh.model.policy import Filters, RateLimit
from eventmesh.transport.channel import MAX_SOCKETS
from eventmesh.transport.socket_sets import SocketSets
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.types import message_type
from tests.component.planes import ask, backend, proxy, serving
from tests.component.processes import DataPlaneProcess, data_plane, write_bootstrap
from tests.component.scripted_control import ScriptedControl, cluster, endpoints
from tests.waiting import END_WAIT_S, WAIT_S

COUNT = 2


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _until_there_are(gateway: DataPlaneProcess, *, without: int) -> None:
    """Return when all workers run again, the process `without` not among them."""
    async with asyncio.timeout(WAIT_S):
        while len(children := _children(gateway.pid)) != COUNT or without in children:
            await asyncio.sleep(0.01)


async def _stat(gateway: DataPlaneProcess, name: str) -> int:
    page = (await ask(gateway.addresses["admin"], "/stats")).body.decode()
    return sum(int(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


@asynccontextmanager
async def _gateway(directory: Path, upstream: str) -> AsyncIterator[DataPlaneProcess]:
    file = write_bootstrap(directory / "b.json", upstream)
    async with data_plane("gateway", file, "--workers", str(COUNT)) as running:
        yield running


async def test_workers_share_a_port_are_counted_as_one_and_replaced_when_they_die(tmp_path: Path) -> None:
    async with backend() as upstream, _gateway(tmp_path, upstream) as gateway:
        edge, admin = gateway.addresses["edge"], gateway.addresses["admin"]
        assert len(_children(gateway.pid)) == COUNT
        assert [(await ask(edge)).status for _ in range(30)] == [200] * 30
        assert await _stat(gateway, "envoy_cluster_upstream_rq_total") == 30
        assert await _stat(gateway, "eventmesh_workers:") == COUNT
        fares = (await ask(admin, "/clusters")).body.decode().splitlines()
        assert f"backend::{upstream}::rq_success::30" in fares
        assert fares.count("backend::default_priority::max_connections::1024") == 1
        dump = json.loads((await ask(admin, "/config_dump")).body)
        assert dump["snapshot"]["clusters"][0]["max_connections"] == 1024
        assert (await ask(admin, "/ready")).body == b"LIVE\n"
        victim = _children(gateway.pid)[0]
        os.kill(victim, signal.SIGKILL)
        # Half of these reach the socket of the one that is gone: they are not refused, they wait for its successor.
        assert [(await ask(edge)).status for _ in range(10)] == [200] * 10
        await _until_there_are(gateway, without=victim)
        assert await _stat(gateway, "eventmesh_worker_restarts_total") == 1
        # What the dead one counted up to the last look is not forgotten.
        assert await _stat(gateway, "envoy_cluster_upstream_rq_total") == 40


async def test_a_look_at_exchanges_sees_those_of_every_worker_and_of_those_that_come_later(tmp_path: Path) -> None:
    async with backend() as upstream, _gateway(tmp_path, upstream) as gateway:
        edge, admin = gateway.addresses["edge"], gateway.addresses["admin"]

        async def look(query: str) -> dict[str, Any]:
            reply = await ask(admin, f"/tap?{query}")
            assert reply.status == 200, reply.body
            seen: dict[str, Any] = json.loads(reply.body)
            return seen

        assert (await ask(admin, "/tap?body=5000")).status == 400
        session = (await look("max=25"))["session"]
        assert (await ask(admin, "/tap")).status == 409
        paths: list[str] = []

        async def watch() -> None:
            # Without a pause: a look that nobody asks about is over, however long workers take to start.
            over = False
            while not over:
                seen = await look(f"session={session}")
                paths.extend(row["path"] for row in seen["rows"])
                over = seen["over"]

        async def call() -> None:
            for number in range(12):
                assert (await ask(edge, f"/{number}")).status == 200
            while len(paths) < 12:
                await asyncio.sleep(0.01)
            victims = set(_children(gateway.pid))
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            while victims & set(_children(gateway.pid)):
                await asyncio.sleep(0.01)
            for number in range(12, 30):
                assert (await ask(edge, f"/{number}")).status == 200

        async with asyncio.timeout(2 * WAIT_S):
            await asyncio.gather(watch(), call())
        # So many were asked for, though each worker would have shown as many.
        assert len(paths) == 25 == len(set(paths))
        assert (await ask(admin, f"/tap?session={session}")).status == 410


async def test_sigterm_lets_every_worker_finish_what_it_has_begun(tmp_path: Path) -> None:
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        begun.release()
        await go_on.wait()
        return web.Response(text="whole")

    async with backend(slow) as upstream, _gateway(tmp_path, upstream) as gateway:

        async def finish() -> None:
            for _ in range(9):
                await begun.acquire()
            gateway.process.send_signal(signal.SIGTERM)
            go_on.set()

        *replies, _ = await asyncio.gather(*(ask(gateway.addresses["edge"]) for _ in range(9)), finish())
        assert [reply.body for reply in replies if reply] == [b"whole"] * 9
        async with asyncio.timeout(END_WAIT_S):
            assert await gateway.process.wait() == 0


async def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    async with backend() as upstream, _gateway(tmp_path, upstream) as gateway:
        workers = _children(gateway.pid)
        gateway.process.kill()
        async with asyncio.timeout(END_WAIT_S):
            while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):
                await asyncio.sleep(0.01)


def _listener(directory: Path, address: dict[str, object] | None = None) -> Mapping[str, object]:
    """Return the listener of `write_bootstrap`, at another address if one is given."""
    tree = json.loads(write_bootstrap(directory / "listener.json", "127.0.0.1:1").read_text())
    (document,) = tree["static_resources"]["listeners"]
    if address is not None:
        document["address"] = {"socket_address": address}
    return read_document(message_type("envoy.config.listener.v3.Listener"), document, "", []).fields


async def test_a_configuration_is_acknowledged_when_all_have_it_and_refused_as_one(tmp_path: Path) -> None:
    async with ScriptedControl().running() as control, backend() as upstream:
        file = tmp_path / "b.json"
        file.write_text(json.dumps(mesh_bootstrap("gateway", "g-1", "127.0.0.1:0", control.target)))
        async with data_plane("gateway", file, "--workers", str(COUNT)) as gateway:
            stream = await control.stream()
            await stream.requests(ResourceType.CLUSTER, ResourceType.LISTENER)
            await stream.send(ResourceType.CLUSTER, "c1", {"backend": cluster("backend")})
            await stream.requests(ResourceType.CLUSTER, ResourceType.ENDPOINT)
            host, port = upstream.split(":")
            assigned = endpoints("backend", int(port))
            assert host == "127.0.0.1"
            assigned = json.loads(json.dumps(assigned).replace("10.0.0.1", host))
            await stream.send(ResourceType.ENDPOINT, "e1", {"backend": assigned})
            assert (await stream.request()).error is None
            with socket.create_server(("127.0.0.1", 0)) as taken:
                address: dict[str, object] = {"address": "127.0.0.1", "port_value": taken.getsockname()[1]}
                await stream.send(ResourceType.LISTENER, "l1", {"edge": _listener(tmp_path, address)})
                refused = (await stream.request()).error
                assert refused is not None and "something listens there already" in refused
            await stream.send(ResourceType.LISTENER, "l2", {"edge": _listener(tmp_path)}, version="2")
            assert (await stream.request()).error is None
            listening = (await ask(gateway.addresses["admin"], "/listeners")).body.decode()
            where = next(line for line in listening.splitlines() if line.startswith("edge::")).removeprefix("edge::")
            statuses = json.loads((await ask(gateway.addresses["admin"], "/listeners?format=json")).body)
            (edge,) = (one for one in statuses["listener_statuses"] if one["name"] == "edge")
            assert where == "{address}:{port_value}".format(**edge["local_address"]["socket_address"])
            # Acknowledged means in force everywhere: whichever worker a request meets.
            assert [(await ask(where)).status for _ in range(20)] == [200] * 20


@asynccontextmanager
async def _workers() -> AsyncIterator[Workers]:
    workers = Workers(2, SystemClock(), 5.0)
    try:
        await workers.start()
        yield workers
    finally:
        await workers.stop()


async def test_what_one_worker_refuses_none_keeps_and_what_goes_is_closed() -> None:
    async with backend() as upstream, _workers() as workers:
        one = proxy(upstream)
        two = Listener("two", "127.0.0.1:0", "all")
        await workers.apply(dataclasses.replace(one, listeners=(*one.listeners, two)))
        edge, gone = workers.addresses()["edge"], workers.addresses()["two"]
        refused = dataclasses.replace(serving("nobody"), listeners=(Listener("other", "127.0.0.1:0", "all"),))
        with pytest.raises(ConfigError, match="no handler 'nobody'"):
            await workers.apply(refused)
        assert workers.addresses() == {"edge": edge, "two": gone}
        assert [(await ask(edge)).status for _ in range(10)] == [200] * 10
        await workers.apply(one)
        assert workers.addresses() == {"edge": edge}
        assert (await ask(edge)).status == 200
        host, _, port = gone.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))


async def test_a_rate_limit_is_one_bucket_for_all_workers_and_outlasts_them() -> None:
    limit = RateLimit(max_tokens=12, tokens_per_fill=1, fill_interval_s=36_000.0)
    async with backend() as upstream, _workers() as workers:
        one = proxy(upstream)
        limited = dataclasses.replace(one.listeners[0], filters=Filters(rate_limit=limit))
        await workers.apply(dataclasses.replace(one, listeners=(limited,)))
        edge = workers.addresses()["edge"]
        first = [(await ask(edge)).status for _ in range(8)]
        for pid in workers.pids().values():
            os.kill(pid, signal.SIGKILL)
        assert first + [(await ask(edge)).status for _ in range(8)] == [200] * 12 + [429] * 4


async def test_a_unix_socket_is_shared_and_its_file_goes_with_the_supervisor(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with backend() as upstream:
        async with _workers() as workers:
            await workers.apply(proxy(upstream, address=f"unix:{path}"))
            assert [(await ask(f"unix:{path}")).status for _ in range(10)] == [200] * 10
            await workers.apply(proxy(upstream, address=f"unix:{path}", version="2"))
            assert (await ask(f"unix:{path}")).status == 200
        assert not path.exists()


async def test_an_address_that_is_taken_is_refused_even_by_who_would_share_it() -> None:
    sockets = SocketSets(2)
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = "{}:{}".format(*taken.getsockname())
        with pytest.raises(UnavailableError, match=f"cannot listen on {address}: something listens there already"):
            sockets.prepare(proxy("127.0.0.1:1", address=address).listeners)


async def test_more_listeners_than_can_be_handed_over_are_refused() -> None:
    workers = Workers(1, SystemClock(), 5.0)
    many = tuple(Listener(f"l{number}", "127.0.0.1:0", "all") for number in range(MAX_SOCKETS + 1))
    with pytest.raises(ConfigError, match=f"{MAX_SOCKETS + 1} are more than {MAX_SOCKETS}"):
        await workers.apply(dataclasses.replace(proxy("127.0.0.1:1"), listeners=many))
    await workers.stop()


async def test_beside_a_function_there_is_one_process_and_the_flag_is_told_to_have_no_effect(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"node": {"id": "s", "cluster": "c"}}))
    env = {"USER_PORT": "1", "SERVING_POD_IP": "127.0.0.1", "QUEUE_SERVING_PORT": "0", "CONTAINER_CONCURRENCY": "1"}
    async with data_plane("sidecar", file, "--workers", "2", env=env) as sidecar:
        assert any(line.get("flag") == "--workers" for line in sidecar.lines)
        assert _children(sidecar.pid) == []
