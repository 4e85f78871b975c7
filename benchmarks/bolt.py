"""Bolt through the sidecar, beside direct: pipelined frames, CPU of the proxy per message.

No other proxy at hand speaks Bolt; the rival is the direct connection. Both ends are this file: a server that echoes
ids and a load that keeps a window of frames in flight and checks every id that comes back.
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
_CLASS = b"com.alipay.sofa.rpc.core.request.SofaRequest"
_REQUEST_HEAD = struct.Struct(">BBHBIBiHHi")
_RESPONSE_HEAD = struct.Struct(">BBHBIBHHHi")
_ID_AT = 5
_ID = struct.Struct(">I")


def _header() -> bytes:
    texts = (b"service", SERVICE.encode())
    return b"".join(struct.pack(">i", len(text)) + text for text in texts)


def request_frame(number: int) -> bytes:
    """Return one call."""
    header = _header()
    head = _REQUEST_HEAD.pack(1, 1, 1, 1, number, 12, 10_000, len(_CLASS), len(header), len(CONTENT))
    return head + _CLASS + header + CONTENT


_RESPONSE_TAIL = b"y" * 100
_RESPONSE_SIZE = _RESPONSE_HEAD.size + len(_RESPONSE_TAIL)
_REQUEST_SIZE = len(request_frame(0))


def response_frame(number: bytes) -> bytes:
    """Return the answer to the call with those four id bytes."""
    return _RESPONSE_PREFIX + number + _RESPONSE_SUFFIX


_MODEL = _RESPONSE_HEAD.pack(1, 0, 2, 1, 0, 12, 0, 0, 0, len(_RESPONSE_TAIL)) + _RESPONSE_TAIL
_RESPONSE_PREFIX, _RESPONSE_SUFFIX = _MODEL[:_ID_AT], _MODEL[_ID_AT + 4 :]


class _Echo(asyncio.Protocol):
    """Answers every frame; all frames have one size, so that the server costs little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        block = self._rest + data
        count = len(block) // _REQUEST_SIZE
        ids = (block[at + _ID_AT : at + _ID_AT + 4] for at in range(0, count * _REQUEST_SIZE, _REQUEST_SIZE))
        self._rest = block[count * _REQUEST_SIZE :]
        self._transport.write(b"".join(map(response_frame, ids)))


class _Caller(asyncio.Protocol):
    """Keeps `window` calls in flight on one connection until told to stop."""

    def __init__(self, window: int) -> None:
        self.answered = 0
        self.wrong = 0
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
        self._transport.write(b"".join(_prefix + _ID.pack(number) + _suffix for number in numbers))

    def data_received(self, data: bytes) -> None:
        block = self._rest + data
        count = len(block) // _RESPONSE_SIZE
        self._rest = block[count * _RESPONSE_SIZE :]
        for at in range(0, count * _RESPONSE_SIZE, _RESPONSE_SIZE):
            (number,) = _ID.unpack_from(block, at + _ID_AT)
            if number in self._open:
                self._open.remove(number)
            else:
                self.wrong += 1
        self.answered += count
        if count and not self._transport.is_closing():
            self._send(count)


_prefix, _suffix = request_frame(0)[:_ID_AT], request_frame(0)[_ID_AT + 4 :]


@dataclass(frozen=True, slots=True)
class BoltResult:
    """What one round saw."""

    messages: int
    seconds: float
    wrong: int


async def load(port: int, connections: int, window: int, seconds: float) -> BoltResult:
    """Run the load against `port`."""
    loop = asyncio.get_running_loop()
    callers = []
    started = loop.time()
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: _Caller(window), "127.0.0.1", port)
        callers.append(caller)
    await asyncio.sleep(seconds)
    result = BoltResult(sum(c.answered for c in callers), loop.time() - started, sum(c.wrong for c in callers))
    for caller in callers:
        caller._transport.abort()
    return result


def bootstrap(listen_port: int, backend_port: int, admin_port: int) -> str:
    """Return the sidecar's bootstrap: a Bolt listener before one backend."""
    proxy = "type.googleapis.com/eventmesh.extensions.filters.network.bolt_proxy.v3.BoltProxy"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}
    table = {"name": "bolt", "virtual_hosts": [{"name": "bench", "domains": [SERVICE], "routes": [route]}]}
    manager = {"@type": proxy, "stat_prefix": "bolt", "route_config": table}

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
                    "metadata": {"filter_metadata": {"eventmesh": {"protocol": "bolt"}}},
                    "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ],
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def start_backend() -> tuple[int, Server]:
    """Start the echo server in a process of its own."""
    directory, port = Path(mkdtemp(prefix="bench-bolt-")), free_port()
    server = Server([sys.executable, "-m", "benchmarks.bolt", str(port)], directory, cpus=others())
    server.wait_for(port)
    return port, server


def start_sidecar(backend_port: int) -> tuple[int, Server]:
    """Start the sidecar before the echo server."""
    directory, port = Path(mkdtemp(prefix="bench-bolt-")), free_port()
    config = directory / "bootstrap.yaml"
    config.write_text(bootstrap(port, backend_port, free_port()))
    argv = [sys.executable, "-m", "eventmesh.cli.main", "sidecar", "--bootstrap", str(config)]
    server = Server(argv, directory, cpus={PROXY_CPU})
    server.wait_for(port)
    return port, server


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1])))
