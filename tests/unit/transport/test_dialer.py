"""Names and times of outgoing connections."""

import asyncio
import socket

import pytest

from eventmesh.transport.address import InetAddress
from eventmesh.transport.dialer import MAX_NAMES, NAME_LIFETIME_S, Dialer
from eventmesh.transport.netns import HostNetwork
from tests.manual_clock import ManualClock


class Lookups:
    """Counts how often the loop is asked what a name means."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            self.asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


async def connect(dialer: Dialer, host: str, port: int) -> None:
    await dialer.dial(InetAddress(host, port), HostNetwork(), asyncio.Protocol, 5.0)


async def test_what_a_name_means_is_believed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lookups = ManualClock(), Lookups(monkeypatch)
    dialer = Dialer(clock)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        await connect(dialer, "a.example", port)
        await connect(dialer, "a.example", port)
        assert lookups.asked == ["a.example"]
        await clock.advance(NAME_LIFETIME_S + 0.1)
        await connect(dialer, "a.example", port)
        assert lookups.asked == ["a.example"] * 2
        await connect(dialer, "127.0.0.1", port)
        assert lookups.asked == ["a.example"] * 2


async def test_names_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    Lookups(monkeypatch)
    dialer = Dialer(ManualClock())
    for n in range(MAX_NAMES + 1):
        await dialer.resolve(InetAddress(f"{n}.example", 80))
    assert dialer.names_kept == 1


async def test_a_connection_that_is_not_answered_times_out() -> None:
    with socket.socket() as full:
        # A listening socket whose queue is full answers no further SYN.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(TimeoutError):
            await Dialer(ManualClock()).dial(InetAddress("127.0.0.1", port), HostNetwork(), asyncio.Protocol, 0.05)
        for filler in fillers:
            filler.close()
