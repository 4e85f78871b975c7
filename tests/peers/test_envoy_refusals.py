"""A real Envoy refuses what control let pass: the author learns it in Envoy's words, and everybody else is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from eventmesh.kube.resources import ENDPOINT_SLICE, EVENT, KINGRESS, SERVICE
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import Bench
from tests.peers.backends import backend
from tests.peers.envoy import running_envoy

pytestmark = pytest.mark.peer


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, settings=Settings(public=("127.0.0.1", 0), local=("127.0.0.1", 0)))
    await bench.start()
    yield bench
    await bench.stop()


async def test_a_refused_ingress_is_told_in_envoys_words_and_its_last_good_form_keeps_serving(
    bench: Bench, tmp_path: Path
) -> None:
    async with backend("a") as (host, port), running_envoy(tmp_path, bench.port, "DELTA_GRPC") as envoy:
        await bench.create(SERVICE, "svc", {"ports": [{"name": "http", "port": 80}]})
        slice_ = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": "svc-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "svc"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        }
        await bench.api.create(ENDPOINT_SLICE, slice_, "default")
        await bench.ingress("mine", "mine.test", "svc")
        await bench.ready("mine")
        public = await envoy.port("public")
        good = bench.stored(KINGRESS, "mine")
        (path,) = good["spec"]["rules"][0]["http"]["paths"]
        # A legal KIngress; Envoy alone knows that this header is not to be set.
        bad_path = {**path, "appendHeaders": {":path": "/elsewhere"}}
        rule = {**good["spec"]["rules"][0], "http": {"paths": [bad_path]}}
        await bench.api.replace(KINGRESS, {**good, "spec": {"rules": [rule]}})
        refused = await bench.until(
            KINGRESS, "mine", lambda obj: (condition(obj, "NetworkConfigured") or {}).get("status") == "False"
        )
        assert not is_ready(refused)
        found = condition(refused, "NetworkConfigured")
        assert found is not None
        assert found["reason"] == "ConfigurationRefused"
        assert "envoy-1: " in found["message"] and "may not be modified" in found["message"]
        (event,) = [e for e in (await bench.api.list(EVENT, "default")).items if e["reason"] == "ConfigurationRefused"]
        assert event["involvedObject"]["name"] == "mine" and "may not be modified" in event["message"]
        await bench.ingress("other", "other.test", "svc")
        await bench.ready("other")
        async with aiohttp.ClientSession() as http:
            for name in ("mine.test", "other.test"):
                async with http.get(f"http://127.0.0.1:{public}/here", headers={"Host": name}) as response:
                    assert (response.status, (await response.json())["path"]) == (200, "/here")
        mended = bench.stored(KINGRESS, "mine")
        await bench.api.replace(KINGRESS, {**mended, "spec": good["spec"]})
        await bench.ready("mine")
