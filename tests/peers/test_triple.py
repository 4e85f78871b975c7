"""Java's Dubbo 3 calls Dubbo 3 over Triple through our sidecar, which knows their groups apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.processes import data_plane
from tests.peers.dubbo_peer import triple_consumer, triple_provider
from tests.peers.sofabolt import LineProcess
from tests.peers.test_dubbo import stat
from tests.peers.ways import TRIPLE, address_of, routed

pytestmark = pytest.mark.peer

GROUPS = {group: {"tri-service-group": group} for group in "ab"}
"""Calls are routed by it as ordinary gRPC is by any header."""


@pytest.fixture
def ports(unused_tcp_port_factory: object) -> Iterator[int]:
    """Ports that nobody has."""
    assert callable(unused_tcp_port_factory)
    return iter(unused_tcp_port_factory, None)


async def talk(consumer: LineProcess, group: str) -> None:
    """Every kind of call that Triple has, and a failure of the service."""
    assert await consumer.ask("greet Ada") == f"OK hello Ada from {group}"
    assert await consumer.ask("count 500") == "OK 500 1, 500"
    assert await consumer.ask("echo 100") == f"OK 100 n1 from {group}, n100 from {group}"
    assert "asked to fail" in await consumer.ask("greet fail")
    assert await consumer.ask("greet Eve") == f"OK hello Eve from {group}"


async def test_triple_is_routed_by_interface_and_group(tmp_path: Path, ports: Iterator[int]) -> None:
    a, b = next(ports), next(ports)
    file = routed(tmp_path / "b.json", TRIPLE, {"a": a, "b": b}, GROUPS, prefix="/eventmesh.peers.Talker/")
    async with (
        triple_provider(a, "a"),
        triple_provider(b, "b"),
        data_plane("sidecar", file) as sidecar,
        triple_consumer(address_of(sidecar), "b") as consumer,
    ):
        await talk(consumer, "b")
        assert await stat(sidecar, "envoy_cluster_upstream_rq_total") >= 5
