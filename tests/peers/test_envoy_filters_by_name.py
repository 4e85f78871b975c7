"""An Envoy beside a workload, with a listener of its own, obeys the mesh's policies of access by filters by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.xds.control.access.by_name import NAMES
from eventmesh.xds.control.acks import Nack
from tests.peers.envoy import bootstrap, envoy_on
from tests.peers.pairs import TYPES
from tests.peers.test_envoy_ads import VARIANTS
from tests.peers.test_envoy_on_demand import WAIT_S, Control
from tests.tokens import token
from tests.unit.xds.control.test_access import policy, tokens

pytestmark = pytest.mark.peer

KINDS = {"jwt": "jwt_authn.v3.JwtAuthentication", "deny": "rbac.v3.RBAC", "allow": "rbac.v3.RBAC"}


def beside_a_workload(ads_port: int, variant: str) -> Object:
    """Return the bootstrap of an Envoy whose listener names the three filters, and asks control for nothing else."""
    config = bootstrap(ads_port, variant)
    config["node"]["metadata"] = {"role": "sidecar", "namespace": "ns", "labels": {"app": "cart"}}
    del config["dynamic_resources"]["lds_config"], config["dynamic_resources"]["cds_config"]
    by_ads = {"ads": {}, "resource_api_version": "V3"}
    named = [
        {
            "name": name,
            "config_discovery": {"config_source": by_ads, "type_urls": [f"{TYPES}.filters.http.{KINDS[name]}"]},
        }
        for name in NAMES
    ]
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [*named, router],
    }
    listener = {
        "name": "inbound",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    config["static_resources"]["listeners"] = [listener]
    return config


class Workload:
    """What is asked through the Envoy."""

    def __init__(self, control: Control, port: int, http: aiohttp.ClientSession) -> None:
        self._control = control
        self._url = f"http://127.0.0.1:{port}"
        self._http = http

    async def ask(self, path: str, **headers: str) -> int:
        async with self._http.get(f"{self._url}{path}", headers=headers) as response:
            return response.status

    async def acknowledged(self) -> None:
        """Publish, and return once the Envoy has acknowledged it."""
        self._control.publish()
        ((audience, *_), (connection, *_)) = self._control.cache.audiences(), self._control.acks.connections()
        wanted = self._control.cache.current(audience).generation
        async with asyncio.timeout(WAIT_S):
            while connection.stream.acknowledged(frozenset()) < wanted:
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def control() -> AsyncIterator[Control]:
    control = Control()
    await control.start()
    control.publish()
    try:
        yield control
    finally:
        await control.server.stop()


@pytest.mark.parametrize("variant", VARIANTS)
async def test_policies_are_obeyed_as_they_change_without_a_listener_from_control(
    control: Control, variant: str, tmp_path: Path
) -> None:
    refusals: list[Nack] = []
    control.acks.listen(lambda: None, refusals.append)
    known, forged = ({"authorization": f"Bearer {token({'iss': 'i'}, name=key)}"} for key in ("", "other"))
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(beside_a_workload(control.port, variant)))
    async with AsyncExitStack() as stack:
        envoy = await stack.enter_async_context(envoy_on(file))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))
        workload = Workload(control, await envoy.port("inbound"), http)
        async with asyncio.timeout(WAIT_S):
            while await envoy.counter("listener_manager.workers_started") != 1:
                await asyncio.sleep(0.01)
        assert await workload.ask("/admin") == 200
        denying = policy("no-admin", action="DENY", rules=[{"to": [{"operation": {"paths": ["/admin"]}}]}])
        control.watcher.authorization(None, denying)
        await workload.acknowledged()
        assert (await workload.ask("/admin"), await workload.ask("/")) == (403, 200)
        other = policy("others", selector={"matchLabels": {"app": "till"}})
        control.watcher.authorization(None, other)
        control.publish()
        allowing = policy("known", rules=[{"when": [{"key": "request.headers[x-user]", "values": ["ann"]}]}])
        control.watcher.authorization(None, allowing)
        await workload.acknowledged()
        assert (await workload.ask("/"), await workload.ask("/", **{"x-user": "ann"})) == (403, 200)
        control.watcher.authorization(denying, None)
        control.watcher.authorization(allowing, None)
        await workload.acknowledged()
        assert await workload.ask("/admin") == 200
        believed = tokens()
        control.watcher.authentication(None, believed)
        await workload.acknowledged()
        assert [await workload.ask("/", **one) for one in ({}, known, forged)] == [200, 200, 401]
        # Whom only a service could let through is refused: this Envoy has no filter that would ask it.
        asking = policy(
            "asking", action="CUSTOM", provider={"name": "opa"}, rules=[{"to": [{"operation": {"paths": ["/ask"]}}]}]
        )
        control.watcher.authorization(None, asking)
        await workload.acknowledged()
        assert (await workload.ask("/ask"), await workload.ask("/")) == (403, 200)
    assert refusals == []
