"""An unmodified Envoy as the gateway of a mesh: KIngresses in, requests through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmesh.kube.resources import KINGRESS
from eventmesh.kube.status import condition
from eventmesh.xds.control.ingress_hash import ingress_hash
from eventmesh.xds.control.messages import Role
from tests.peers.envoy_gateway import EnvoyGateway, envoy_gateway

pytestmark = pytest.mark.peer


@pytest.fixture(params=["GRPC", "DELTA_GRPC"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EnvoyGateway]:
    async with envoy_gateway(tmp_path, request.param) as made:
        yield made


async def test_once_ready_an_ingress_is_served_with_its_headers_and_its_hash(gateway: EnvoyGateway) -> None:
    created = await gateway.bench.ingress("hello", "hello.test", "a", appendHeaders={"X-Who": "mesh"})
    await gateway.bench.ready("hello")
    assert gateway.bench.control.acks.clients(Role.ENVOY) == 1
    status, seen = await gateway.get("public", "hello.test:8080", X_Who="client", K_Network_Hash="override")
    assert (status, seen["name"], seen["headers"]["x-who"]) == (200, "a", "mesh")
    assert seen["headers"]["k-network-hash"] == ingress_hash(created["spec"], "default", "hello")
    assert (await gateway.get("local", "a.default.svc.cluster.local"))[1]["name"] == "a"
    assert (await gateway.get("public", "a.default.svc.cluster.local"))[0] == 404


async def test_envoys_refusal_is_told_to_the_author_in_envoys_words(gateway: EnvoyGateway) -> None:
    await gateway.bench.ingress("good", "good.test", "a")
    await gateway.bench.ready("good")
    await gateway.bench.ingress("bad", "bad.test", "a", appendHeaders={":path": "/elsewhere"})

    def is_refused(obj: dict[str, Any]) -> bool:
        found = condition(obj, "NetworkConfigured")
        return found is not None and found.get("reason") == "ConfigurationRefused"

    refused = condition(await gateway.bench.until(KINGRESS, "bad", is_refused), "NetworkConfigured")
    assert refused is not None and refused["message"].startswith("envoy-1: ")
    await gateway.bench.ingress("later", "later.test", "a")
    await gateway.bench.ready("later")
    assert [(await gateway.get("public", f"{name}.test"))[0] for name in ("good", "later", "bad")] == [200, 200, 404]
