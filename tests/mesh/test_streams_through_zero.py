"""What begins while its function sleeps and goes on both ways when it has woken: WebSocket, a gRPC stream, a body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
from websockets.asyncio.client import connect

from eventmesh.kube.resources import POD
from tests.mesh.objects import add_function, configure_autoscaler, deploy, service
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

WEBSOCKET = """
import os
from websockets.sync.server import serve
def echo(socket):
    for message in socket:
        socket.send(message[::-1])
serve(echo, "127.0.0.1", int(os.environ["PORT"])).serve_forever()
"""
GRPC = """
import os
from concurrent import futures
import grpc
def talk(requests, context):
    for request in requests:
        yield request[::-1]
methods = {"Talk": grpc.stream_stream_rpc_method_handler(talk)}
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Talker", methods)])
server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
server.start()
server.wait_for_termination()
"""
BODY = """
import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    caller, _ = server.accept()
    lines = caller.makefile("rb")
    if not lines.readline():
        continue
    while lines.readline().strip():
        pass
    caller.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
    while size := int(lines.readline(), 16):
        part = lines.read(size + 2)[:-2][::-1]
        caller.sendall(b"%x\\r\\n%s\\r\\n" % (len(part), part))
    lines.readline()
    caller.sendall(b"0\\r\\n\\r\\n")
"""


async def test_streams_that_begin_at_zero_go_on_both_ways(mesh: MeshProcess, tmp_path: Path) -> None:
    programs = {"chat": WEBSOCKET, "talk": GRPC, "flow": BODY}
    async with mesh.api() as api:
        await configure_autoscaler(api, {"allow-zero-initial-scale": "true"})
        for name, program in programs.items():
            add_function(mesh, tmp_path / name, name, program)
            wanted = service(name, f"dev.local/{name}", initial_scale="0")
            if name == "talk":
                wanted["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "h2c", "containerPort": 8080}]
            await deploy(api, wanted)
        assert (await api.list(POD, "default")).items == []
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(converse(mesh.gateway_port), call(mesh.gateway_port), send(mesh.gateway_port))


async def converse(port: int) -> None:
    """A WebSocket: each message is answered before the next is sent."""
    async with connect(f"ws://chat.default.localhost:{port}", host="127.0.0.1", port=port) as socket:
        for message in ("abc", "def" * 10_000):
            await socket.send(message)
            assert await socket.recv() == message[::-1]


async def call(port: int) -> None:
    """A stream of gRPC in both directions: likewise."""
    authority = (("grpc.default_authority", "talk.default.localhost"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=authority) as channel:
        answered: asyncio.Queue[bytes] = asyncio.Queue()

        async def requests() -> AsyncIterator[bytes]:
            for message in (b"abc", b"def"):
                yield message
                assert await answered.get() == message[::-1]

        talk: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/test.Talker/Talk")
        async for answer in talk(requests()):
            answered.put_nowait(answer)


async def send(port: int) -> None:
    """A body whose second part is sent when the answer to the first has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            b"POST / HTTP/1.1\r\nHost: flow.default.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(8) == b"3\r\ncba\r\n"
        writer.write(b"3\r\ndef\r\n0\r\n\r\n")
        assert await reader.readexactly(13) == b"3\r\nfed\r\n0\r\n\r\n"
    finally:
        writer.close()
