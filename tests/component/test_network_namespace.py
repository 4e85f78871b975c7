"""Sockets in another network namespace than the process: a pod's, seen from its sidecar."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventmesh.base import linux
from eventmesh.base.errors import UnavailableError
from eventmesh.dataplane.plane import Networks
from eventmesh.model.tracing import Traffic
from eventmesh.transport.address import InetAddress
from eventmesh.transport.dialer import accepts
from eventmesh.transport.netns import HostNetwork, NetworkNamespace
from tests.component.planes import ask, proxy, running

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\npod"


@pytest.fixture
def namespace() -> Iterator[str]:
    """The file of a new network namespace with a loopback and nothing else."""
    fd = linux.new_network()
    yield f"/proc/{os.getpid()}/fd/{fd}"
    os.close(fd)


def listen_inside(path: str) -> socket.socket:
    with closing(NetworkNamespace(path)) as inside:
        listening = inside.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(True)
        return listening


def answer_one(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(ANSWER)


async def test_a_cluster_is_dialled_inside_the_namespace_it_is_placed_in(namespace: str) -> None:
    with listen_inside(namespace) as listening, closing(NetworkNamespace(namespace)) as inside:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=answer_one, args=(listening,), daemon=True)
        thread.start()
        async with running(proxy(address), networks=Networks(clusters={"backend": inside})) as plane:
            assert (await ask(plane.addresses()["edge"])).body == b"pod"
        thread.join()


async def test_the_same_address_outside_is_somebody_elses(namespace: str) -> None:
    with listen_inside(namespace) as listening, closing(NetworkNamespace(namespace)) as inside:
        address = InetAddress("127.0.0.1", listening.getsockname()[1])
        assert await accepts(address, inside, 5)
        assert not await accepts(address, HostNetwork(), 5)


async def test_a_listener_is_reached_only_from_the_namespace_it_is_placed_in(namespace: str) -> None:
    with closing(NetworkNamespace(namespace)) as inside:
        async with running(proxy("127.0.0.1:1", traffic=Traffic.OUTBOUND), networks=Networks(outbound=inside)) as plane:
            await plane.release()
            host, _, port = plane.addresses()["edge"].rpartition(":")
            assert await accepts(InetAddress(host, int(port)), inside, 5)
            assert not await accepts(InetAddress(host, int(port)), HostNetwork(), 5)


async def test_a_namespace_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="nowhere"):
        NetworkNamespace(str(tmp_path / "nowhere"))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UnavailableError, match="file"):
        NetworkNamespace(str(file))


async def test_nothing_is_left_running_when_a_namespace_is_closed(namespace: str) -> None:
    before = threading.active_count()
    inside = NetworkNamespace(namespace)
    assert threading.active_count() == before + 1
    inside.close()
    assert threading.active_count() == before
    await asyncio.sleep(0)
