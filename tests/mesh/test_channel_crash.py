"""Channels and sources keep what they took, whenever the activator dies."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from aiohttp import web

from eventmesh.kube.resources import CHANNEL, PING_SOURCE, SUBSCRIPTION
from eventmesh.kube.status import is_ready
from tests.mesh.broker_mesh import BrokerMesh, Received, Subscriber, broker_mesh, event_headers

EVENTS = 40
SUBSCRIBERS = ("first", "second")
PATIENT = {"retry": 100, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}


async def subscribe(mesh: BrokerMesh, name: str, subscriber: Subscriber) -> None:
    reference = {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "orders"}
    spec = {"channel": reference, "subscriber": {"uri": subscriber.url}, "delivery": PATIENT}
    await mesh.bench.create(SUBSCRIPTION, name, spec)
    await mesh.bench.until(SUBSCRIPTION, name, is_ready)


async def test_what_channels_and_clocks_have_taken_arrives_after_the_activator_died(tmp_path: Path) -> None:
    closed = True

    def answer(event: Received) -> web.Response | None:
        return web.Response(status=503) if closed else None

    async with broker_mesh(tmp_path) as mesh, aiohttp.ClientSession() as session:
        first, second, ticks = Subscriber(answer), Subscriber(answer), Subscriber()
        async with first.listening(), second.listening(), ticks.listening():
            activator = await mesh.start_activator()
            await mesh.bench.create(CHANNEL, "orders", {})
            await mesh.bench.create(PING_SOURCE, "clock", {"schedule": "* * * * * *", "sink": {"uri": ticks.url}})
            await mesh.bench.until(CHANNEL, "orders", is_ready)
            for name, subscriber in zip(SUBSCRIBERS, (first, second), strict=True):
                await subscribe(mesh, name, subscriber)
            for number in range(EVENTS):
                headers = {**event_headers(str(number)), "host": "orders-kn-channel.default.svc.cluster.local"}
                async with session.post(f"http://{activator.broker}/", data=b"{}", headers=headers) as response:
                    assert response.status == 202
            await first.until(lambda: first.refused > 0)
            await ticks.until(lambda: bool(ticks.got))
            await activator.kill()
            closed, before = False, len(ticks.ids())
            await mesh.start_activator()
            wanted = {str(number) for number in range(EVENTS)}
            await first.until(lambda: first.ids() == wanted)
            await second.until(lambda: second.ids() == wanted)
            await ticks.until(lambda: len(ticks.ids()) > before)
            # A tick that was delivered when the process died may come again, as the same event.
            assert len({event.attributes["time"] for event in ticks.got}) == len(ticks.ids())
