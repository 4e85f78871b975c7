"""Objects in the API become resources of data planes, and acknowledgements become statuses."""

from __future__ import annotations

import base64
import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from eventmesh.kube.resources import EVENT, KINGRESS, SECRET, SERVERLESS_SERVICE, SERVICE
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import CDS, EDS, RDS, AdsClient, connected
from tests.component.control_bench import Bench

TLS_FILES = Path(__file__).parents[1] / "vectors" / "tls"


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


def addresses(client: AdsClient, cluster: str) -> set[str]:
    if cluster not in client.held[EDS]:
        return set()
    found = ClusterLoadAssignment.parse(client.held[EDS][cluster])
    return {
        f"{e.endpoint.address.socket_address.address}:{e.endpoint.address.socket_address.port_value}"
        for group in found.endpoints
        for e in group.lb_endpoints
        if e.endpoint and e.endpoint.address and e.endpoint.address.socket_address
    }


def hosts(client: AdsClient, table: str) -> set[str]:
    if table not in client.held[RDS]:
        return set()
    found = RouteConfiguration.parse(client.held[RDS][table])
    return {domain for host in found.virtual_hosts for domain in host.domains}


async def test_without_any_data_plane_an_ingress_is_ready_by_itself(bench: Bench) -> None:
    await bench.ingress("a", "a.test", "svc")
    stored = await bench.ready("a")
    balancers = stored["status"]["publicLoadBalancer"]["ingress"]
    assert balancers == [{"domainInternal": "gateway.eventmesh-system.svc.cluster.local"}]


async def test_an_ingress_is_ready_only_when_the_gateway_has_acknowledged_its_routes(bench: Bench) -> None:
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        gateway.withheld = frozenset((RDS,))
        gateway.answering.clear()
        seen = len(gateway.pushes)
        await bench.ingress("a", "a.test", "svc")
        await gateway.until(lambda: any(type_ is RDS for type_, _ in gateway.pushes[seen:]))
        # Another object goes all the way through control in the meantime.
        await bench.ingress("bystander", "b.test", "svc")
        await bench.until(KINGRESS, "bystander", lambda obj: True)
        assert not is_ready(bench.stored(KINGRESS, "a"))
        gateway.answering.set()
        await bench.ready("a")
        assert "a.test" in hosts(gateway, "public")


async def test_an_ingress_of_another_class_is_not_touched(bench: Bench) -> None:
    foreign = [
        await bench.ingress("foreign", "f.test", "svc", class_="istio.ingress.networking.knative.dev"),
        await bench.ingress("classless", "c.test", "svc", class_=""),
    ]
    await bench.ingress("ours", "o.test", "svc")
    await bench.ready("ours")
    for obj in foreign:
        assert bench.stored(KINGRESS, obj["metadata"]["name"]) == obj


async def test_a_pod_that_becomes_ready_moves_endpoints_and_nothing_else(bench: Bench) -> None:
    await bench.revision("rev", mode="Serve", concurrency=5)
    async with (
        connected(bench.port, "gateway", "public", "local") as gateway,
        connected(bench.port, "activator", "activator", "local") as activator,
    ):
        await gateway.until(lambda: addresses(gateway, "default/rev") == {"127.0.0.2:8012"})
        await activator.until(lambda: "default/rev" in activator.held[EDS])
        assert addresses(activator, "default/rev") == set()
        held = Cluster.parse(activator.held[CDS]["default/rev"]).metadata
        assert held is not None
        said = held.filter_metadata["eventmesh"].fields
        assert said["hold"].bool_value is True
        assert said["max_requests_per_endpoint"].number_value == 5.0
        await bench.until(SERVERLESS_SERVICE, "rev", is_ready)
        await gateway.until(lambda: "rev.default" in hosts(gateway, "local"))
        before = len(gateway.pushes)
        await bench.pods("rev", "127.64.0.1")
        await gateway.until(lambda: addresses(gateway, "default/rev") == {"127.64.0.1:8012"})
        await activator.until(lambda: addresses(activator, "default/rev") == {"127.64.0.1:8012"})
        assert gateway.pushes[before:] == [(EDS, ["default/rev"])]


async def test_a_revision_sent_to_sleep_is_acknowledged_before_its_status_says_so(bench: Bench) -> None:
    await bench.revision("rev", mode="Serve")
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await bench.pods("rev", "127.64.0.1")
        await gateway.until(lambda: addresses(gateway, "default/rev") == {"127.64.0.1:8012"})
        awake = await bench.until(SERVERLESS_SERVICE, "rev", is_ready)
        assert awake["status"]["privateServiceName"] == "rev-private"
        gateway.answering.clear()
        asleep = {**awake, "spec": {**awake["spec"], "mode": "Proxy"}}
        await bench.api.replace(SERVERLESS_SERVICE, asleep)
        count = len(gateway.pushes)
        await gateway.until(lambda: len(gateway.pushes) > count)
        assert not is_ready(bench.stored(SERVERLESS_SERVICE, "rev"))
        gateway.answering.set()
        stored = await bench.until(SERVERLESS_SERVICE, "rev", is_ready)
        assert addresses(gateway, "default/rev") == {"127.0.0.2:8012"}
        proxied = condition(stored, "ActivatorEndpointsPopulated")
        assert proxied is not None and proxied["status"] == "True"


async def test_refused_routes_become_a_condition_of_their_author_and_stop_nobody_else(bench: Bench) -> None:
    def picky(type_: ResourceType, body: bytes) -> str | None:
        return "header x-evil is not welcome" if type_ is RDS and b"x-evil" in body else None

    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        gateway.refuse = picky
        await bench.ingress("first", "first.test", "svc")
        await bench.ready("first")
        await bench.ingress("bad", "bad.test", "svc", appendHeaders={"x-evil": "1"})
        refused = await bench.until(KINGRESS, "bad", lambda obj: condition(obj, "NetworkConfigured") is not None)
        found = condition(refused, "NetworkConfigured")
        assert found is not None
        assert (found["status"], found["reason"]) == ("False", "ConfigurationRefused")
        assert "gateway-1: header x-evil is not welcome" in found["message"]
        await bench.ingress("second", "second.test", "svc")
        await bench.ready("second")
        assert {"first.test", "second.test"} <= hosts(gateway, "public")
        events = await bench.api.list(EVENT, "default")
        assert any(event["reason"] == "ConfigurationRefused" for event in events.items)
        repaired = copy.deepcopy(bench.stored(KINGRESS, "bad"))
        del repaired["spec"]["rules"][0]["http"]["paths"][0]["appendHeaders"]
        await bench.api.replace(KINGRESS, repaired)
        await bench.ready("bad")
        assert "bad.test" in hosts(gateway, "public")


async def test_a_gateway_that_comes_later_may_still_refuse_what_was_ready_without_it(bench: Bench) -> None:
    await bench.ingress("bad", "bad.test", "svc", appendHeaders={"x-evil": "1"})
    await bench.ingress("good", "good.test", "svc")
    await bench.ready("bad")
    await bench.ready("good")
    async with connected(bench.port, "gateway", "public", "local", answering=False) as gateway:
        gateway.refuse = lambda type_, body: "no" if type_ is RDS and b"x-evil" in body else None
        gateway.answering.set()
        await bench.until(KINGRESS, "bad", lambda obj: not is_ready(obj))
        await gateway.until(lambda: "good.test" in hosts(gateway, "public"))
        await bench.ready("good")


async def test_of_several_suspects_only_the_guilty_one_stays_out(bench: Bench) -> None:
    def picky(type_: ResourceType, body: bytes) -> str | None:
        return "something is wrong" if type_ is RDS and b"x-evil" in body else None

    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        gateway.refuse = picky
        gateway.answering.clear()
        for name in ("a", "b", "c"):
            await bench.ingress(name, f"{name}.test", "svc", appendHeaders={"x-evil" if name == "b" else "x-good": "1"})
        gateway.answering.set()
        for name in ("a", "c"):
            await bench.ready(name)
        refused = await bench.until(KINGRESS, "b", lambda obj: condition(obj, "NetworkConfigured") is not None)
        assert not is_ready(refused)
        assert {"a.test", "c.test"} <= hosts(gateway, "public")
        assert "b.test" not in hosts(gateway, "public")


async def test_a_host_belongs_to_the_older_ingress(bench: Bench) -> None:
    await bench.ingress("a-first", "same.test", "svc")
    await bench.ready("a-first")
    await bench.ingress("b-second", "same.test", "other")
    stored = await bench.until(KINGRESS, "b-second", lambda obj: condition(obj, "LoadBalancerReady") is not None)
    found = condition(stored, "LoadBalancerReady")
    assert found is not None and found["reason"] == "DomainConflict"
    assert "same.test" in found["message"]


async def test_a_contested_host_goes_to_the_younger_ingress_when_the_older_one_is_gone(bench: Bench) -> None:
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await bench.ingress("a-first", "same.test", "svc")
        await bench.ready("a-first")
        await bench.ingress("b-second", "same.test", "other")
        await bench.until(KINGRESS, "b-second", lambda obj: condition(obj, "LoadBalancerReady") is not None)
        await bench.api.delete(KINGRESS, "a-first", "default")
        await bench.ready("b-second")
        assert b"default/other:80" in gateway.held[RDS]["public"]


async def test_a_refusal_is_told_once_however_much_happens_afterwards(bench: Bench) -> None:
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        gateway.refuse = lambda type_, body: "no" if type_ is RDS and b"x-evil" in body else None
        await bench.ingress("bad", "bad.test", "svc", appendHeaders={"x-evil": "1"})
        await bench.until(KINGRESS, "bad", lambda obj: condition(obj, "NetworkConfigured") is not None)
        for number in range(5):
            await bench.ingress(f"good-{number}", f"good-{number}.test", "svc")
            await bench.ready(f"good-{number}")
        events = (await bench.api.list(EVENT, "default")).items
        told = [event for event in events if event["reason"] == "ConfigurationRefused"]
        assert [event["count"] for event in told] == [1]


async def test_a_refused_cluster_is_told_to_who_leads_to_it_and_stops_nobody_else(bench: Bench) -> None:
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        gateway.refuse = lambda type_, body: "h2 is not welcome" if type_ is CDS and b"h2c" in body else None
        await bench.create(SERVICE, "h2c-back", {"ports": [{"name": "http", "port": 80}]})
        await bench.ingress("bad", "bad.test", "h2c-back")
        refused = await bench.until(KINGRESS, "bad", lambda obj: condition(obj, "NetworkConfigured") is not None)
        found = condition(refused, "NetworkConfigured")
        assert found is not None
        assert (found["status"], found["reason"]) == ("False", "ConfigurationRefused")
        assert "gateway-1: cds default/h2c-back:80: h2 is not welcome" in found["message"]
        await bench.ingress("good", "good.test", "svc")
        await bench.ready("good")
        events = (await bench.api.list(EVENT, "default")).items
        told = {e["involvedObject"]["kind"] for e in events if e["reason"] == "ConfigurationRefused"}
        assert told == {"Ingress", "Service"}
        gateway.refuse = lambda type_, body: None
        stored = copy.deepcopy(bench.stored(SERVICE, "h2c-back"))
        stored["spec"]["ports"][0]["name"] = "http2"
        await bench.api.replace(SERVICE, stored)
        await bench.ready("bad")


async def test_an_ingress_hears_of_its_certificates_going_and_coming_back(bench: Bench) -> None:
    data = {"tls.crt": TLS_FILES / "server.pem", "tls.key": TLS_FILES / "server.key"}
    encoded = {field: base64.b64encode(file.read_bytes()).decode() for field, file in data.items()}
    metadata = {"name": "cert", "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": encoded}
    await bench.api.create(SECRET, secret, "default")
    await bench.ingress("a", "a.apps.example.com", "svc")
    stored = await bench.ready("a")
    tls = [{"hosts": ["a.apps.example.com"], "secretName": "cert", "secretNamespace": "default"}]
    await bench.api.replace(KINGRESS, {**stored, "spec": {**stored["spec"], "tls": tls}})
    await bench.until(KINGRESS, "a", lambda obj: is_ready(obj) and "tls" in obj["spec"])
    await bench.api.delete(SECRET, "cert", "default")
    refused = await bench.until(KINGRESS, "a", lambda obj: not is_ready(obj))
    found = condition(refused, "NetworkConfigured")
    assert found is not None and "there is no Secret default/cert" in found["message"]
    await bench.api.create(SECRET, secret, "default")
    await bench.ready("a")
