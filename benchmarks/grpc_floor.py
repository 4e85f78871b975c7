"""What grpcio costs by itself: a server whose streams are answered once and stay open, and its clients.

`python -m benchmarks.grpc_floor serve` says `port N`; `... clients PORT STREAMS` says `open STREAMS` once all have
their answer.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import grpc.aio

_SERVICE, _METHOD = "Floor", "Stream"


async def _answer_once(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await context.read()
    await context.write(b"answer")
    await context.read()


async def _serve() -> None:
    server = grpc.aio.server()
    handler: Any = grpc.stream_stream_rpc_method_handler(_answer_once)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"port {port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


async def _clients(port: int, streams: int) -> None:
    kept = []
    for _ in range(streams):
        # Clients of one process share a connection otherwise.
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        call: Any = channel.stream_stream(f"/{_SERVICE}/{_METHOD}")()
        await call.write(b"question")
        await call.read()
        kept.append((channel, call))
    sys.stdout.write(f"open {len(kept)}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve() if sys.argv[1] == "serve" else _clients(int(sys.argv[2]), int(sys.argv[3])))
