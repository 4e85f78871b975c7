"""Readiness as sidecars tell it, over real datagram sockets, and namespaces in stock."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from eventmesh.cluster.runtime.networks import RESTOCK_AFTER_S, STOCK, NetworkStock
from eventmesh.cluster.runtime.notify import MAX_SOCKET_PATH_BYTES, NotifySockets
from eventmesh.cluster.runtime.process import ProcessLauncher
from tests.manual_clock import ManualClock


def tell(path: str, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text, path)


async def test_what_a_sidecar_tells_reaches_its_own_pod_in_order() -> None:
    sockets = NotifySockets()
    told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    paths = {}
    for uid in ("one", "two"):

        def remember(ready: bool, uid: str = uid) -> None:
            told.put_nowait((uid, ready))

        paths[uid] = sockets.open(uid, remember)
    tell(paths["one"], b"READY=1")
    assert await told.get() == ("one", True)
    tell(paths["two"], b"STATUS=warming up\nREADY=1\n")
    assert await told.get() == ("two", True)
    tell(paths["one"], b"READY=0")
    assert await told.get() == ("one", False)
    sockets.stop()


async def test_sockets_are_private_short_and_gone_afterwards() -> None:
    sockets = NotifySockets()
    path = Path(sockets.open("5b1c9c2e-5a0e-4b44-9f4e-3a6a8f1f6b11", lambda ready: None))
    assert len(bytes(path)) <= MAX_SOCKET_PATH_BYTES
    assert path.parent.stat().st_mode & 0o077 == 0
    sockets.close(path.name)
    assert not path.exists()
    sockets.stop()
    assert not path.parent.exists()


async def test_namespaces_are_in_stock_and_made_again_when_the_rush_is_over() -> None:
    launcher = ProcessLauncher.start()
    clock = ManualClock()
    stock = NetworkStock(launcher, clock)
    await stock.start()
    taken = [await stock.take() for _ in range(STOCK + 1)]
    assert len({network.number for network in taken}) == STOCK + 1
    await clock.advance(RESTOCK_AFTER_S)
    while stock.in_stock < STOCK:
        await asyncio.sleep(0.005)
    await stock.stop()
    await launcher.stop()


async def test_what_is_told_while_nobody_listens_reaches_the_next_runtime() -> None:
    first, second = NotifySockets(), NotifySockets()
    path = first.open("one", lambda ready: None)
    descriptor = first.descriptor("one")
    assert descriptor is not None
    kept = socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_DGRAM)
    # Nobody reads it: the loop has had no turn since.
    tell(path, b"READY=1")
    told: asyncio.Queue[bool] = asyncio.Queue()
    asyncio.get_running_loop().remove_reader(descriptor)
    assert second.adopt("one", kept, told.put_nowait) == path
    assert await told.get() is True
    second.close("one")
    assert not Path(path).exists()
    first.close("one")
    for sockets in (first, second):
        sockets.stop()
    assert not Path(path).parent.exists()
