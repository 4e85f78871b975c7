"""Knative's queue-proxy contract, over real sockets: a sidecar process in front of a function in the test."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from eventmesh.autoscale.stat import decode_stat
from tests.component.planes import Answer, ask, backend, echo
from tests.component.processes import START_TIMEOUT_S, DataPlaneProcess, data_plane
from tests.unit.core import test_bolt as bolt

QUIET_S = "0.05"


class Supervisor:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))

    async def hears(self) -> str:
        async with asyncio.timeout(START_TIMEOUT_S):
            return (await asyncio.get_running_loop().sock_recv(self._socket, 100)).decode()

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def sidecar(tmp_path: Path, user_port: int, **env: str) -> AsyncIterator[tuple[DataPlaneProcess, Supervisor]]:
    """Run a sidecar for the function at `user_port`, on a pod address of its own."""
    bootstrap = tmp_path / "b.json"
    bootstrap.write_text(json.dumps({"node": {"id": "pod", "cluster": "test"}}))
    supervisor = Supervisor(tmp_path / "notify")
    variables = {
        "USER_PORT": str(user_port),
        "SERVING_POD": "pod-1",
        # Knative's ports are fixed, so each test takes an address of its own: 4 million to draw from.
        "SERVING_POD_IP": f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}",
        "NOTIFY_SOCKET": str(supervisor.path),
        "EVENTMESH_DRAIN_QUIET_S": QUIET_S,
        **env,
    }
    try:
        async with data_plane("sidecar", bootstrap, env=variables) as process:
            yield process, supervisor
    finally:
        supervisor.close()


@asynccontextmanager
async def function_with_sidecar(
    tmp_path: Path, answer: Answer = echo, **env: str
) -> AsyncIterator[tuple[DataPlaneProcess, Supervisor]]:
    """Run a function and its sidecar, ready."""
    async with (
        backend(answer) as user,
        sidecar(tmp_path, int(user.rpartition(":")[2]), **env) as (process, supervisor),
    ):
        assert await supervisor.hears() == "READY=1"
        yield process, supervisor


async def seen(request: web.Request) -> web.Response:
    """Return the headers the function saw, as JSON."""
    return web.json_response({name.lower(): value for name, value in request.headers.items()})


async def headers_seen(address: str, headers: Mapping[str, str]) -> dict[str, str]:
    reply = await ask(address, headers=headers)
    assert reply.status == 200
    return dict(json.loads(reply.body))


async def test_readiness_is_pushed_as_soon_as_the_function_listens(tmp_path: Path, unused_tcp_port: int) -> None:
    async with sidecar(tmp_path, unused_tcp_port) as (process, supervisor):
        inbound = process.addresses["inbound"]
        asleep = await ask(inbound, headers={"K-Network-Probe": "queue"})
        assert asleep.status == 503
        async with backend(address=f"127.0.0.1:{unused_tcp_port}"):
            assert await supervisor.hears() == "READY=1"
            awake = await ask(inbound, headers={"K-Network-Probe": "queue"})
            assert (awake.status, awake.body) == (200, b"queue")


async def test_an_http_probe_needs_a_good_status(tmp_path: Path) -> None:
    good = False

    async def probed(request: web.Request) -> web.Response:
        asked.set()
        assert (request.path, request.headers["x-a"]) == ("/healthz", "b")
        return web.Response(status=204 if good else 500)

    asked = asyncio.Event()
    probe = '{"httpGet":{"path":"/healthz","httpHeaders":[{"name":"X-A","value":"b"}]}}'
    async with (
        backend(probed) as user,
        sidecar(tmp_path, int(user.rpartition(":")[2]), SERVING_READINESS_PROBE=probe) as (process, supervisor),
    ):
        await asked.wait()
        reply = await ask(process.addresses["inbound"], headers={"K-Network-Probe": "queue"})
        assert reply.status == 503
        good = True
        assert await supervisor.hears() == "READY=1"


async def test_knatives_probes_never_reach_the_function(tmp_path: Path) -> None:
    async def unreachable(request: web.Request) -> web.Response:
        raise AssertionError("a probe reached the function")

    async with function_with_sidecar(tmp_path, unreachable) as (process, _):
        inbound = process.addresses["inbound"]
        queue = await ask(inbound, headers={"K-Network-Probe": "queue"})
        assert (queue.status, queue.body) == (200, b"queue")
        hashed = await ask(inbound, "/healthz", headers={"K-Network-Probe": "probe", "K-Network-Hash": "abc"})
        assert (hashed.status, hashed.headers["k-network-hash"]) == (200, "abc")
        for headers in ({"K-Network-Probe": "probe"}, {"K-Network-Probe": "other"}, {"K-Network-Probe": ""}):
            assert (await ask(inbound, headers=headers)).status == 400


async def test_routing_headers_end_at_the_sidecar_and_the_host_is_restored(tmp_path: Path) -> None:
    async with function_with_sidecar(tmp_path, seen) as (process, _):
        headers = await headers_seen(
            process.addresses["inbound"],
            {
                "Host": "10.0.0.1:8012",
                "K-Original-Host": "hello.default.example.com",
                "Knative-Serving-Namespace": "default",
                "Knative-Serving-Revision": "hello-00001",
                "K-Network-Hash": "abc",
                "X-Mine": "kept",
            },
        )
    assert headers["host"] == "hello.default.example.com"
    assert headers["x-mine"] == "kept"
    assert headers["via"].endswith("sidecar")
    assert not headers.keys() & {"knative-serving-namespace", "knative-serving-revision", "k-network-hash"}


async def test_a_host_that_nobody_replaced_is_left_alone(tmp_path: Path) -> None:
    async with function_with_sidecar(tmp_path, seen) as (process, _):
        headers = await headers_seen(process.addresses["inbound"], {"Host": "hello.example.com"})
    assert headers["host"] == "hello.example.com"


async def test_a_concurrency_of_one_lets_one_request_in_and_ten_wait(tmp_path: Path) -> None:
    at_once = most = 0
    gate = asyncio.Event()

    async def one(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1
        return web.Response()

    async with function_with_sidecar(tmp_path, one, CONTAINER_CONCURRENCY="1") as (process, _):
        inbound = process.addresses["inbound"]
        requests = [asyncio.get_running_loop().create_task(ask(inbound)) for _ in range(12)]
        first, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status for task in first] == [503]
        gate.set()
        statuses = sorted(reply.status for reply in await asyncio.gather(*requests))
    assert statuses == [200] * 11 + [503]
    assert most == 1


async def test_a_request_longer_than_the_revisions_timeout_is_answered_504(tmp_path: Path) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with function_with_sidecar(tmp_path, never, REVISION_TIMEOUT_SECONDS="1") as (process, _):
        assert (await ask(process.addresses["inbound"])).status == 504


async def test_revision_timeout_cuts_off_an_answer_that_has_begun(tmp_path: Path) -> None:
    """Not as Serving, which lets it go on or ends it as if it were whole: here its reader knows that it is not."""

    async def begun(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await asyncio.Event().wait()
        return response

    async with (
        function_with_sidecar(tmp_path, begun, REVISION_TIMEOUT_SECONDS="1") as (process, _),
        aiohttp.ClientSession() as session,
        session.get(f"http://{process.addresses['inbound']}/") as response,
    ):
        assert response.status == 200 and await response.content.readexactly(5) == b"first"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()


async def test_the_load_of_the_last_second_is_scraped_without_probes(tmp_path: Path) -> None:
    async with function_with_sidecar(tmp_path) as (process, _):
        inbound, stat = process.addresses["inbound"], process.addresses["stat"]
        before = decode_stat((await ask(stat, "/metrics")).body)
        assert (before.pod_name, before.request_count) == ("pod-1", 0.0)
        for _ in range(4):
            await ask(inbound)
        await ask(inbound, headers={"K-Proxy-Request": "activator"})
        await ask(inbound, headers={"User-Agent": "kube-probe/1.32"})
        while not (after := decode_stat((await ask(stat, "/metrics")).body)).request_count:
            await asyncio.sleep(0.05)
    assert after.proxied_request_count == pytest.approx(after.request_count / 5)


async def test_a_drained_pod_fails_probes_first_and_goes_when_it_is_quiet(tmp_path: Path) -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        arrived.set()
        await gate.wait()
        return web.Response(text="late")

    async with function_with_sidecar(tmp_path, slow) as (process, supervisor):
        inbound, admin = process.addresses["inbound"], process.addresses["queue-admin"]
        in_flight = asyncio.get_running_loop().create_task(ask(inbound))
        await arrived.wait()
        drained = asyncio.get_running_loop().create_task(ask(admin, "/wait-for-drain"))
        assert await supervisor.hears() == "STOPPING=1"
        assert (await ask(inbound, headers={"K-Network-Probe": "queue"})).status == 503
        assert not drained.done()
        gate.set()
        assert (await in_flight).body == b"late"
        assert (await drained).status == 200
        process.process.terminate()
        assert await process.process.wait() == 0


async def test_a_sidecar_told_to_end_still_serves_until_the_pod_is_quiet(tmp_path: Path) -> None:
    async with function_with_sidecar(tmp_path, EVENTMESH_DRAIN_QUIET_S="0.3") as (process, supervisor):
        process.process.terminate()
        assert await supervisor.hears() == "STOPPING=1"
        assert (await ask(process.addresses["inbound"])).status == 200
        assert await process.process.wait() == 0


async def test_outbound_requests_without_a_route_are_answered_404(tmp_path: Path) -> None:
    async with function_with_sidecar(tmp_path) as (process, _):
        reply = await ask(process.addresses["outbound"], headers={"Host": "hello.default.svc.cluster.local"})
        assert reply.status == 404


async def test_a_bolt_function_is_called_on_sofas_port_and_http_callers_are_told(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await reader.read(65_536):
            writer.write(bolt.response(bolt.id_of(frame)))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with sidecar(tmp_path, port, EVENTMESH_USER_PROTOCOL="bolt") as (process, supervisor):
        assert await supervisor.hears() == "READY=1"
        host, _, inbound = process.addresses["inbound-bolt"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(inbound))
        expected = bolt.response(7)
        writer.write(bolt.request(7))
        assert await reader.readexactly(len(expected)) == expected
        told = await ask(process.addresses["inbound"])
        assert (told.status, b"Bolt" in told.body) == (502, True)
        writer.close()
    server.close()
