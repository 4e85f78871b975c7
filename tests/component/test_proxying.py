"""Requests through a data plane on real sockets."""

import asyncio
import dataclasses
import socket
from pathlib import Path

import pytest
from aiohttp import web

from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.core._core import Request
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import Reply
from tests.component.planes import ask, backend, proxy, running, serving


async def test_a_request_and_its_body_reach_the_backend_and_its_answer_the_client() -> None:
    body = bytes(range(256)) * 4096
    async with backend() as upstream, running(proxy(upstream)) as plane:
        reply = await ask(plane.addresses()["edge"], "/a?b=c", method="POST", body=body)
    assert (reply.status, reply.headers["x-path"], reply.body) == (200, "/a?b=c", body)


async def test_many_connections_at_once_each_get_their_own_answer() -> None:
    async with backend() as upstream, running(proxy(upstream)) as plane:
        address = plane.addresses()["edge"]
        replies = await asyncio.gather(*(ask(address, f"/{n}", method="PUT", body=b"%d" % n) for n in range(200)))
    assert [reply.body for reply in replies] == [b"%d" % n for n in range(200)]


async def test_unix_sockets_serve_both_ends(tmp_path: Path) -> None:
    async with (
        backend(address=f"unix:{tmp_path}/backend") as upstream,
        running(proxy(upstream, address=f"unix:{tmp_path}/edge")) as plane,
    ):
        for n in range(50):  # connection churn is what breaks a careless use of uvloop's unix transports
            reply = await ask(plane.addresses()["edge"], method="POST", body=b"%d" % n)
            assert (reply.status, reply.body) == (200, b"%d" % n)
    assert not (tmp_path / "edge").exists()


async def test_a_name_is_looked_up(unused_tcp_port: int) -> None:
    address = f"localhost:{unused_tcp_port}"
    async with backend(address=f"127.0.0.1:{unused_tcp_port}"), running(proxy(address)) as plane:
        assert (await ask(plane.addresses()["edge"])).status == 200


async def test_a_backend_that_refuses_connections_is_answered_503(unused_tcp_port: int) -> None:
    async with running(proxy(f"127.0.0.1:{unused_tcp_port}")) as plane:
        assert (await ask(plane.addresses()["edge"])).status == 503


async def test_a_port_that_is_taken_is_named_and_the_earlier_configuration_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with backend() as upstream, running(proxy(upstream)) as plane:
            edge = plane.addresses()["edge"]
            with pytest.raises(UnavailableError, match=address):
                await plane.apply(proxy(upstream, name="other", address=address, version="2"))
            assert plane.snapshot.version == "1"
            assert (await ask(edge)).status == 200


async def test_a_live_unix_socket_is_not_taken_over(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/edge"
    async with running(proxy("127.0.0.1:1", address=address)):
        with pytest.raises(UnavailableError, match="edge"):
            async with running(proxy("127.0.0.1:1", address=address)):
                pass
        assert (await ask(address)).status == 503


async def test_a_snapshot_that_names_an_unknown_handler_is_refused_whole() -> None:
    async with backend() as upstream, running(proxy(upstream)) as plane:
        with pytest.raises(ConfigError, match="nobody"):
            await plane.apply(serving("nobody"))
        assert plane.snapshot.version == "1"
        assert (await ask(plane.addresses()["edge"])).status == 200


async def test_a_renamed_listener_keeps_its_socket_and_a_removed_one_closes_it(unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    async with backend() as upstream, running(proxy(upstream, address=address)) as plane:
        inode = _listening_inode(address)
        await plane.apply(proxy(upstream, name="renamed", address=address, version="3"))
        assert plane.addresses() == {"renamed": address}
        assert _listening_inode(address) == inode
        assert (await ask(address)).status == 200
        await plane.apply(Snapshot("4"))
        with pytest.raises(OSError, match="connect"):
            await ask(address)


async def test_two_listeners_at_one_address_are_refused(unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    one, other = proxy("127.0.0.1:1", address=address), proxy("127.0.0.1:1", name="other", address=address)
    async with running(Snapshot("0")) as plane:
        with pytest.raises(ConfigError, match="edge"):
            await plane.apply(dataclasses.replace(one, listeners=one.listeners + other.listeners))


async def test_endpoints_are_exchanged_without_a_failed_request() -> None:
    async def who(request: web.Request) -> web.Response:
        return web.Response(text=str(request.transport and request.transport.get_extra_info("sockname")[1]))

    async with backend(who) as one, backend(who) as two, running(proxy(one)) as plane:
        address = plane.addresses()["edge"]
        for version, upstream in enumerate((two, one) * 10):
            await plane.apply(proxy(upstream, version=f"v{version}"))
            reply = await ask(address)
            assert (reply.status, reply.body.decode()) == (200, upstream.rpartition(":")[2])


class Handler:
    async def handle(self, request: Request) -> Reply:
        if request.path == "/raise":
            raise ValueError("a bug")
        if request.path == "/unsendable":
            return Reply(200, (("x-a", "b\r\nx-injected: 1"),))
        return Reply.text(200, f"{request.method} {request.path} {request.body.decode()}")


async def test_a_handler_of_this_process_is_reached_like_any_backend() -> None:
    async with running(serving("here"), {"here": Handler()}) as plane:
        reply = await ask(plane.addresses()["edge"], "/p?q", method="POST", body=b"text")
        assert (reply.status, reply.body) == (200, b"POST /p?q text")


async def test_a_handler_that_fails_costs_one_answer_500_and_is_counted() -> None:
    async with running(serving("here"), {"here": Handler()}) as plane:
        address = plane.addresses()["edge"]
        assert (await ask(address, "/raise")).status == 500
        assert plane.driver.failures.bugs == 1
        assert (await ask(address, "/fine")).status == 200


async def test_an_answer_that_cannot_be_sent_is_500_and_not_an_endless_wait() -> None:
    async with running(serving("here"), {"here": Handler()}) as plane:
        assert (await ask(plane.addresses()["edge"], "/unsendable")).status == 500
        assert plane.driver.failures.bugs == 1


async def test_a_body_above_the_handlers_limit_is_answered_413() -> None:
    async with running(serving("here", max_body_bytes=1000), {"here": Handler()}) as plane:
        address = plane.addresses()["edge"]
        assert (await ask(address, method="POST", body=b"x" * 1000)).status == 200
        assert (await ask(address, method="POST", body=b"x" * 1001)).status == 413


async def test_a_client_that_still_sends_gets_the_refusal_and_no_reset() -> None:
    async with running(serving("here", max_body_bytes=1000), {"here": Handler()}) as plane:
        host, _, port = plane.addresses()["edge"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        size = 16 * 1024 * 1024  # more than the kernel keeps on the way
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(16):
            writer.write(bytes(size // 16))
            await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_requests_above_the_limit_of_served_ones_are_answered_503() -> None:
    gate = asyncio.Event()

    class Slow:
        async def handle(self, request: Request) -> Reply:
            await gate.wait()
            return Reply.text(200, "late")

    async with running(serving("slow"), {"slow": Slow()}) as plane:
        plane.driver.serving.most = 2
        address = plane.addresses()["edge"]
        waiting = [asyncio.get_running_loop().create_task(ask(address)) for _ in range(2)]
        while plane.engine.active() < 2:
            await asyncio.sleep(0)
        assert (await ask(address)).status == 503
        assert plane.driver.failures.refused_requests == 1
        gate.set()
        assert [reply.status for reply in await asyncio.gather(*waiting)] == [200, 200]


async def test_a_connection_above_the_limit_is_closed_and_counted() -> None:
    async with backend() as upstream, running(proxy(upstream)) as plane:
        plane.driver.max_connections = 1
        host, _, port = plane.addresses()["edge"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
        await writer.drain()
        while plane.driver.accepted_connections < 1:
            await asyncio.sleep(0)
        over, writer_over = await asyncio.open_connection(host, int(port))
        with pytest.raises(ConnectionResetError):
            await over.read()
        assert plane.driver.failures.refused_connections == 1
        writer_over.close()
        writer.close()


async def test_a_caller_in_this_process_gets_the_answer_and_may_give_up() -> None:
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(text="late")

    async with backend(slow) as upstream, running(proxy(upstream)) as plane:
        given_up = asyncio.get_running_loop().create_task(plane.caller.send("all", "GET", "a", "/"))
        while plane.engine.active() < 1:
            await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert plane.engine.active() == 0
        gate.set()
        response = await plane.caller.send("all", "POST", "a", "/", [("x-a", "b")], b"body")
        assert (response.status, response.body, response.error) == (200, b"late", "")
        assert (await plane.caller.send("none", "GET", "a", "/")).error == "no_route"


def _listening_inode(address: str) -> str:
    port = int(address.rpartition(":")[2])
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return next(row[9] for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "0A")
