"""The admin port tells what Envoy's tells, in the same shape."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from eventmesh.dataplane.admin import listener_statuses
from eventmesh.dataplane.cluster_statuses import to_document, to_text, together
from tests.peers.pairs import Pair, address, cluster, document, pair_on, scripted

pytestmark = pytest.mark.peer

NOT_TOLD = {"hostname", "local_origin_success_rate", "added_via_api"}
"""What eventmesh knows nothing of: names of endpoints, failures by who caused them, who configured a cluster."""


async def test_both_tell_alike_where_they_listen(tmp_path: Path) -> None:
    hosts = [
        {"name": "h", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}
    ]
    async with pair_on(document(hosts, []), tmp_path) as pair:
        theirs = json.dumps(await pair.admin.admin("/listeners?format=json"))
        ours = listener_statuses(pair.plane.addresses())
    assert ours == json.loads(theirs.replace(str(pair.envoy.port), str(pair.mesh.port)))


def read_text(page: str) -> dict[tuple[str, ...], str]:
    """Return what a page of `/clusters` says, as an operator's script reads it; what eventmesh has no word for is left
    out."""
    rows = (line.rsplit("::", 1) for line in page.splitlines())
    told = {tuple(name.replace("[::1]", "[six]").split("::")): value for name, value in rows}
    return {
        name: value
        for name, value in told.items()
        if name[-1] not in NOT_TOLD and "high_priority" not in name and not name[-1].startswith("local_origin_")
    }


def read_document(clusters: dict[str, Any]) -> dict[str, Any]:
    """Return an `admin.v3.Clusters` by names of clusters and ports of endpoints."""
    statuses = {status["name"]: status for status in clusters["cluster_statuses"]}
    for status in statuses.values():
        for host in status["host_statuses"]:
            host["stats"] = {stat["name"]: (stat.get("type"), stat.get("value")) for stat in host["stats"]}
        thresholds = status["circuit_breakers"]["thresholds"]
        status["circuit_breakers"] = [one for one in thresholds if one.get("priority") != "HIGH"]
    return statuses


def groups(*of: dict[str, Any]) -> dict[str, Any]:
    return {"load_assignment": {"cluster_name": "rich", "endpoints": list(of)}}


async def _use(pair: Pair) -> None:
    for proxy in pair.both:
        answers = [await proxy.ask(path) for path in ("/a", "/b", "/fail/503/1", "/held", "/dead", "/dead", "/rich")]
        assert [answer.status for answer in answers] == [200, 200, 503, 504, 503, 503, 200], proxy.name


async def test_both_tell_alike_how_clusters_and_endpoints_fare(tmp_path: Path) -> None:
    route = {"cluster": "well", "timeout": "5s"}
    routes = [
        {"match": {"prefix": "/dead"}, "route": {"cluster": "dead"}},
        {"match": {"prefix": "/rich"}, "route": {"cluster": "rich"}},
        {"match": {"prefix": "/held"}, "route": {"cluster": "slow", "timeout": "0.2s"}},
        {"match": {"prefix": "/"}, "route": route},
    ]
    async with scripted("one") as server:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
            dead = closed.getsockname()[:2]
            place = {"region": "r1", "zone": "z1", "sub_zone": "s1"}
            host = {"endpoint": {"address": address(*server.address)}, "load_balancing_weight": 3}
            away = {"endpoint": {"address": address("::1", 9)}, "health_status": "UNHEALTHY"}
            canary = {"metadata": {"filter_metadata": {"envoy.lb": {"canary": True}}}}
            rich = groups(
                {"locality": place, "lb_endpoints": [host]},
                {"priority": 1, "lb_endpoints": [away | canary]},
            )
            clusters = [
                cluster("well", server.address),
                cluster("slow", server.address),
                cluster("dead", dead, circuit_breakers={"thresholds": [{"max_requests": 9, "max_retries": 2}]}),
                cluster("rich", server.address) | rich | {"outlier_detection": {"consecutive_5xx": 7}},
            ]
            async with pair_on(
                document([{"name": "h", "domains": ["*"], "routes": routes}], clusters), tmp_path
            ) as pair:
                try:
                    await _use(pair)
                finally:
                    server.released.set()
                theirs = read_text(await pair.admin.page("/clusters"))
                document_of_theirs = read_document(await pair.admin.admin("/clusters?format=json"))
                found = together(await pair.plane.cluster_statuses())
                ours = read_text(to_text(found, pair.plane.snapshot))
                document_of_ours = read_document(json.loads(json.dumps(to_document(found, pair.plane.snapshot))))
    assert ours == theirs
    assert document_of_ours == document_of_theirs
    assert theirs[("well", ":".join(map(str, server.address)), "rq_error")] == "1"
