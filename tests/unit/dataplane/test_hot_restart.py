"""What one process tells the next at the path of a hot restart, over real unix sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.figures import Figures
from eventmesh.dataplane.hot_restart import Offer, Predecessor, Successor
from eventmesh.dataplane.shared_limits import SharedLimits
from eventmesh.transport.address import InetAddress
from eventmesh.transport.channel import MAX_SOCKETS, Channel, Taker

COUNTED = Figures(b'{"counters": [["rq_total", {}, 3]], "gauges": [], "histograms": []}', (("bugs", 1),))
MORE = Figures(COUNTED.engine.replace(b"3", b"4"))


class Served:
    """A process that listens at some sockets and counts."""

    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets
        self.before: list[Figures] = []
        self.adopted: list[str] = []

    def listening_sockets(self) -> list[socket.socket]:
        return [one.dup() for one in self._sockets]

    async def adopt(self, address: str, connection: socket.socket) -> None:
        self.adopted.append(address)
        connection.close()

    async def hand_over(self, take: Taker, longest_s: float) -> object:
        raise AssertionError("whoever offers is asked by its owner, not by the offer")

    async def counted(self) -> Figures:
        return COUNTED

    def count_on(self, before: Figures) -> None:
        self.before.append(before)

    async def until_live(self) -> None:
        return


async def _find(path: Path) -> Predecessor:
    found = await Predecessor.find(str(path))
    assert found is not None
    return found


async def test_sockets_limits_counters_and_connections_go_to_the_successor(tmp_path: Path) -> None:
    path, tasks, limits = tmp_path / "s", TaskGroup("test"), SharedLimits.create()
    limits.memory()[7] = 42
    # One message does not take them all.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(MAX_SOCKETS + 2)]
    addresses = [InetAddress(*one.getsockname()) for one in sockets]
    offer = Offer(str(path), Served(*sockets), limits)
    successors: asyncio.Queue[Successor] = asyncio.Queue()

    async def accept() -> None:
        successors.put_nowait(await offer.accepted())

    tasks.spawn("accept", accept())
    found = await _find(path)
    for address in addresses:
        (one,) = found.inherited.at(address)
        one.close()
    assert found.limits is not None and found.limits.memory()[7] == 42
    served = Served()
    found.count_on(served)
    taking = tasks.spawn("take over", found.take_over(served))
    successor = await successors.get()
    connection, client = socket.socketpair()
    with connection, client:
        await successor.give("127.0.0.1:80", connection)
    await successor.tell_counted(MORE)
    successor.close()
    await taking
    assert served.adopted == ["127.0.0.1:80"]
    assert [json.loads(one.engine)["counters"][0][2] for one in served.before] == [3, 4]
    assert not any(found.inherited.at(address) for address in addresses), "what nobody asked for is closed"
    for one in sockets:
        one.close()
    found.limits.close()
    limits.close()
    await tasks.stop()


async def _take_over_from(said: bytes, served: Served, found: Predecessor, former: Channel) -> None:
    """Have `served` follow a process that says this and ends."""

    async def say() -> None:
        assert json.loads((await former.receive())[0]) == {"go": True}
        await former.send(said)
        former.close()

    await asyncio.gather(say(), found.take_over(served))


async def test_a_predecessor_that_knows_neither_limits_nor_counters_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.setblocking(False)

        async def greet() -> Channel:
            end, _ = await asyncio.get_running_loop().sock_accept(listening)
            former = Channel(end)
            await former.send(b'{"hot_restart": 1}')
            return former

        former, found = await asyncio.gather(greet(), _find(path))
    served = Served()
    found.count_on(served)
    await _take_over_from(b"{}", served, found, former)
    assert (found.limits, served.before) == (None, [])


@pytest.mark.parametrize("said", [b"hello", b"[]", b'{"go": false}'])
async def test_who_says_something_else_at_the_path_changes_nothing(said: bytes, tmp_path: Path) -> None:
    path, tasks, limits = tmp_path / "s", TaskGroup("test"), SharedLimits.create()
    offer = Offer(str(path), Served(), limits)
    successors: asyncio.Queue[Successor] = asyncio.Queue()

    async def accept() -> None:
        successors.put_nowait(await offer.accepted())

    tasks.spawn("accept", accept())
    stranger = await _find(path)
    await stranger._channel.send(said)
    stranger._channel.close()
    found = await _find(path)
    await asyncio.gather(found.take_over(Served()), _close(successors))
    limits.close()
    await tasks.stop()


async def _close(successors: asyncio.Queue[Successor]) -> None:
    (await successors.get()).close()


@pytest.mark.parametrize("said", [b"hello", b"[]", b'{"hot_restart": 1, "more": "many"}'])
async def test_who_offers_something_else_is_not_followed(said: bytes, tmp_path: Path) -> None:
    async def stranger(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(len(said).to_bytes(4, "big") + said)
        writer.close()

    async with await asyncio.start_unix_server(stranger, tmp_path / "s"):
        with pytest.raises(UnavailableError, match="does not hand over"):
            await Predecessor.find(str(tmp_path / "s"))


async def test_counters_that_cannot_be_understood_are_passed_over() -> None:
    one, other = socket.socketpair()
    served = Served()
    said = b'{"counted": {"engine": {"of": "another version"}, "own": {}}}'
    await _take_over_from(said, served, Predecessor(Channel(one)), Channel(other))
    assert served.before == []
