"""A disk that is full: senders are told to come back, nothing that was accepted is lost, and it goes on by itself."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import aiohttp

from tests.mesh.broker_mesh import Activator, BrokerMesh, Subscriber, broker_mesh, event_headers

SENDERS = 8
KIB = 1024


def limit_files(activator: Activator, size: int) -> None:
    """Let no file of the activator grow beyond `size`: what a full disk does to it, without filling one."""
    resource.prlimit(activator.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def send_until_refused(session: aiohttp.ClientSession, broker: str, sender: int) -> list[str]:
    """Return the ids of the events that were accepted before one was refused as it should be."""
    accepted: list[str] = []
    while True:
        event_id = f"e{sender}-{len(accepted)}"
        url, headers = f"http://{broker}/default/shop", event_headers(event_id)
        async with session.post(url, data=b"x" * 20 * KIB, headers=headers) as response:
            if response.status == 202:
                accepted.append(event_id)
                continue
            assert (response.status, response.headers["retry-after"]) == (503, "1")
            assert "could not be stored" in await response.text()
            return accepted


async def until_accepted(session: aiohttp.ClientSession, broker: str, event_id: str) -> None:
    while True:
        url = f"http://{broker}/default/shop"
        async with session.post(url, data=b"{}", headers=event_headers(event_id)) as response:
            if response.status == 202:
                return
            assert response.status == 503


async def test_a_full_disk_refuses_events_and_loses_none_even_if_the_activator_then_dies(tmp_path: Path) -> None:
    subscriber = Subscriber()
    async with broker_mesh(tmp_path) as mesh, subscriber.listening(), aiohttp.ClientSession() as session:
        await mesh.trigger("all", subscriber.url)
        activator = await mesh.start_activator()
        await activator.delivering("all")
        limit_files(activator, _log_size(mesh) + 500 * KIB)
        rounds = (send_until_refused(session, activator.broker, sender) for sender in range(SENDERS))
        accepted = {event_id for ids in await asyncio.gather(*rounds) for event_id in ids}
        assert accepted

        limit_files(activator, resource.RLIM_INFINITY)
        await until_accepted(session, activator.broker, "room-again")
        await subscriber.until(lambda: accepted | {"room-again"} <= subscriber.ids())

        limit_files(activator, _log_size(mesh) + 500 * KIB)
        rounds = (send_until_refused(session, activator.broker, sender) for sender in range(SENDERS, 2 * SENDERS))
        accepted |= {event_id for ids in await asyncio.gather(*rounds) for event_id in ids}
        await activator.kill()
        await mesh.start_activator()
        await subscriber.until(lambda: accepted <= subscriber.ids())


def _log_size(mesh: BrokerMesh) -> int:
    return (mesh.data_dir / "events.db-wal").stat().st_size
