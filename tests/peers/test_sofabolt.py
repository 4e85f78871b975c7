"""Java's SOFABolt calls SOFABolt through our sidecar: neither can tell it from the other."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.component.planes import ask
from tests.component.processes import DataPlaneProcess, data_plane
from tests.peers.sofabolt import caller, service
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

HELLO, HASTY = "com.shop.Hello:1.0", "com.shop.Hasty:1.0"
"""Two names of the one service; calls by the second have one second."""

HEARTBEAT_REQUEST = struct.Struct(">BBHBIBiHHi")
HEARTBEAT_ANSWER = struct.Struct(">BBHBIBHHHi")


def bootstrap(path: Path, port: int) -> Path:
    """Write a bootstrap with one Bolt listener, as docs/protocols/bolt.md describes it."""

    def host(name: str, **route: str) -> dict[str, object]:
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "hello", **route}}]
        return {"name": name, "domains": [name], "routes": routes}

    extension = "type.googleapis.com/eventmesh.extensions.filters.network.bolt_proxy.v3.BoltProxy"
    hosts = [host(HELLO), host(HASTY, timeout="1s")]
    proxy = {"@type": extension, "stat_prefix": "hello", "route_config": {"name": "bolt", "virtual_hosts": hosts}}
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    anywhere = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    cluster = {
        "name": "hello",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "hello", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "metadata": {"filter_metadata": {"eventmesh": {"protocol": "bolt"}}},
    }
    filters = [{"name": "eventmesh.bolt_proxy", "typed_config": proxy}]
    listener = {"name": "bolt", "address": anywhere, "filter_chains": [{"filters": filters}]}
    tree = {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": anywhere},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }
    path.write_text(json.dumps(tree))
    return path


@pytest.fixture
async def sidecar(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[DataPlaneProcess]:
    """A sidecar in front of a service on `unused_tcp_port`; the service itself is each test's."""
    async with data_plane("sidecar", bootstrap(tmp_path / "bootstrap.json", unused_tcp_port)) as running:
        yield running


async def stat(sidecar: DataPlaneProcess, name: str) -> int:
    """Return the sum of a counter over its labels."""
    page = (await ask(sidecar.addresses["admin"], "/stats")).body.decode()
    return sum(int(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


async def test_calls_are_answered_one_by_one_and_a_thousand_at_once(
    sidecar: DataPlaneProcess, unused_tcp_port: int
) -> None:
    async with service(unused_tcp_port), caller(sidecar.addresses["bolt"], HELLO) as java:
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        assert await java.ask("many 1000") == "OK 1000/1000"
        assert await java.ask(f"sync 20000 {'x' * 100_000}") == f"OK hello {'x' * 100_000}"
    assert await stat(sidecar, "envoy_cluster_upstream_rq_total") == 1_002
    assert await stat(sidecar, "envoy_cluster_upstream_cx_total") == 1


@pytest.mark.parametrize("version", [1, 2])
async def test_protocol_2_with_and_without_checksums_is_carried_to_the_same_service(
    sidecar: DataPlaneProcess, unused_tcp_port: int, version: int
) -> None:
    """Java sets the checksum switch on every request of protocol 2; version 2 of it has checksums both ways."""
    async with (
        service(unused_tcp_port),
        recorded(sidecar.addresses["bolt"]) as relay,
        caller(f"{relay.address}?_PROTOCOL=2&_VERSION={version}", HELLO) as java,
        caller(sidecar.addresses["bolt"], HELLO) as old,
    ):
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        assert bytes(relay.asked[:2]) == bytes(relay.answered[:2]) == bytes([2, version])
        # Both versions at once, under ids that both begin at 1.
        many = await asyncio.gather(java.ask("many 500"), old.ask("many 500"))
        assert tuple(many) == ("OK 500/500", "OK 500/500")
        assert await java.ask(f"sync 20000 {'x' * 100_000}") == f"OK hello {'x' * 100_000}"
        assert (await java.ask("sync 3000 fail")).startswith("ERROR InvokeServerException")
        assert (await java.ask("sync 100 sleep 500")).startswith("ERROR InvokeTimeoutException")
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
    assert await stat(sidecar, "envoy_cluster_upstream_cx_total") == 2


async def test_a_oneway_arrives_once_and_is_not_answered(sidecar: DataPlaneProcess, unused_tcp_port: int) -> None:
    async with service(unused_tcp_port), caller(sidecar.addresses["bolt"], HELLO) as java:
        # The second finds its connection made.
        for letter in ("first", "second"):
            assert await java.ask(f"oneway {letter}") == "SENT"
            async with asyncio.timeout(WAIT_S):
                while await java.ask(f"sync 3000 times {letter}") == "OK 0":
                    pass
            assert await java.ask(f"sync 3000 times {letter}") == "OK 1"


async def test_an_exception_of_the_service_reaches_the_caller_as_it_was(
    sidecar: DataPlaneProcess, unused_tcp_port: int
) -> None:
    async with service(unused_tcp_port), caller(sidecar.addresses["bolt"], HELLO) as java:
        direct = f"127.0.0.1:{unused_tcp_port}"
        through = await java.ask("sync 3000 fail")
        async with caller(direct, HELLO) as beside:
            expected = await beside.ask("sync 3000 fail")
        assert through.split()[1] == "InvokeServerException"
        assert through.replace(sidecar.addresses["bolt"], direct) == expected
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"


async def test_a_slow_service_times_out_as_the_route_says(sidecar: DataPlaneProcess, unused_tcp_port: int) -> None:
    async with service(unused_tcp_port), caller(sidecar.addresses["bolt"], HASTY) as java:
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        answer = await java.ask("sync 20000 sleep 3000")
        assert answer.startswith("ERROR InvokeTimeoutException")
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
    assert await stat(sidecar, "envoy_cluster_upstream_rq_timeout") == 1


async def test_the_callers_own_timeout_ends_its_call_and_no_other(
    sidecar: DataPlaneProcess, unused_tcp_port: int
) -> None:
    async with service(unused_tcp_port), caller(sidecar.addresses["bolt"], HELLO) as java:
        assert (await java.ask("sync 100 sleep 500")).startswith("ERROR InvokeTimeoutException")
        assert await java.ask("many 100") == "OK 100/100"


async def test_a_service_that_nobody_routes_is_no_processor(sidecar: DataPlaneProcess, unused_tcp_port: int) -> None:
    async with service(unused_tcp_port), caller(sidecar.addresses["bolt"], "com.shop.Nobody:1.0") as java:
        answer = await java.ask("sync 20000 Ada")
        assert answer.startswith("ERROR InvokeException") and "NO_PROCESSOR" in answer
    assert await stat(sidecar, "envoy_cluster_upstream_rq_total") == 0


async def test_a_killed_service_is_an_error_and_answers_again_when_it_is_back(
    sidecar: DataPlaneProcess, unused_tcp_port: int
) -> None:
    async with caller(sidecar.addresses["bolt"], HELLO) as java:
        async with service(unused_tcp_port) as first:
            assert await java.ask("sync 20000 Ada") == "OK hello Ada"
            await first.kill()
            assert (await java.ask("sync 20000 Ada")).startswith("ERROR ")
        async with service(unused_tcp_port), asyncio.timeout(WAIT_S):
            while not (await java.ask("sync 20000 Ada")).startswith("OK"):
                pass


async def test_heartbeats_are_answered_while_nothing_is_called(sidecar: DataPlaneProcess, unused_tcp_port: int) -> None:
    async with (
        service(unused_tcp_port),
        recorded(sidecar.addresses["bolt"]) as relay,
        caller(relay.address, HELLO, heartbeat_ms=50) as java,
    ):
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        relay.forget()
        async with asyncio.timeout(WAIT_S):
            # The answer to one that was asked before may come first.
            asked, answers = relay.heartbeats()
            while len(asked) < 3 or not {frame[4] for frame in asked[:3]} <= answers.keys():
                await asyncio.sleep(0.02)
                asked, answers = relay.heartbeats()
        asked = asked[:3]
        answered = [answers[frame[4]] for frame in asked]
        assert [(proto, kind, command) for proto, kind, command, *_ in asked] == [(1, 1, 0)] * 3
        assert [(proto, kind, command) for proto, kind, command, *_ in answered] == [(1, 0, 0)] * 3
        assert {frame[6] for frame in answered} == {0}
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        assert relay.connections == 1
    assert await stat(sidecar, "envoy_cluster_upstream_rq_total") == 2


async def test_two_callers_share_one_connection_to_the_service(sidecar: DataPlaneProcess, unused_tcp_port: int) -> None:
    async with (
        service(unused_tcp_port),
        caller(sidecar.addresses["bolt"], HELLO) as one,
        caller(sidecar.addresses["bolt"], HELLO) as other,
    ):
        # Both count their requests from 1: whoever swapped answers would be seen.
        assert tuple(await asyncio.gather(one.ask("many 500"), other.ask("many 500"))) == ("OK 500/500", "OK 500/500")
    assert await stat(sidecar, "envoy_cluster_upstream_cx_total") == 1


class Relay:
    """What went over a connection."""

    def __init__(self) -> None:
        self.address = ""
        self.connections = 0
        self.asked = bytearray()
        self.answered = bytearray()

    def heartbeats(self) -> tuple[list[tuple[int, ...]], dict[int, tuple[int, ...]]]:
        """Return the heartbeats asked, and the answers by id, when nothing else went over it."""
        asked = whole_frames(HEARTBEAT_REQUEST, self.asked)
        return asked, {frame[4]: frame for frame in whole_frames(HEARTBEAT_ANSWER, self.answered)}

    def forget(self) -> None:
        """Forget what went over it until now."""
        self.asked.clear()
        self.answered.clear()


def whole_frames(shape: struct.Struct, data: bytearray) -> list[tuple[int, ...]]:
    return [shape.unpack_from(data, at) for at in range(0, len(data) - shape.size + 1, shape.size)]


@asynccontextmanager
async def recorded(upstream: str) -> AsyncIterator[Relay]:
    """Relay a port to `upstream` byte by byte, writing everything down."""
    relay = Relay()
    host, _, port = upstream.rpartition(":")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        while data := await reader.read(65_536):
            kept += data
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay.connections += 1
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, up_writer, relay.asked), carry(up_reader, writer, relay.answered))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    relay.address = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield relay
    finally:
        server.close()
