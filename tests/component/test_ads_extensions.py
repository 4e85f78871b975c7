"""`AdsClient` and filters that are sent by name, on real gRPC: what it asks, when it acknowledges, what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.model.policy import Filters
from eventmesh.xds.bootstrap import AdsConfig, Node
from eventmesh.xds.client.ads import AdsClient, Refused
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.types import type_of_url
from tests.component.control_way import CLUSTER, calls_to
from tests.component.scripted_control import ScriptedControl, ScriptedStream
from tests.component.test_ads_client import Proxy, both_variants
from tests.manual_clock import ManualClock
from tests.unit.xds.test_discovered_filters import discovery
from tests.unit.xds.test_http_filters import ROUTER, TYPES

LDS, ECDS = ResourceType.LISTENER, ResourceType.EXTENSION
FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"


def _fields(kind: ResourceType, document: dict[str, Any]) -> dict[str, object]:
    return dict(read_document(type_of_url(kind.value), document, "", []).fields)


def _listener(**fields: Any) -> dict[str, dict[str, object]]:
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "t", "virtual_hosts": []},
        "http_filters": [{"name": "faults", "config_discovery": discovery(FAULT, **fields)}, ROUTER],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 80}}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"in": _fields(LDS, {"name": "in", "address": address, "filter_chains": [chain]})}


def _config(status: int) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{FAULT}", "abort": {"http_status": status, "percentage": {"numerator": 100}}}


def _fault(status: int) -> dict[str, dict[str, object]]:
    return {"faults": _fields(ECDS, {"name": "faults", "typed_config": _config(status)})}


def _faults(proxy: Proxy) -> list[int | None]:
    """Return the status that each listener in force answers with."""
    found = (listener.filters or Filters() for listener in proxy.current.listeners)
    return [filters.fault.abort_status if filters.fault and not filters.access else None for filters in found]


@asynccontextmanager
async def _client(
    proxy: Proxy, *, delta: bool, clock: Clock | None = None, refused: Refused | None = None
) -> AsyncIterator[ScriptedStream]:
    """Run a client; yield its stream."""
    config = AdsConfig(CLUSTER, delta, listeners=True, clusters=False, node_on_first_message_only=True)
    tasks = TaskGroup("test")
    async with ScriptedControl().running() as control, calls_to(control.target, config) as calls:
        client = AdsClient(config, Node("edge-1", "edge", {}), proxy.apply, calls, clock=clock, refused=refused)
        tasks.spawn("ads", client.run())
        try:
            stream = await control.stream()
            await stream.requests(LDS)
            yield stream
        finally:
            await tasks.stop()


@both_variants
async def test_a_named_filter_is_asked_for_awaited_applied_and_acknowledged(delta: bool) -> None:
    proxy = Proxy()
    async with _client(proxy, delta=delta) as stream:
        await stream.send(LDS, "l1", _listener())
        asked = (await stream.requests(LDS, ECDS))[ECDS]
        assert (asked.names or asked.subscribe) == ("faults",)
        assert proxy.current.listeners == ()
        await stream.send(ECDS, "e1", _fault(500))
        said = await stream.request()
        assert (said.nonce, said.error, _faults(proxy)) == ("e1", None, [500])


@both_variants
async def test_a_filter_changes_without_its_listener_and_is_in_force_when_acknowledged(delta: bool) -> None:
    proxy = Proxy()
    async with _client(proxy, delta=delta) as stream:
        await stream.send(LDS, "l1", _listener())
        await stream.requests(LDS, ECDS)
        for number in range(5):
            await stream.send(ECDS, f"e{number}", _fault(500 + number), version=str(number))
            said = await stream.request()
            assert (said.nonce, said.error, _faults(proxy)) == (f"e{number}", None, [500 + number])


@both_variants
async def test_a_filter_that_cannot_be_is_refused_by_its_name_and_the_former_stays(delta: bool) -> None:
    proxy = Proxy()
    async with _client(proxy, delta=delta) as stream:
        await stream.send(LDS, "l1", _listener())
        await stream.requests(LDS, ECDS)
        await stream.send(ECDS, "e1", _fault(500))
        await stream.request()
        await stream.send(ECDS, "e2", _fault(99), version="2")
        said = await stream.request()
        words = "faults: typed_config.abort.http_status: 99 is out of range; accepted are 200 to 599"
        assert (said.nonce, said.error, _faults(proxy)) == ("e2", words, [500])
        other = {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}
        await stream.send(ECDS, "e3", {"faults": _fields(ECDS, {"name": "faults", "typed_config": other})}, version="3")
        said = await stream.request()
        assert (said.nonce, _faults(proxy)) == ("e3", [500])
        assert said.error == (
            "faults: typed_config: is a envoy.extensions.filters.http.cors.v3.Cors; "
            f"the listener that names it accepts {FAULT}"
        )


@both_variants
async def test_what_the_data_plane_refuses_of_a_filter_is_refused_by_its_name(delta: bool) -> None:
    proxy = Proxy()
    async with _client(proxy, delta=delta) as stream:
        await stream.send(LDS, "l1", _listener())
        await stream.requests(LDS, ECDS)
        await stream.send(ECDS, "e1", _fault(500))
        await stream.request()
        proxy.refusal = UnavailableError("no such file")
        await stream.send(ECDS, "e2", _fault(501), version="2")
        said = await stream.request()
        assert (said.nonce, said.error, _faults(proxy)) == ("e2", "faults: no such file", [500])


@both_variants
async def test_a_filter_that_does_not_come_leaves_its_default(delta: bool) -> None:
    proxy, clock = Proxy(), ManualClock()
    async with _client(proxy, delta=delta, clock=clock) as stream:
        source = {"ads": {}, "initial_fetch_timeout": "2s"}
        await stream.send(LDS, "l1", _listener(config_source=source, default_config=_config(400)))
        await stream.requests(LDS, ECDS)
        assert proxy.current.listeners == ()
        await clock.advance(2.0)
        await proxy.next()
        assert _faults(proxy) == [400]
        await stream.send(ECDS, "e1", _fault(500))
        await stream.request()
        assert _faults(proxy) == [500]


async def test_a_filter_that_is_taken_back_leaves_its_default() -> None:
    proxy = Proxy()
    async with _client(proxy, delta=True) as stream:
        await stream.send(LDS, "l1", _listener(default_config=_config(400)))
        await stream.requests(LDS, ECDS)
        await stream.send(ECDS, "e1", _fault(500))
        await stream.request()
        await stream.send(ECDS, "e2", {}, version="2", removed=("faults",))
        said = await stream.request()
        assert (said.nonce, said.error, _faults(proxy)) == ("e2", None, [400])


@both_variants
async def test_a_listener_without_the_filter_asks_for_it_no_more(delta: bool) -> None:
    proxy = Proxy()
    async with _client(proxy, delta=delta) as stream:
        await stream.send(LDS, "l1", _listener())
        await stream.requests(LDS, ECDS)
        await stream.send(ECDS, "e1", _fault(500))
        await stream.request()
        await stream.send(LDS, "l2", {}, version="2", removed=("in",))
        said = await stream.requests(LDS, ECDS)
        assert (said[ECDS].unsubscribe, said[ECDS].names) == (("faults",) if delta else (), ())


async def test_a_default_that_needs_no_waiting_serves_before_anything_is_sent() -> None:
    proxy = Proxy()
    async with _client(proxy, delta=True) as stream:
        fields = {"default_config": _config(400), "apply_default_config_without_warming": True}
        await stream.send(LDS, "l1", _listener(**fields))
        await stream.requests(LDS, ECDS)
        assert _faults(proxy) == [400]


class _Told:
    """What a client has told of listeners: those refused, and those that wait."""

    def __init__(self) -> None:
        self.last: tuple[set[str], set[str]] | None = None

    async def __call__(self, names: frozenset[str], waiting: frozenset[str]) -> None:
        self.last = set(names), set(waiting)


@both_variants
async def test_which_listeners_are_refused_is_told_before_the_server_hears_it(delta: bool) -> None:
    proxy, told = Proxy(), _Told()
    async with _client(proxy, delta=delta, refused=told) as stream:
        proxy.refusal = UnavailableError("listener in: 127.0.0.1:80 is taken")
        await stream.send(LDS, "l1", _listener(apply_default_config_without_warming=True, default_config=_config(500)))
        assert (await stream.request()).error and told.last == ({"in"}, set())
        proxy.refusal = None
        await stream.send(LDS, "l2", {}, version="2")
        # In delta nothing has been said of it since.
        assert (await stream.request()).error is None and told.last == ({"in"} if delta else set(), set())
        await stream.send(LDS, "l3", {}, version="3", removed=("in",))
        assert (await stream.request()).error is None and told.last == (set(), set())


async def test_a_listener_that_has_waited_in_vain_and_cannot_be_applied_is_told_as_refused() -> None:
    proxy, told, clock = Proxy(), _Told(), ManualClock()
    async with _client(proxy, delta=True, clock=clock, refused=told) as stream:
        await stream.send(LDS, "l1", _listener())
        await stream.requests(LDS, ECDS)
        assert told.last == (set(), {"in"})
        proxy.refusal = UnavailableError("listener in: 127.0.0.1:80 is taken")
        await clock.advance(15.0)
        assert told.last == ({"in"}, {"in"})
