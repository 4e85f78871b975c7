"""Java's Dubbo calls Dubbo through our sidecar: routed by what a call says, and none lost when a provider goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.planes import ask
from tests.component.processes import DataPlaneProcess, data_plane
from tests.peers.dubbo_peer import consumer, provider
from tests.peers.otlp_collector import collecting

pytestmark = pytest.mark.peer

GREETER = "eventmesh.peers.Greeter"


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def bootstrap(path: Path, *, collector: tuple[str, int] | None = None, **ports: tuple[int, ...]) -> Path:
    """Write a bootstrap: calls of a group go to the cluster of its name, as docs/protocols/dubbo.md describes it, and
    spans to `collector`."""

    def route(group: str) -> dict[str, object]:
        condition = {"name": "group", "string_match": {"exact": group}}
        return {"match": {"prefix": "/", "headers": [condition]}, "route": {"cluster": group, "timeout": "2s"}}

    def cluster(group: str) -> dict[str, object]:
        endpoints = [{"endpoint": {"address": address(port)}} for port in ports[group]]
        return {
            "name": group,
            "type": "STATIC",
            "load_assignment": {"cluster_name": group, "endpoints": [{"lb_endpoints": endpoints}]},
            "metadata": {"filter_metadata": {"eventmesh": {"protocol": "dubbo"}}},
        }

    def address(port: int, host: str = "127.0.0.1") -> dict[str, object]:
        return {"socket_address": {"address": host, "port_value": port}}

    extension = "type.googleapis.com/eventmesh.extensions.filters.network.dubbo_proxy.v3.DubboProxy"
    hosts = [{"name": "greeter", "domains": [GREETER], "routes": [route(group) for group in ports]}]
    proxy = {"@type": extension, "stat_prefix": "dubbo", "route_config": {"name": "dubbo", "virtual_hosts": hosts}}
    filters = [{"name": "eventmesh.dubbo_proxy", "typed_config": proxy}]
    # Dubbo takes any loopback address for the machine's own.
    listener = {"name": "dubbo", "address": address(0, "0.0.0.0"), "filter_chains": [{"filters": filters}]}
    clusters = [cluster(group) for group in ports]
    tree = {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": address(0)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }
    if collector is not None:
        host, port = collector
        endpoint = {"endpoint": {"address": address(port, host)}}
        listener["traffic_direction"] = "INBOUND"
        clusters.append(
            {
                "name": "otel",
                "type": "STATIC",
                "load_assignment": {"cluster_name": "otel", "endpoints": [{"lb_endpoints": [endpoint]}]},
                "metadata": {
                    "filter_metadata": {
                        "eventmesh": {"tracing": {"protocol": "http/protobuf", "sampling": 0, "authority": "otel"}}
                    }
                },
            }
        )
    path.write_text(json.dumps(tree))
    return path


@pytest.fixture
def ports(unused_tcp_port_factory: object) -> Iterator[int]:
    """Ports that nobody has."""
    assert callable(unused_tcp_port_factory)
    return iter(unused_tcp_port_factory, None)


def local(sidecar: DataPlaneProcess) -> str:
    """Return the address of the listener as this machine dials it."""
    return sidecar.addresses["dubbo"].replace("0.0.0.0", "127.0.0.1")


async def stat(sidecar: DataPlaneProcess, name: str) -> int:
    """Return the sum of a counter over its labels."""
    page = (await ask(sidecar.addresses["admin"], "/stats")).body.decode()
    return sum(int(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


async def test_calls_find_their_group_behind_arguments_of_every_kind(tmp_path: Path, ports: Iterator[int]) -> None:
    a, b = next(ports), next(ports)
    async with (
        provider(a, "a"),
        provider(b, "b"),
        data_plane("sidecar", bootstrap(tmp_path / "bootstrap.json", a=(a,), b=(b,))) as sidecar,
        consumer(local(sidecar), "a") as one,
        consumer(local(sidecar), "b") as other,
        consumer(local(sidecar), "nobody") as lost,
    ):
        assert await one.ask("greet Ada") == "OK hello Ada from a"
        assert await other.ask("greet Ada") == "OK hello Ada from b"
        assert await other.ask("describe") == "OK {a=[1, 300]} 70000 Ada é \U0001f600 true"
        assert tuple(await asyncio.gather(one.ask("many 400"), other.ask("many 400"))) == ("OK 400/400", "OK 400/400")
        assert await one.ask("greet fail") == "THROWN asked to fail"
        late = await one.ask("greet sleep 6000")
        assert late.startswith("ERROR code 2 ") and "upstream request timeout" in late, "code 2 is a timeout"
        assert "no route for this host and path" in await lost.ask("greet Ada")
        assert await one.ask("greet Ada") == "OK hello Ada from a"
        assert await stat(sidecar, "envoy_cluster_upstream_rq_timeout") == 1
        assert await stat(sidecar, "envoy_cluster_upstream_cx_total") == 2


async def test_no_call_is_lost_when_a_provider_says_readonly_and_goes(tmp_path: Path, ports: Iterator[int]) -> None:
    first, second = next(ports), next(ports)
    async with (
        provider(first, "a") as leaving,
        provider(second, "a"),
        data_plane("sidecar", bootstrap(tmp_path / "bootstrap.json", a=(first, second))) as sidecar,
        consumer(local(sidecar), "a") as java,
    ):
        assert await java.ask("many 100") == "OK 100/100"
        assert tuple(await asyncio.gather(leaving.ask(""), java.ask("many 3000"))) == ("STOPPED", "OK 3000/3000")
        assert await java.ask("many 100") == "OK 100/100"


async def test_a_provider_behind_two_sidecars_sees_the_second_as_the_parent_of_its_span(
    tmp_path: Path, ports: Iterator[int]
) -> None:
    port, sent = next(ports), f"00-{TRACE}-{PARENT}-01"
    near, far = tmp_path / "near.json", tmp_path / "far.json"
    async with (
        collecting() as collector,
        provider(port, "a"),
        data_plane("sidecar", bootstrap(far, collector=collector.address, a=(port,))) as second,
        data_plane(
            "sidecar", bootstrap(near, collector=collector.address, a=(int(local(second).rpartition(":")[2]),))
        ) as first,
        consumer(f"127.0.0.1:{port}", "a") as beside,
        consumer(local(first), "a") as java,
    ):
        expected = attachments(await beside.ask(f"traced traceparent={sent} tracestate=a=1 colour=blue"))
        found = attachments(await java.ask(f"traced traceparent={sent} tracestate=a=1 colour=blue"))
        version, trace, own, flags = found.pop("traceparent").split("-")
        assert expected.pop("traceparent") == sent and found == expected
        assert (version, trace, flags, found["tracestate"], found["colour"]) == ("00", TRACE, "01", "a=1", "blue")
        last = await collector.span(own)
        between = await collector.span(last.parent)
        assert (last.trace, between.trace, between.parent) == (TRACE, TRACE, PARENT)


def attachments(answer: str) -> dict[str, str]:
    """Return the attachments that a provider says its call came with."""
    assert answer.startswith("OK {") and answer.endswith("}"), answer
    return dict(pair.split("=", 1) for pair in answer[4:-1].split(", "))
