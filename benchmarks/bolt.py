"""Bolt and a declared protocol through the sidecar, beside direct: pipelined frames, CPU of the proxy per message.

The rivals are in `bolt_rivals.py`. Both ends are this file: a server that echoes ids and a load that keeps a window of
frames in flight and checks every id that comes back.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

import yaml

from benchmarks.contenders import others
from benchmarks.measure import PROXY_CPU, Server, free_port

SERVICE = "com.example.BenchService:1.0"
CONTENT = b"x" * 100
DECLARATION = Path(__file__).parent.parent / "docs" / "protocols" / "declarations" / "motan2.yaml"
_CLASS = b"com.alipay.sofa.rpc.core.request.SofaRequest"
_REQUEST_HEAD = struct.Struct(">BBHBIBiHHi")
_RESPONSE_HEAD = struct.Struct(">BBHBIBHHHi")
_HEARTBEAT = _REQUEST_HEAD.pack(1, 1, 0, 0, 0, 0, 0, 0, 0, 0)[:4]
"""How a heartbeat begins: protocol 1, a request, command 0."""


@dataclass(frozen=True, slots=True)
class Frames:
    """One protocol: a request and a response whose ids are zero, and where the id is. All frames have one size."""

    request: bytes
    response: bytes
    id_at: int
    id: struct.Struct

    def numbered(self, frame: bytes, id_: bytes) -> bytes:
        """Return the frame with that id."""
        return frame[: self.id_at] + id_ + frame[self.id_at + self.id.size :]


def _bolt() -> Frames:
    texts = (b"service", SERVICE.encode())
    header = b"".join(struct.pack(">i", len(text)) + text for text in texts)
    head = _REQUEST_HEAD.pack(1, 1, 1, 1, 0, 12, 10_000, len(_CLASS), len(header), len(CONTENT))
    response = _RESPONSE_HEAD.pack(1, 0, 2, 1, 0, 12, 0, 0, 0, 100) + b"y" * 100
    return Frames(head + _CLASS + header + CONTENT, response, 5, struct.Struct(">I"))


def _motan2() -> Frames:
    """The same call by declaration: as many bytes, as many words to route by."""
    meta = f"M_p\n{SERVICE}\nM_m\ncall\n".encode()

    def frame(kind: int, meta: bytes, body: bytes) -> bytes:
        head = b"\xf1\xf1" + bytes([kind, 8, 6]) + bytes(8)
        return head + struct.pack(">I", len(meta)) + meta + struct.pack(">I", len(body)) + body

    return Frames(frame(2, meta, CONTENT), frame(1, b"", b"y" * 100), 5, struct.Struct(">Q"))


PROTOCOLS = {"bolt": _bolt(), "motan2": _motan2()}


class _Echo(asyncio.Protocol):
    """Answers every frame; all calls have one size, so that the server costs little.

    A heartbeat is answered too: MOSN sends one on a connection that is left alone for fifteen seconds.
    """

    def __init__(self, frames: Frames) -> None:
        self._size, self._id_at, self._id_end = len(frames.request), frames.id_at, frames.id_at + frames.id.size
        self._prefix, self._suffix = frames.response[: self._id_at], frames.response[self._id_end :]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        block = self._rest + data
        while len(block) >= _REQUEST_HEAD.size and block.startswith(_HEARTBEAT):
            (number,) = struct.unpack_from(">I", block, 5)
            self._transport.write(_RESPONSE_HEAD.pack(1, 0, 0, 1, number, 1, 0, 0, 0, 0))
            block = block[_REQUEST_HEAD.size :]
        whole = len(block) - len(block) % self._size
        ids = (block[at + self._id_at : at + self._id_end] for at in range(0, whole, self._size))
        self._rest = block[whole:]
        self._transport.write(b"".join(self._prefix + id_ + self._suffix for id_ in ids))


class _Caller(asyncio.Protocol):
    """Keeps `window` calls in flight on one connection until told to stop."""

    def __init__(self, frames: Frames, window: int) -> None:
        self.answered = 0
        self.wrong = 0
        self._frames = frames
        self._size = len(frames.response)
        self._prefix, self._suffix = frames.request[: frames.id_at], frames.request[frames.id_at + frames.id.size :]
        self._window = window
        self._rest = b""
        self._next = 0
        self._open: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send(self._window)

    def _send(self, count: int) -> None:
        numbers = [(self._next + at) & 0xFFFFFFFF for at in range(count)]
        self._next += count
        self._open.update(numbers)
        pack = self._frames.id.pack
        self._transport.write(b"".join(self._prefix + pack(number) + self._suffix for number in numbers))

    def data_received(self, data: bytes) -> None:
        block = self._rest + data
        count = len(block) // self._size
        self._rest = block[count * self._size :]
        for at in range(0, count * self._size, self._size):
            (number,) = self._frames.id.unpack_from(block, at + self._frames.id_at)
            if number in self._open:
                self._open.remove(number)
            else:
                self.wrong += 1
        self.answered += count
        if count and not self._transport.is_closing():
            self._send(count)


@dataclass(frozen=True, slots=True)
class BoltResult:
    """What one round saw."""

    messages: int
    seconds: float
    wrong: int


async def load(protocol: str, port: int, connections: int, window: int, seconds: float) -> BoltResult:
    """Run the load against `port`."""
    loop = asyncio.get_running_loop()
    callers = []
    started = loop.time()
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: _Caller(PROTOCOLS[protocol], window), "127.0.0.1", port)
        callers.append(caller)
    await asyncio.sleep(seconds)
    result = BoltResult(sum(c.answered for c in callers), loop.time() - started, sum(c.wrong for c in callers))
    for caller in callers:
        caller._transport.abort()
    return result


def bootstrap(protocol: str, listen_port: int, backend_port: int, admin_port: int) -> str:
    """Return the sidecar's bootstrap: a listener of the protocol before one backend."""
    filters = "type.googleapis.com/eventmesh.extensions.filters.network"
    settings: dict[str, object] = {"protocol": "bolt"}
    proxy: dict[str, object] = {"@type": f"{filters}.bolt_proxy.v3.BoltProxy"}
    if protocol != "bolt":
        settings = {"protocol": "framed", "declaration": protocol}
        proxy = {"@type": f"{filters}.framed_proxy.v3.FramedProxy", "declaration_file": str(DECLARATION)}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}
    table = {"name": "bolt", "virtual_hosts": [{"name": "bench", "domains": [SERVICE], "routes": [route]}]}
    manager = {**proxy, "stat_prefix": "bolt", "route_config": table}

    def address(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    endpoint = {"endpoint": {"address": address(backend_port)}}
    document = {
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": address(admin_port)},
        "static_resources": {
            "listeners": [
                {
                    "name": "bolt",
                    "address": address(listen_port),
                    "filter_chains": [{"filters": [{"name": "bolt", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "backend",
                    "type": "STATIC",
                    "metadata": {"filter_metadata": {"eventmesh": settings}},
                    "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ],
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def start_backend(protocol: str) -> tuple[int, Server]:
    """Start the echo server in a process of its own."""
    directory, port = Path(mkdtemp(prefix="bench-bolt-")), free_port()
    server = Server([sys.executable, "-m", "benchmarks.bolt", protocol, str(port)], directory, cpus=others())
    server.wait_for(port)
    return port, server


def start_sidecar(protocol: str, backend_port: int) -> tuple[int, Server]:
    """Start the sidecar before the echo server."""
    directory, port = Path(mkdtemp(prefix="bench-bolt-")), free_port()
    config = directory / "bootstrap.yaml"
    config.write_text(bootstrap(protocol, port, backend_port, free_port()))
    argv = [sys.executable, "-m", "eventmesh.cli.main", "sidecar", "--bootstrap", str(config)]
    server = Server(argv, directory, cpus={PROXY_CPU})
    server.wait_for(port)
    return port, server


async def _serve(protocol: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Echo(PROTOCOLS[protocol]), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
