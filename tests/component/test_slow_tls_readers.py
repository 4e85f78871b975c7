"""Clients that speak TLS and do not take their answers: memory is bounded as in clear text, and others are served."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.component.processes import DataPlaneProcess, data_plane, write_bootstrap
from tests.component.test_hostile_clients import ALLOWED_KIB
from tests.waiting import WAIT_S

ROUNDS = 200
BODIES = {b"/large": bytes(256 * 1024), b"/small": bytes(15_000)}
"""An answer that comes in many reads, and one that a read brings whole."""
WIDEST, DEFAULT, CLOSED = 2**31 - 1, 65_535, 0
"""Windows that a client opens for each of its streams."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def http2(streams: int, window: int, path: bytes = b"/large") -> bytes:
    """Return all that a client says who asks for so many answers."""
    settings = frame(4, 0, 0, b"\0\4" + window.to_bytes(4))
    whole = frame(8, 0, 0, (WIDEST - DEFAULT).to_bytes(4)) if window == WIDEST else b""
    block = b"\x82\x87\x04" + len(path).to_bytes() + path + b"\x01\x01a"
    asked = b"".join(frame(1, 5, 2 * number + 1, block) for number in range(streams))
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + whole + asked


GET = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """What each of a crowd says."""

    name: str
    said: bytes
    clients: int = 400
    requests: int = 1
    """How many of them reach the backend."""
    taken: int = 0
    """Bytes that each takes between two questions of the polite client."""

    some_are_cut: bool = False
    """Those that ask for ever more."""

    @property
    def alpn(self) -> str:
        return "h2" if self.said.startswith(b"PRI") else "http/1.1"


KINDS = (
    Kind("HTTP/1.1, nothing taken", GET),
    Kind("HTTP/1.1, little taken", GET, taken=64),
    Kind("HTTP/1.1, pipelined", GET * 10),
    Kind("HTTP/2, wide windows, nothing taken", http2(1, WIDEST)),
    Kind("HTTP/2, wide windows, little taken", http2(1, WIDEST), taken=64),
    Kind("HTTP/2, windows as they are", http2(1, DEFAULT)),
    Kind("HTTP/2, closed windows", http2(2, CLOSED), requests=2),
    Kind("HTTP/2, many streams, wide windows", http2(50, WIDEST), clients=16, requests=50),
    Kind(
        "HTTP/2, whole answers behind closed windows",
        http2(100, CLOSED, b"/small"),
        clients=60,
        requests=100,
        some_are_cut=True,
    ),
)


class Backend:
    """A server that hands each answer to the kernel in one piece, and counts those of a crowd."""

    def __init__(self) -> None:
        self.asked = 0
        self._answering: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=1024)
        try:
            yield "{}:{}".format(*server.sockets[0].getsockname())
        finally:
            server.close()
            await asyncio.gather(*(task for task in self._answering if task is not None))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answering.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1]
                self.asked += path in BODIES
                body = BODIES.get(path, b"polite")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        writer.close()


class Crowd:
    """Clients of one kind. They are plain sockets: asyncio's would read ahead."""

    def __init__(self, address: str, kind: Kind, stack: ExitStack, *, secure: bool) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host, int(port))
        self._kind = kind
        self._stack = stack
        self._secure = secure
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._context.set_alpn_protocols([kind.alpn])
        self.clients: list[socket.socket] = []
        self._cut: set[socket.socket] = set()

    @property
    def cut(self) -> int:
        """How many have been cut off."""
        self._cut.update(one for one in self.clients if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return len(self._cut)

    def join(self) -> None:
        """Have one more client say what its kind says."""
        plain = socket.socket()
        plain.settimeout(WAIT_S)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(self._place)
        client = self._stack.enter_context(self._sealed(plain) if self._secure else plain)
        client.sendall(self._kind.said)
        self.clients.append(client)

    def _sealed(self, plain: socket.socket) -> ssl.SSLSocket:
        client = self._context.wrap_socket(plain)
        assert client.selected_alpn_protocol() == self._kind.alpn
        return client


def take(client: socket.socket, count: int) -> None:
    """Take up to so many bytes from the kernel, sealed as they may be."""
    with suppress(BlockingIOError):
        socket.socket.recv(client, count, socket.MSG_DONTWAIT)


class Counting(Protocol):
    """A backend that counts who asks for one of `BODIES`."""

    asked: int

    def serving(self) -> AbstractAsyncContextManager[str]:
        """Serve until the block ends; give the address."""
        ...


@asynccontextmanager
async def gateway(directory: Path, upstream: str, *, secure: bool, http2: bool) -> AsyncIterator[DataPlaneProcess]:
    """Run a gateway that speaks HTTP/2 and HTTP/1.1, by ALPN if `secure`, and `http2` to the endpoint or not."""
    path = write_bootstrap(directory / "b.json", upstream, http2=http2)
    tree = json.loads(path.read_text())
    if secure:
        tree["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = _tls(directory)
    path.write_text(json.dumps(tree))
    async with data_plane("gateway", path) as process:
        yield process


def _tls(directory: Path) -> dict[str, object]:
    roots = directory / "roots"
    roots.mkdir()
    issued = OwnAuthority(RootFiles(roots), SystemClock()).issue(SpiffeId("cluster.local", "shop", "edge"))
    shown = {
        "certificate_chain": {"inline_string": issued.chain},
        "private_key": {"inline_string": issued.key},
    }
    return {
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [shown], "alpn_protocols": ["h2", "http/1.1"]},
        },
    }


async def cost_kib(kind: Kind, backend: Counting, directory: Path, *, secure: bool, http2: bool = False) -> int:
    """Return by how much a crowd has raised the most memory of a gateway, whose polite client is served meanwhile."""
    scheme = "https" if secure else "http"
    async with (
        asyncio.timeout(4 * WAIT_S),
        backend.serving() as upstream,
        gateway(directory, upstream, secure=secure, http2=http2) as process,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
    ):
        edge = process.addresses["edge"]

        async def polite() -> str:
            async with session.get(f"{scheme}://{edge}/", headers={"connection": "close"}) as response:
                return await response.text()

        assert await polite() == "polite"
        before = process.memory_kib("VmHWM")
        with ExitStack() as stack:
            crowd = Crowd(edge, kind, stack, secure=secure)
            for _ in range(kind.clients):
                wanted, cut = backend.asked + kind.requests, crowd.cut
                await asyncio.to_thread(crowd.join)
                # One after the other: never more at once than a cluster lets through (`max_requests`).
                while backend.asked < wanted and crowd.cut == cut:
                    await asyncio.sleep(0)
            for _ in range(ROUNDS):
                assert await polite() == "polite"
                for client in crowd.clients if kind.taken else ():
                    take(client, kind.taken)
            assert bool(crowd.cut) == kind.some_are_cut
            return process.memory_kib("VmHWM") - before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_readers_under_tls_that_take_nothing_cost_no_more_than_others_and_a_polite_client_is_served(
    kind: Kind, tmp_path: Path
) -> None:
    assert await cost_kib(kind, Backend(), tmp_path, secure=True) < ALLOWED_KIB
