"""What is wrong with a route becomes a condition on its object, with a reason and a message; its siblings go on."""

from __future__ import annotations

import base64
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.kube.resources import GATEWAY, HTTP_ROUTE, KINGRESS, SECRET, SERVERLESS_SERVICE, SERVICE
from eventmesh.kube.status import condition, is_ready
from tests.component.ads_client import RDS, AdsClient, connected
from tests.component.control_bench import Bench
from tests.component.test_control import hosts

TLS_FILES = Path(__file__).parents[1] / "vectors" / "tls"


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


@pytest_asyncio.fixture
async def gateway(bench: Bench) -> AsyncIterator[AdsClient]:
    """A gateway that takes everything, with a route that must go on."""
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        await bench.create(SERVICE, "good", {"ports": [{"name": "http", "port": 80}]})
        await bench.ingress("sibling", "sibling.test", "good")
        await bench.ready("sibling")
        yield gateway


def says(kind: str, status: str, reason: str, message: str) -> Any:
    """Return what holds of an object with such a condition."""

    def holds(obj: Object) -> bool:
        found = condition(obj, kind) or {}
        return (found.get("status"), found.get("reason")) == (status, reason) and message in found.get("message", "")

    return holds


async def siblings_go_on(bench: Bench, gateway: AdsClient) -> None:
    """A route from before is still there, and one that comes later is Ready."""
    await bench.ingress("later", "later.test", "good")
    await bench.ready("later")
    assert is_ready(bench.stored(KINGRESS, "sibling"))
    assert {"sibling.test", "later.test"} <= hosts(gateway, "public")


async def test_a_route_to_a_missing_service_says_so_until_the_service_is_there(
    bench: Bench, gateway: AdsClient
) -> None:
    await bench.ingress("bad", "bad.test", "nobody")
    missing = says("BackendMissing", "True", "ServiceNotFound", "there is no Service default/nobody")
    found = await bench.until(KINGRESS, "bad", missing)
    assert (condition(found, "BackendMissing") or {})["severity"] == "Info"
    assert is_ready(found), "the route is there, and becomes right by itself"
    await siblings_go_on(bench, gateway)
    assert condition(bench.stored(KINGRESS, "later"), "BackendMissing") is None

    await bench.create(SERVICE, "nobody", {"ports": [{"name": "http", "port": 8080}]})
    await bench.until(
        KINGRESS, "bad", says("BackendMissing", "True", "ServiceNotFound", "Service default/nobody has no port 80")
    )
    service = copy.deepcopy(bench.stored(SERVICE, "nobody"))
    service["spec"]["ports"][0]["port"] = 80
    await bench.api.replace(SERVICE, service)
    await bench.until(KINGRESS, "bad", lambda obj: condition(obj, "BackendMissing") is None and is_ready(obj))


async def test_a_revision_that_is_deleted_while_it_is_routed_is_named(bench: Bench, gateway: AdsClient) -> None:
    await bench.revision("rev", mode="Serve")
    await bench.pods("rev", "127.64.0.1")
    await bench.ingress("bad", "bad.test", "rev")
    await bench.until(KINGRESS, "bad", lambda obj: is_ready(obj) and condition(obj, "BackendMissing") is None)
    for resource, name in ((SERVERLESS_SERVICE, "rev"), (SERVICE, "rev"), (SERVICE, "rev-private")):
        await bench.api.delete(resource, name, "default")
    await bench.until(
        KINGRESS, "bad", says("BackendMissing", "True", "ServiceNotFound", "there is no Service default/rev")
    )
    await siblings_go_on(bench, gateway)


async def test_a_secret_without_a_key_is_told_to_who_names_it(bench: Bench, gateway: AdsClient) -> None:
    certificate = base64.b64encode((TLS_FILES / "server.pem").read_bytes()).decode()
    # The API lets no Secret of type kubernetes.io/tls in without the entry; it may be empty.
    secret = {
        "metadata": {"name": "cert", "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": certificate, "tls.key": ""},
    }
    await bench.api.create(SECRET, secret, "default")
    made = await bench.ingress("bad", "bad.test", "good")
    tls = [{"hosts": ["bad.test"], "secretName": "cert", "secretNamespace": "default"}]
    await bench.ready("bad")
    made = bench.stored(KINGRESS, "bad")
    await bench.api.replace(KINGRESS, {**made, "spec": {**made["spec"], "tls": tls}})
    await bench.until(
        KINGRESS, "bad", says("NetworkConfigured", "False", "InvalidIngress", "Secret default/cert: data['tls.key']")
    )
    await siblings_go_on(bench, gateway)


async def test_a_host_that_is_taken_is_told_with_its_owner(bench: Bench, gateway: AdsClient) -> None:
    await bench.ingress("stranger", "sibling.test", "good")
    message = "sibling.test is claimed by default/sibling, which is older"
    await bench.until(KINGRESS, "stranger", says("LoadBalancerReady", "False", "DomainConflict", message))
    await siblings_go_on(bench, gateway)


async def test_a_sum_of_weights_of_99_is_told_by_its_field(bench: Bench, gateway: AdsClient) -> None:
    split = {"serviceNamespace": "default", "serviceName": "good", "servicePort": 80}
    splits = [{**split, "percent": 50}, {**split, "percent": 49}]
    rule = {"hosts": ["bad.test"], "visibility": "ExternalIP", "http": {"paths": [{"splits": splits}]}}
    annotations = {"networking.knative.dev/ingress-class": "eventmesh.ingress.networking.knative.dev"}
    await bench.create(KINGRESS, "bad", {"rules": [rule]}, annotations=annotations)
    message = "spec.rules[0].http.paths[0].splits: percents add up to 99"
    await bench.until(KINGRESS, "bad", says("NetworkConfigured", "False", "InvalidIngress", message))
    await siblings_go_on(bench, gateway)
    assert "bad.test" not in hosts(gateway, "public")


@pytest.mark.parametrize("filter_", ["CORS", "ExtensionRef"])
async def test_an_unknown_filter_is_told_by_its_field(bench: Bench, gateway: AdsClient, filter_: str) -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    await bench.create(GATEWAY, "edge", {"gatewayClassName": "eventmesh", "listeners": [listener]})
    more = {"extensionRef": {"group": "x.test", "kind": "Thing", "name": "x"}} if filter_ == "ExtensionRef" else {}
    parents, backends = [{"name": "edge"}], [{"name": "good", "port": 80}]
    rules = [{"filters": [{"type": filter_, **more}], "backendRefs": backends}]
    await bench.create(HTTP_ROUTE, "bad", {"parentRefs": parents, "hostnames": ["bad.test"], "rules": rules})

    def is_told(obj: Object) -> bool:
        told = [one for parent in (obj.get("status") or {}).get("parents", ()) for one in parent["conditions"]]
        return any(
            (one["type"], one["status"], one["reason"]) == ("Accepted", "False", "UnsupportedValue")
            and "spec.rules[0].filters[0]" in one["message"]
            for one in told
        )

    await bench.until(HTTP_ROUTE, "bad", is_told)
    await siblings_go_on(bench, gateway)
    assert "bad.test" not in hosts(gateway, "public")
