"""What a function sends in its first moment, before its sidecar has routes: it waits for them and is not refused."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.core import Engine
from eventmesh.model.tracing import Traffic
from eventmesh.transport.driver import Driver
from eventmesh.transport.listeners import Listeners
from eventmesh.transport.netns import HostNetwork
from eventmesh.xds.resource_types import ResourceType
from tests.component.planes import ask, backend, proxy
from tests.component.processes import data_plane
from tests.component.scripted_control import ScriptedControl, ScriptedStream
from tests.waiting import WAIT_S

NO_CONTROL = "127.0.0.1:1"


def table(name: str, *hosts: object) -> dict[str, object]:
    return {"name": name, "virtual_hosts": list(hosts)}


def answering(text: str) -> dict[str, object]:
    direct = {"status": 200, "body": {"inline_string": text}}
    return {"name": text, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": direct}]}


async def wanted_tables(stream: ScriptedStream) -> set[str]:
    """Return the route tables that the client asks for."""
    while True:
        request = await stream.request()
        if request.type_url == ResourceType.ROUTE.value and request.subscribe:
            return set(request.subscribe)


async def test_a_request_sent_before_there_are_routes_is_answered_once_they_have_come(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    pod_ip = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
    env = {"USER_PORT": str(unused_tcp_port), "SERVING_POD": "pod-1", "SERVING_POD_IP": pod_ip}
    async with ScriptedControl().running() as control:
        file = tmp_path / "b.json"
        file.write_text(json.dumps(bootstrap("sidecar", "pod-1", f"{pod_ip}:0", control.target)))
        async with data_plane("sidecar", file, env=env) as sidecar:
            asking = asyncio.get_running_loop().create_task(
                ask(sidecar.addresses["outbound"], headers={"Host": "other.test"})
            )
            stream = await control.stream()
            assert await wanted_tables(stream) == {"local", "bolt", "dubbo"}
            assert not asking.done()
            tables = {"local": table("local", answering("routed")), "bolt": table("bolt"), "dubbo": table("dubbo")}
            await stream.send(ResourceType.ROUTE, "1", tables)
            async with asyncio.timeout(WAIT_S):
                reply = await asking
            assert (reply.status, reply.body) == (200, b"routed")


async def test_who_connects_to_a_held_listener_is_noticed_waits_and_is_served_after_its_release() -> None:
    async with backend() as upstream:
        engine = Engine(0)
        driver = Driver(engine, {}, SystemClock())
        listeners = Listeners(driver, HostNetwork())
        snapshot = proxy(upstream, traffic=Traffic.OUTBOUND)
        change = listeners.prepare(snapshot.listeners)
        engine.apply(snapshot.to_core(), 0.0)
        await listeners.commit(change)
        asking = asyncio.get_running_loop().create_task(ask(listeners.addresses()["edge"], "/held"))
        async with asyncio.timeout(WAIT_S):
            await listeners.somebody_waits()
        assert not asking.done()
        await listeners.release()
        assert (await asking).headers["x-path"] == "/held"
        listeners.close()
        await driver.stop()


async def test_a_held_listener_closes_without_ever_having_been_released() -> None:
    listeners = Listeners(Driver(Engine(0), {}, SystemClock()), HostNetwork())
    snapshot = proxy(NO_CONTROL, traffic=Traffic.OUTBOUND)
    await listeners.commit(listeners.prepare(snapshot.listeners))
    host, _, port = listeners.addresses()["edge"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(WAIT_S):
        await listeners.somebody_waits()
    listeners.close()
    # How a kernel ends what nobody has accepted.
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
