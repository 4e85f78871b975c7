"""Java's Motan calls Motan through our sidecar by a declaration: routed, timed out and refused in Motan's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.component.processes import data_plane
from tests.peers.motan_peer import caller, service
from tests.peers.ways import address_of, declared, routed
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

MOTAN = declared("motan2")
GROUPS = {group: {"group": group, "version": "1.0"} for group in "ab"}
"""As a ServiceInterface tells calls apart."""
FUSED = "No available referers"
"""What Motan says without asking: who has failed ten times in a row is gone until it answers a heartbeat."""
Ports = Callable[[], int]


async def test_calls_find_the_group_and_version_that_java_writes(
    tmp_path: Path, unused_tcp_port_factory: Ports
) -> None:
    ports = {group: unused_tcp_port_factory() for group in GROUPS}
    async with (
        service(ports["a"], "a"),
        service(ports["b"], "b"),
        data_plane("sidecar", routed(tmp_path / "b.json", MOTAN, ports, GROUPS)) as sidecar,
        caller(address_of(sidecar), "a") as one,
        caller(address_of(sidecar), "b") as other,
        caller(address_of(sidecar), "nobody") as lost,
    ):
        assert await one.ask("greet Ada") == "OK hello Ada from a"
        assert await other.ask("greet Ada") == "OK hello Ada from b"
        assert set(await asyncio.gather(one.ask("many 400"), other.ask("many 400"))) == {"OK 400/400"}
        refused = await lost.ask("greet Ada")
        assert refused.startswith("ERROR MotanServiceException 10007 ") and "no route" in refused, refused


async def test_a_deadline_of_the_route_is_motans_timeout(tmp_path: Path, unused_tcp_port: int) -> None:
    file = routed(tmp_path / "b.json", MOTAN, {"a": unused_tcp_port}, GROUPS, timeout="1s")
    async with (
        service(unused_tcp_port, "a"),
        data_plane("sidecar", file) as sidecar,
        caller(address_of(sidecar), "a") as java,
    ):
        late = await java.ask("greet sleep 10000")
        assert late.startswith("ERROR MotanServiceException 10003 ") and "upstream request timeout" in late, late
        assert await java.ask("greet Ada") == "OK hello Ada from a"


async def test_a_caller_that_took_the_service_for_gone_comes_back_by_heartbeats(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    file = routed(tmp_path / "b.json", MOTAN, {"a": unused_tcp_port}, GROUPS)
    async with data_plane("sidecar", file) as sidecar, caller(address_of(sidecar), "a") as java:
        async with asyncio.timeout(WAIT_S):
            while FUSED not in (answer := await java.ask("greet Ada")):
                assert answer.startswith("ERROR MotanServiceException 10001 "), answer
        async with service(unused_tcp_port, "a"), asyncio.timeout(WAIT_S):
            while (answer := await java.ask("greet Ada")) != "OK hello Ada from a":
                assert answer.startswith("ERROR MotanServiceException 10001 "), answer
                await asyncio.sleep(0.1)
