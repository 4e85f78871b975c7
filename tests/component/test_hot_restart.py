"""`--hot-restart PATH`: one gateway takes over from another, and no caller notices."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from eventmesh.base.tasks import TaskGroup
from tests.component.fleet import Fleet, at_port, ended
from tests.component.planes import ask, backend
from tests.component.processes import DataPlaneProcess, spawn, write_bootstrap
from tests.waiting import WAIT_S

CALLERS = 8


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bytes:
    """Post on a connection that is kept, and return the body of the answer."""
    body = b"%d" % number * 100
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    assert b"connection: close" not in head
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    answer = await reader.readexactly(length)
    assert answer == body
    return answer


@pytest.mark.parametrize("workers", [(1, 1, 1), (2, 3, 1), (1, 2, 2)])
async def test_kept_connections_go_on_without_a_failure_from_one_gateway_to_the_next(
    workers: tuple[int, int, int], tmp_path: Path, unused_tcp_port: int
) -> None:
    done: Counter[int] = Counter()

    async def call(caller: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        try:
            while True:
                await _exchange(reader, writer, done[caller])
                done[caller] += 1
        finally:
            writer.close()

    async def all_have_done(more: int) -> None:
        wanted = {caller: done[caller] + more for caller in range(CALLERS)}
        async with asyncio.timeout(WAIT_S):
            while any(done[caller] < count for caller, count in wanted.items()):
                assert not failures
                await asyncio.sleep(0.01)

    failures: list[BaseException] = []
    async with backend() as upstream:
        fleet = Fleet(at_port(write_bootstrap(tmp_path / "b.json", upstream), unused_tcp_port), tmp_path / "s")
        calls = TaskGroup("test", on_failure=failures.append)
        async with fleet.next(workers[0]) as first:
            for caller in range(CALLERS):
                calls.spawn(f"call-{caller}", call(caller))
            idle = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
            await _exchange(*idle, 1)
            await all_have_done(20)
            async with fleet.next(workers[1]) as second:
                assert await ended(first) == 0
                await all_have_done(20)
                async with fleet.next(workers[2]):
                    assert await ended(second) == 0
                    await all_have_done(20)
                    await _exchange(*idle, 2)
                    assert not failures
                    await calls.stop()
                    idle[1].close()


async def test_who_connects_or_waits_while_one_follows_another_is_served(tmp_path: Path, unused_tcp_port: int) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        if request.path == "/slow":
            begun.set()
            await go_on.wait()
        return web.Response(text=request.path)

    failures: list[BaseException] = []
    served = 0

    async def connect() -> None:
        nonlocal served
        while True:
            assert (await ask(fleet_address)).status == 200
            served += 1

    fleet_address = f"127.0.0.1:{unused_tcp_port}"
    async with backend(slow) as upstream:
        fleet = Fleet(at_port(write_bootstrap(tmp_path / "b.json", upstream), unused_tcp_port), tmp_path / "s")
        connecting = TaskGroup("test", on_failure=failures.append)
        async with fleet.next() as first:
            connecting.spawn("connect", connect())
            slow_one = asyncio.gather(ask(fleet_address, "/slow"))
            await begun.wait()
            async with fleet.next():
                # The answer is still to come, and so is the connection it will be given on.
                assert first.process.returncode is None
                before = served
                go_on.set()
                assert [reply.body for reply in await slow_one] == [b"/slow"]
                assert await ended(first) == 0
                async with asyncio.timeout(WAIT_S):
                    while served < before + 20:
                        assert not failures
                        await asyncio.sleep(0.01)
                await connecting.stop()


def _limited(file: Path, tokens: int) -> Path:
    """Have the listener of a bootstrap let through so many requests, and then none for hours."""
    tree = json.loads(file.read_text())
    (listener,) = tree["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    whole = {"default_value": {"numerator": 100}}
    limit = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": 1, "fill_interval": "36000s"},
        "filter_enabled": whole,
        "filter_enforced": whole,
    }
    manager["http_filters"].insert(0, {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit})
    file.write_text(json.dumps(tree))
    return file


async def _requests_counted(gateway: DataPlaneProcess) -> int:
    page = (await ask(gateway.addresses["admin"], "/stats")).body.decode()
    rows = [line for line in page.splitlines() if line.startswith("envoy_cluster_upstream_rq_total")]
    return sum(int(line.rpartition(" ")[2]) for line in rows)


async def test_what_was_counted_and_what_limits_hold_goes_from_one_gateway_to_the_next(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with backend() as upstream:
        file = _limited(at_port(write_bootstrap(tmp_path / "b.json", upstream), unused_tcp_port), 6)
        fleet, edge = Fleet(file, tmp_path / "s"), f"127.0.0.1:{unused_tcp_port}"
        async with fleet.next(2) as first:
            assert [(await ask(edge)).status for _ in range(3)] == [200] * 3
            async with fleet.next(1) as second:
                assert await ended(first) == 0
                assert await _requests_counted(second) == 3
                assert [(await ask(edge)).status for _ in range(2)] == [200] * 2
                async with fleet.next(2) as third:
                    assert await ended(second) == 0
                    assert [(await ask(edge)).status for _ in range(3)] == [200, 429, 429]
                    assert await _requests_counted(third) == 6


async def test_a_successor_that_cannot_start_changes_nothing(tmp_path: Path, unused_tcp_port: int) -> None:
    path = tmp_path / "s"
    async with backend() as upstream:
        file = at_port(write_bootstrap(tmp_path / "b.json", upstream), unused_tcp_port)
        async with Fleet(file, path).next() as gateway:
            # Whoever can connect gets the listening sockets.
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with socket.create_server(("127.0.0.1", 0)) as taken:
                other = write_bootstrap(tmp_path / "other.json", upstream)
                at_port(other, taken.getsockname()[1])
                process = await spawn("gateway", "--bootstrap", str(other), "--hot-restart", str(path))
                await process.communicate()
                assert process.returncode == 3
            assert (await ask(f"127.0.0.1:{unused_tcp_port}")).status == 200
            assert gateway.process.returncode is None
            # And it can still be followed.
            async with Fleet(file, path).next():
                assert await ended(gateway) == 0


async def test_an_address_that_the_successor_does_not_serve_is_closed(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    old, new = unused_tcp_port_factory(), unused_tcp_port_factory()
    path = tmp_path / "s"
    async with backend() as upstream:
        before = at_port(write_bootstrap(tmp_path / "before.json", upstream), old)
        after = at_port(write_bootstrap(tmp_path / "after.json", upstream), new)
        async with Fleet(before, path).next() as first:
            reader, writer = await asyncio.open_connection("127.0.0.1", old)
            await _exchange(reader, writer, 1)
            async with Fleet(after, path).next():
                assert await ended(first) == 0
                assert await reader.read() == b""
                writer.close()
                assert (await ask(f"127.0.0.1:{new}")).status == 200
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", old)


async def test_a_stranger_at_the_path_is_not_taken_over_from(tmp_path: Path) -> None:
    path = tmp_path / "s"
    file = write_bootstrap(tmp_path / "b.json", "127.0.0.1:1")

    async def stranger(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = json.dumps({"hot_restart": 99}).encode()
        writer.write(len(said).to_bytes(4, "big") + said)
        writer.close()

    async with await asyncio.start_unix_server(stranger, path):
        process = await spawn("gateway", "--bootstrap", str(file), "--hot-restart", str(path))
        _, said = await process.communicate()
        assert process.returncode == 3 and b"speaks version 99, not 1" in said
    async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
        process = await spawn("gateway", "--bootstrap", str(file), "--hot-restart", str(path))
        _, said = await process.communicate()
        assert process.returncode == 3 and b"does not hand over" in said


async def test_a_path_that_cannot_be_bound_ends_the_process_with_the_reason(tmp_path: Path) -> None:
    file = write_bootstrap(tmp_path / "b.json", "127.0.0.1:1")
    for path, code, reason in ((tmp_path / "none" / "s", 3, b"cannot listen on"), ("x" * 108, 2, b"longer than 107")):
        process = await spawn("gateway", "--bootstrap", str(file), "--hot-restart", str(path))
        _, said = await process.communicate()
        assert process.returncode == code and b"--hot-restart: " in said and reason in said, said
