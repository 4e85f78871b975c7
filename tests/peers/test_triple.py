"""Java's Dubbo 3 calls Dubbo 3 over Triple through our sidecar, which knows their groups apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.processes import DataPlaneProcess, data_plane
from tests.peers.dubbo_peer import triple_consumer, triple_provider
from tests.peers.sofabolt import LineProcess
from tests.peers.test_dubbo import stat

pytestmark = pytest.mark.peer

TALKER = "eventmesh.peers.Talker"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def address(port: int, host: str = "127.0.0.1") -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def bootstrap(path: Path, **ports: int) -> Path:
    """Write a bootstrap: calls of an interface go to the cluster of their group, as ordinary gRPC is routed."""

    def route(group: str) -> dict[str, object]:
        condition = {"name": "tri-service-group", "string_match": {"exact": group}}
        match = {"prefix": f"/{TALKER}/", "headers": [condition]}
        return {"match": match, "route": {"cluster": group, "timeout": "20s"}}

    def cluster(group: str) -> dict[str, object]:
        endpoints = [{"endpoint": {"address": address(ports[group])}}]
        return {
            "name": group,
            "type": "STATIC",
            "load_assignment": {"cluster_name": group, "endpoints": [{"lb_endpoints": endpoints}]},
            "typed_extension_protocol_options": {
                HTTP_OPTIONS: {
                    "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
        }

    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": f"type.googleapis.com/{MANAGER}",
        "stat_prefix": "triple",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "route_config": {
            "name": "triple",
            "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [route(group) for group in ports]}],
        },
    }
    # Dubbo takes any loopback address for the machine's own.
    filters = [{"filters": [{"name": "envoy.http", "typed_config": manager}]}]
    listener = {"name": "triple", "address": address(0, "0.0.0.0"), "filter_chains": filters}
    tree = {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": address(0)},
        "static_resources": {"listeners": [listener], "clusters": [cluster(group) for group in ports]},
    }
    path.write_text(json.dumps(tree))
    return path


def port_of(sidecar: DataPlaneProcess) -> int:
    return int(sidecar.addresses["triple"].rpartition(":")[2])


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
    async with (
        triple_provider(a, "a"),
        triple_provider(b, "b"),
        data_plane("sidecar", bootstrap(tmp_path / "bootstrap.json", a=a, b=b)) as sidecar,
        triple_consumer(f"127.0.0.1:{port_of(sidecar)}", "b") as consumer,
    ):
        await talk(consumer, "b")
        assert await stat(sidecar, "envoy_cluster_upstream_rq_total") >= 5
