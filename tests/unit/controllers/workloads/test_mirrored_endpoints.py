"""Endpoints written by hand: they are EndpointSlices too, for as long as their Service has no selector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.controllers.workloads.endpoint_slices import MANAGED_BY, MAX_ENDPOINTS, SERVICE_NAME
from eventmesh.controllers.workloads.mirrored_endpoints import OURS, SKIP_MIRROR
from eventmesh.kube.api import Object
from eventmesh.kube.resources import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from tests.unit.controllers.workloads.cluster import Cluster

PORTS = [{"name": "http", "port": 8080, "protocol": "TCP"}]


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    await made.start()
    await made.api.create(SERVICE, {"metadata": {"name": "old"}, "spec": {"ports": [{"port": 80}]}}, "default")
    yield made
    await made.stop()


def endpoints(*subsets: Object, **metadata: Any) -> Object:
    return {"metadata": {"name": "old", "labels": {"app": "legacy"}, **metadata}, "subsets": list(subsets)}


def subset(*addresses: str, **fields: Any) -> Object:
    return {"addresses": [{"ip": address} for address in addresses], "ports": PORTS, **fields}


async def mirrored(cluster: Cluster) -> list[Object]:
    return [item for item in await cluster.all(ENDPOINT_SLICE) if item["metadata"]["labels"].get(MANAGED_BY) == OURS]


async def test_addresses_ports_and_labels_are_told_by_a_slice(cluster: Cluster) -> None:
    waiting = [{"ip": "10.0.0.2", "hostname": "second"}]
    await cluster.api.create(ENDPOINTS, endpoints(subset("10.0.0.1", notReadyAddresses=waiting)), "default")
    (found,) = await mirrored(cluster)
    assert found["metadata"]["labels"] == {"app": "legacy", SERVICE_NAME: "old", MANAGED_BY: OURS}
    assert (found["addressType"], found["ports"]) == ("IPv4", PORTS)
    assert found["endpoints"] == [
        {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": False}, "hostname": "second"},
    ]


async def test_slices_follow_and_go_with_their_endpoints(cluster: Cluster) -> None:
    await cluster.api.create(ENDPOINTS, endpoints(subset("10.0.0.1"), subset("fd00::1")), "default")
    assert [item["addressType"] for item in await mirrored(cluster)] == ["IPv4", "IPv6"]
    await cluster.api.patch(ENDPOINTS, "old", {"subsets": [subset("10.0.0.3")]}, "default")
    (found,) = await mirrored(cluster)
    assert found["endpoints"][0]["addresses"] == ["10.0.0.3"]
    await cluster.api.delete(ENDPOINTS, "old", "default")
    assert await mirrored(cluster) == []


async def test_a_slice_holds_no_more_than_it_may_and_no_address_is_lost(cluster: Cluster) -> None:
    many = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(MAX_ENDPOINTS + 1)]
    await cluster.api.create(ENDPOINTS, endpoints(subset(*many)), "default")
    assert [len(item["endpoints"]) for item in await mirrored(cluster)] == [MAX_ENDPOINTS, 1]


async def test_what_is_no_address_is_left_out(cluster: Cluster) -> None:
    await cluster.api.create(ENDPOINTS, endpoints(subset("somewhere", "10.0.0.1")), "default")
    (found,) = await mirrored(cluster)
    assert [one["addresses"] for one in found["endpoints"]] == [["10.0.0.1"]]


@pytest.mark.parametrize(
    "metadata",
    [{"labels": {SKIP_MIRROR: "true"}}, {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}],
)
async def test_who_asks_for_it_is_not_mirrored(cluster: Cluster, metadata: Object) -> None:
    await cluster.api.create(ENDPOINTS, endpoints(subset("10.0.0.1"), **metadata), "default")
    assert await mirrored(cluster) == []


async def test_a_service_that_selects_pods_is_not_mirrored_any_more(cluster: Cluster) -> None:
    await cluster.api.create(ENDPOINTS, endpoints(subset("10.0.0.1")), "default")
    assert await mirrored(cluster)
    await cluster.api.patch(SERVICE, "old", {"spec": {"selector": {"app": "new"}}}, "default")
    assert await mirrored(cluster) == []
