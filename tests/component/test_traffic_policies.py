"""TrafficPolicy objects: what is told of them, and that a gateway obeys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import SERVICE, TRAFFIC_POLICY
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.admission import CONTROL_ADMISSIONS
from eventmesh.xds.control.services import Settings
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import connected
from tests.component.control_bench import Bench
from tests.component.planes import ask, backend
from tests.component.processes import data_plane
from tests.component.test_scope_at_work import create_service
from tests.mesh.test_control_away import answered

RDS = ResourceType.ROUTE
TARGET = [{"group": "", "kind": "Service", "name": "svc"}]
RETRY = {"retry": {"attempts": 2, "codes": [503], "backoff": "1ms"}}


@pytest_asyncio.fixture
async def bench(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Bench]:
    public, local = unused_tcp_port_factory(), unused_tcp_port_factory()
    bench = Bench(tmp_path, settings=Settings(public=("127.0.0.1", public), local=("127.0.0.1", local)))
    bench.embedded.admission.register(TRAFFIC_POLICY, CONTROL_ADMISSIONS[TRAFFIC_POLICY])
    await bench.start()
    yield bench
    await bench.stop()


async def apply(bench: Bench, name: str, **spec: Any) -> Object:
    return await bench.create(TRAFFIC_POLICY, name, {"targetRefs": TARGET, **spec})


def said(kind: str, status: str, reason: str) -> Callable[[Object], bool]:
    """Return what holds once the object has that condition, of its newest form."""

    def holds(obj: Object) -> bool:
        found = condition(obj, kind) or {}
        current = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
        return current and (found.get("status"), found.get("reason")) == (status, reason)

    return holds


async def test_a_policy_is_ready_once_a_gateway_obeys_it(bench: Bench) -> None:
    await bench.create(SERVICE, "svc", {"ports": [{"name": "http", "port": 80}]})
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "local" in gateway.held[RDS])
        gateway.withheld = frozenset((RDS,))
        gateway.answering.clear()
        await apply(bench, "p", **RETRY)
        await bench.until(TRAFFIC_POLICY, "p", said("Programmed", "Unknown", "AwaitingAcknowledgement"))
        gateway.answering.set()
        await bench.until(TRAFFIC_POLICY, "p", is_ready)
        assert b"connect-failure" in gateway.held[RDS]["local"]


async def test_a_policy_without_its_target_says_so_until_there_is_one(bench: Bench) -> None:
    await apply(bench, "early", **RETRY)
    missing = await bench.until(TRAFFIC_POLICY, "early", said("Accepted", "False", "TargetNotFound"))
    found = condition(missing, "Accepted")
    assert found is not None and "core Service svc in namespace default" in found["message"]
    await bench.create(SERVICE, "svc", {"ports": [{"name": "http", "port": 80}]})
    await bench.until(TRAFFIC_POLICY, "early", is_ready)


async def test_the_younger_of_two_policies_waits_for_the_older_one_to_go(bench: Bench) -> None:
    await bench.create(SERVICE, "svc", {"ports": [{"name": "http", "port": 80}]})
    await apply(bench, "a-first", timeouts={"request": "1s"})
    await bench.until(TRAFFIC_POLICY, "a-first", is_ready)
    await apply(bench, "b-second", timeouts={"request": "2s"})
    lost = await bench.until(TRAFFIC_POLICY, "b-second", said("Accepted", "False", "Conflicted"))
    found = condition(lost, "Accepted")
    assert found is not None and "older policy a-first" in found["message"]
    await bench.api.delete(TRAFFIC_POLICY, "a-first", "default")
    await bench.until(TRAFFIC_POLICY, "b-second", is_ready)


async def test_a_refused_policy_is_told_and_everything_else_goes_on_without_it(bench: Bench) -> None:
    def picky(type_: ResourceType, body: bytes) -> str | None:
        return "no retries here" if type_ is RDS and b"connect-failure" in body else None

    await bench.create(SERVICE, "svc", {"ports": [{"name": "http", "port": 80}]})
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await bench.ingress("a", "a.test", "svc")
        await bench.ready("a")
        gateway.refuse = picky
        await apply(bench, "p", **RETRY)
        refused = await bench.until(TRAFFIC_POLICY, "p", said("Programmed", "False", "ConfigurationRefused"))
        found = condition(refused, "Programmed")
        assert found is not None and "gateway-1: no retries here" in found["message"]
        await bench.ingress("b", "b.test", "svc")
        await bench.ready("b")
        await bench.ready("a")
        for table in ("public", "local"):
            assert b"b.test" in gateway.held[RDS][table] and b"connect-failure" not in gateway.held[RDS][table]
        mended = {**bench.stored(TRAFFIC_POLICY, "p"), "spec": {"targetRefs": TARGET, "timeouts": {"request": "7s"}}}
        await bench.api.replace(TRAFFIC_POLICY, mended)
        await bench.until(TRAFFIC_POLICY, "p", is_ready)


async def test_of_several_new_policies_only_the_refused_one_stays_out(bench: Bench) -> None:
    for name in ("svc", "good"):
        await bench.create(SERVICE, name, {"ports": [{"name": "http", "port": 80}]})
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "local" in gateway.held[RDS])
        gateway.refuse = lambda type_, body: "no" if type_ is RDS and b"connect-failure" in body else None
        gateway.answering.clear()
        await apply(bench, "bad", **RETRY)
        target = [{"group": "", "kind": "Service", "name": "good"}]
        await bench.create(TRAFFIC_POLICY, "good", {"targetRefs": target, "timeouts": {"request": "3s"}})
        gateway.answering.set()
        await bench.until(TRAFFIC_POLICY, "bad", said("Programmed", "False", "ConfigurationRefused"))
        await bench.until(TRAFFIC_POLICY, "good", is_ready)


async def test_a_policy_that_cannot_be_read_is_refused_at_admission_with_every_wrong_field(bench: Bench) -> None:
    with pytest.raises(ApiError) as refused:
        await apply(bench, "wrong", retry={"attempts": 2, "on": ["always"]}, timeouts={"request": "5"})
    assert "spec.retry.on[0]" in str(refused.value) and "spec.timeouts.request" in str(refused.value)


async def test_a_gateway_tries_again_and_gives_up_in_time_as_the_policy_says(bench: Bench, tmp_path: Path) -> None:
    asked: list[str] = []

    async def flaky(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/slow":
            await asyncio.sleep(60)
        return web.Response(status=503 if request.path == "/flaky" and asked.count("/flaky") < 3 else 200)

    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(bootstrap("gateway", "gw", "127.0.0.1:0", f"127.0.0.1:{bench.port}")))
    assert bench.settings is not None
    public = "{}:{}".format(*bench.settings.public)
    async with backend(flaky) as upstream, data_plane("gateway", file):
        await create_service(bench, "default", "svc", upstream)
        await bench.ingress("a", "a.test", "svc")
        await answered(public, "a.test")
        assert (await ask(public, "/flaky", headers={"Host": "a.test"})).status == 503
        asked.clear()
        await apply(bench, "p", **RETRY, timeouts={"request": "300ms"})
        await bench.until(TRAFFIC_POLICY, "p", is_ready)
        assert (await ask(public, "/flaky", headers={"Host": "a.test"})).status == 200
        assert asked == ["/flaky"] * 3
        assert (await ask(public, "/slow", headers={"Host": "a.test"})).status == 504
