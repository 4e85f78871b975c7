"""An Envoy beside a workload, with a listener of its own, obeys the mesh's policies of access by filters by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.xds.control.access.by_name import NAMES
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.types import type_of_url
from tests.component.processes import data_plane
from tests.component.scripted_control import ScriptedControl, ScriptedStream
from tests.peers.envoy import bootstrap, envoy_on
from tests.peers.pairs import TYPES
from tests.peers.test_envoy_ads import VARIANTS
from tests.peers.test_envoy_on_demand import Control
from tests.tokens import token
from tests.unit.xds.control.test_access import policy, tokens
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

KINDS = {"jwt": "jwt_authn.v3.JwtAuthentication", "deny": "rbac.v3.RBAC", "allow": "rbac.v3.RBAC"}


def named(name: str, *kinds: str) -> Object:
    """Return a filter whose configuration is sent by name and may be of these types."""
    by_ads = {"ads": {}, "resource_api_version": "V3"}
    types = [f"{TYPES}.filters.http.{kind}" for kind in kinds]
    return {"name": name, "config_discovery": {"config_source": by_ads, "type_urls": types}}


def listening(name: str, *filters: Object) -> Object:
    """Return a listener that answers every request by 200 once these filters have let it pass."""
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [*filters, router],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def told_of_filters(ads_port: int, variant: str, *listeners: Object) -> Object:
    """Return the bootstrap of a proxy that has these listeners, and asks control for nothing but their filters."""
    config = bootstrap(ads_port, variant)
    del config["dynamic_resources"]["lds_config"], config["dynamic_resources"]["cds_config"]
    config["static_resources"]["listeners"] = list(listeners)
    return config


def beside_a_workload(ads_port: int, variant: str) -> Object:
    """Return the bootstrap of an Envoy whose listener names the three filters, and asks control for nothing else."""
    inbound = listening("inbound", *(named(name, KINDS[name]) for name in NAMES))
    config = told_of_filters(ads_port, variant, inbound)
    config["node"]["metadata"] = {"role": "sidecar", "namespace": "ns", "labels": {"app": "cart"}}
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


FAULT, RBAC, CORS = "fault.v3.HTTPFault", "rbac.v3.RBAC", "cors.v3.Cors"


def _fault(status: int) -> Object:
    share = {"numerator": 100}
    return {"@type": f"{TYPES}.filters.http.{FAULT}", "abort": {"http_status": status, "percentage": share}}


DENYING: Object = {
    "@type": f"{TYPES}.filters.http.{RBAC}",
    "rules": {"action": "DENY", "policies": {"all": {"permissions": [{"any": True}], "principals": [{"any": True}]}}},
}
IDLE: Object = {"@type": f"{TYPES}.filters.http.{CORS}"}


class Told:
    """A proxy that is told of one filter, `told`, and what it answers at each of its listeners."""

    def __init__(self, stream: ScriptedStream, ports: dict[str, int], http: aiohttp.ClientSession) -> None:
        self._stream = stream
        self._ports = ports
        self._http = http
        self._sent = 0

    async def takes(self, config: Object) -> bool:
        """Send this configuration; tell whether it is acknowledged."""
        self._sent += 1
        kind, nonce = ResourceType.EXTENSION, f"e{self._sent}"
        fields = dict(read_document(type_of_url(kind.value), {"name": "told", "typed_config": config}, "", []).fields)
        await self._stream.send(kind, nonce, {"told": fields}, version=str(self._sent))
        while (said := await self._stream.request()).nonce != nonce:
            pass
        return said.error is None

    async def ask(self) -> dict[str, int]:
        """Return the status by which each listener answers."""
        return {name: await self._status(port) for name, port in self._ports.items()}

    async def _status(self, port: int) -> int:
        async with self._http.get(f"http://127.0.0.1:{port}/") as response:
            return response.status


@asynccontextmanager
async def told(proxy: str, variant: str, directory: Path, first: Object, *listeners: Object) -> AsyncIterator[Told]:
    """Run the proxy, `envoy` or `mesh`, under a control plane that does as it is told; `first` is what it begins by."""
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(ScriptedControl().running())
        file = directory / "bootstrap.json"
        file.write_text(json.dumps(told_of_filters(int(control.target.rpartition(":")[2]), variant, *listeners)))
        names = [str(one["name"]) for one in listeners]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ports: dict[str, int] = {}
        if proxy == "envoy":
            envoy = await stack.enter_async_context(envoy_on(file))
            running = Told(await control.stream(), ports, http)
            assert await running.takes(first)
            ports |= {name: await envoy.port(name) for name in names}
            async with asyncio.timeout(WAIT_S):
                while await envoy.counter("listener_manager.workers_started") != 1:
                    await asyncio.sleep(0.01)
        else:
            plane = await stack.enter_async_context(data_plane("gateway", file))
            running = Told(await control.stream(), ports, http)
            assert await running.takes(first)
            for _ in names:
                said = await plane.hear("listening")
                ports[said["listener"]] = int(said["address"].rpartition(":")[2])
        yield running


BOTH = pytest.mark.parametrize("proxy", ["envoy", "mesh"])


@BOTH
@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_filter_becomes_of_any_type_that_its_listener_accepts_while_that_serves(
    proxy: str, variant: str, tmp_path: Path
) -> None:
    async with told(proxy, variant, tmp_path, _fault(418), listening("in", named("told", FAULT, RBAC))) as running:
        assert await running.ask() == {"in": 418}
        changes: list[tuple[Any, int]] = [(DENYING, 403), (_fault(503), 503), (DENYING, 403), (_fault(404), 404)]
        for config, status in changes:
            assert await running.takes(config)
            assert await running.ask() == {"in": status}
        # A type that the listener does not accept is refused, and the former configuration stays.
        assert not await running.takes(IDLE)
        assert await running.ask() == {"in": 404}
        assert await running.takes(DENYING)
        assert await running.ask() == {"in": 403}


@BOTH
@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_type_that_one_of_two_listeners_does_not_accept_is_refused_for_both(
    proxy: str, variant: str, tmp_path: Path
) -> None:
    listeners = listening("both", named("told", FAULT, RBAC)), listening("one", named("told", FAULT))
    async with told(proxy, variant, tmp_path, _fault(418), *listeners) as running:
        assert not await running.takes(DENYING)
        assert await running.ask() == {"both": 418, "one": 418}
        assert await running.takes(_fault(503))
        assert await running.ask() == {"both": 503, "one": 503}
