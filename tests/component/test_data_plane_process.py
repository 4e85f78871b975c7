"""`eventmesh gateway` as a process: memory, signals, exit codes, admin pages, access log."""

import asyncio
import json
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from eventmesh.cluster.bootstrap import bootstrap as mesh_bootstrap
from tests.component.planes import ask, backend
from tests.component.processes import data_plane, spawn, write_bootstrap

MIB = 1024 * 1024


async def test_a_slow_reader_is_waited_for_without_memory_growing(tmp_path: Path) -> None:
    size, chunk = 64 * MIB, bytes(MIB)
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"content-length": str(size)})
        await response.prepare(request)
        for _ in range(size // len(chunk)):
            await response.write(chunk)
            written += len(chunk)
        return response

    async with (
        backend(flood) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        await ask(gateway.addresses["admin"], "/stats")
        before = gateway.memory_kib("VmHWM")
        host, _, port = gateway.addresses["edge"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=65_536)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        stalled_at = await _settled(lambda: written)
        assert stalled_at < size / 2  # what the kernel buffers on the way, and no more
        received = 0
        while data := await reader.read(65_536):
            received += len(data)
        assert received == size
        assert gateway.memory_kib("VmHWM") - before < 16 * 1024
        writer.close()


async def test_a_slow_backend_is_waited_for_without_memory_growing(tmp_path: Path) -> None:
    size = 64 * MIB
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        received = 0
        async for data in request.content.iter_any():
            received += len(data)
        return web.Response(text=str(received))

    async with (
        backend(slow) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        await ask(gateway.addresses["admin"], "/stats")
        before = gateway.memory_kib("VmHWM")
        host, _, port = gateway.addresses["edge"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        sent = 0

        async def upload() -> None:
            nonlocal sent
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // MIB):
                writer.write(bytes(MIB))
                await writer.drain()
                sent += MIB

        async with asyncio.TaskGroup() as group:
            group.create_task(upload())
            assert await _settled(lambda: sent) < size / 2
            gate.set()
        answer = await reader.read()
        assert answer.endswith(str(size).encode())
        assert gateway.memory_kib("VmHWM") - before < 16 * 1024
        writer.close()


async def test_openssl_is_not_loaded(tmp_path: Path) -> None:
    async with (
        backend() as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        assert (await ask(gateway.addresses["edge"])).status == 200
        mapped = Path(f"/proc/{gateway.pid}/maps").read_text()
        assert "_core" in mapped
        assert "libcrypto" not in mapped


async def _settled(value: object) -> int:
    """Return what the callable `value` returns once it has been the same for 20 looks."""
    assert callable(value)
    last, same = -1, 0
    while same < 20:
        await asyncio.sleep(0.02)
        now = value()
        same = same + 1 if now == last else 0
        last = now
    return last


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_in_flight_ends_before_the_process_does(tmp_path: Path, number: signal.Signals) -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        arrived.set()
        await gate.wait()
        return web.Response(text="late")

    async with (
        backend(slow) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        edge = gateway.addresses["edge"]
        waiting = asyncio.get_running_loop().create_task(ask(edge))
        await arrived.wait()
        gateway.process.send_signal(number)
        await _refused(edge)
        gate.set()
        reply = await waiting
        assert (reply.status, reply.body, reply.headers["connection"].lower()) == (200, b"late", "close")
        assert await gateway.process.wait() == 0


async def test_requests_that_outlast_the_drain_time_are_cut(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    async with (
        backend(never) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream), "--drain-time-s", "0.1") as gateway,
    ):
        waiting = asyncio.get_running_loop().create_task(ask(gateway.addresses["edge"]))
        await arrived.wait()
        gateway.process.terminate()
        assert await gateway.process.wait() == 0
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on how far the cut came
            await waiting


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    async with (
        backend(never) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream), "--drain-time-s", "600") as gateway,
    ):
        waiting = asyncio.get_running_loop().create_task(ask(gateway.addresses["edge"]))
        await arrived.wait()
        gateway.process.terminate()
        await _refused(gateway.addresses["edge"])
        gateway.process.terminate()
        assert await gateway.process.wait() == 0
        await asyncio.gather(waiting, return_exceptions=True)


async def _refused(address: str) -> None:
    """Return when nobody listens at `address` any more."""
    host, _, port = address.rpartition(":")
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) != 0:
                return
        await asyncio.sleep(0)


async def test_admin_pages_speak_envoys_words(tmp_path: Path) -> None:
    async with (
        backend() as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        admin = gateway.addresses["admin"]
        assert (await ask(gateway.addresses["edge"])).status == 200
        ready = await ask(admin, "/ready")
        assert (ready.status, ready.body) == (200, b"LIVE\n")
        text = (await ask(admin, "/stats/prometheus")).body.decode()
        assert "# TYPE envoy_cluster_upstream_rq_total counter" in text
        listed = json.loads((await ask(admin, "/stats?format=json")).body)["stats"]
        assert {"name": "eventmesh_bugs_total", "value": 0} in listed
        names = [row["name"] for row in listed]
        assert names == sorted(names) and any(name.startswith("envoy_cluster_upstream_rq_total{") for name in names)
        assert (await ask(admin, "/stats?format=prometheus")).body.decode().splitlines()[0].startswith("# TYPE")
        fares = (await ask(admin, "/clusters")).body.decode().splitlines()
        assert f"backend::{upstream}::rq_success::1" in fares and f"backend::{upstream}::health_flags::healthy" in fares
        (status,) = json.loads((await ask(admin, "/clusters?format=json")).body)["cluster_statuses"]
        assert (status["name"], len(status["host_statuses"])) == ("backend", 1)
        dump = json.loads((await ask(admin, "/config_dump")).body)
        assert dump["node"]["id"] == "test"
        assert {cluster["name"] for cluster in dump["snapshot"]["clusters"]} == {"backend"}
        info = json.loads((await ask(admin, "/server_info")).body)
        assert info["state"] == "LIVE"
        assert f"edge::{gateway.addresses['edge']}" in (await ask(admin, "/listeners")).body.decode()
        missing = await ask(admin, "/nowhere")
        assert missing.status == 404
        assert all(page in missing.body for page in (b"/ready: ", b"/stats?format=json: ", b"/listeners?format=json: "))
        refused = await ask(admin, "/quitquitquit")
        assert (refused.status, refused.headers["allow"]) == (405, "POST")


async def test_without_its_control_plane_a_gateway_is_up_but_not_ready(tmp_path: Path, unused_tcp_port: int) -> None:
    bootstrap = tmp_path / "b.json"
    bootstrap.write_text(json.dumps(mesh_bootstrap("gateway", "g", "127.0.0.1:0", f"127.0.0.1:{unused_tcp_port}")))
    async with data_plane("gateway", bootstrap) as gateway:
        ready = await ask(gateway.addresses["admin"], "/ready")
        assert (ready.status, ready.body) == (503, b"PRE_INITIALIZING\n")
        gateway.process.terminate()
        assert await gateway.process.wait() == 0


async def test_drained_listeners_refuse_and_the_admin_port_stays(tmp_path: Path) -> None:
    async with (
        backend() as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream)) as gateway,
    ):
        admin = gateway.addresses["admin"]
        assert (await ask(admin, "/drain_listeners", method="POST")).status == 200
        await _refused(gateway.addresses["edge"])
        ready = await ask(admin, "/ready")
        assert (ready.status, ready.body) == (503, b"DRAINING\n")
        assert (await ask(admin, "/quitquitquit", method="POST")).status == 200
        assert await gateway.process.wait() == 0


async def test_the_access_log_has_one_line_a_request_also_at_the_very_end(tmp_path: Path) -> None:
    log, began = tmp_path / "access.log", _now_as_logged()
    async with (
        backend() as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream, access_log=str(log))) as gateway,
    ):
        for n in range(3):
            await ask(gateway.addresses["edge"], f"/{n}")
        gateway.process.terminate()
        assert await gateway.process.wait() == 0
    lines = log.read_text().splitlines()
    assert [f'"GET /{n} HTTP/1.1" 200' in line for n, line in enumerate(lines)] == [True, True, True]
    stamps = [began, *(line[: len(began)] for line in lines), _now_as_logged()]
    assert stamps == sorted(stamps), "lines tell the time of day"


def _now_as_logged() -> str:
    return f"{datetime.now(UTC):[%Y-%m-%dT%H:%M:%S}"


async def test_a_port_that_is_taken_ends_the_command_with_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bootstrap = write_bootstrap(tmp_path / "b.json", "127.0.0.1:1")
        bootstrap.write_text(bootstrap.read_text().replace('"port_value": 0', f'"port_value": {port}', 1))
        process = await spawn("gateway", "--bootstrap", str(bootstrap))
        _, said = await process.communicate()
    assert process.returncode == 3
    assert f"127.0.0.1:{port}" in said.decode()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--bootstrap", "/nowhere/b.yaml"), 2, "/nowhere/b.yaml"),
        (("--bootstrap", "/nowhere/b.yaml", "--drain-time-s", "-1"), 2, "--drain-time-s"),
        ((), 2, "--bootstrap"),
    ],
)
async def test_wrong_usage_ends_the_command_with_2(words: tuple[str, ...], code: int, part: str) -> None:
    process = await spawn("gateway", *words)
    _, said = await process.communicate()
    assert process.returncode == code
    assert part in said.decode()
