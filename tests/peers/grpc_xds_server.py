"""A gRPC server without a proxy: it asks control how to listen at HOST:PORT, and answers every call with NAME.

It ends with its stdin.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def main(name: str, address: str) -> None:
    """Serve until stdin ends."""

    def answer(request: bytes, context: object) -> bytes:
        return name.encode()

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(ThreadPoolExecutor(4), xds=True)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", {"Greet": handler}),))
    server.add_secure_port(address, grpc.xds_server_credentials(grpc.insecure_server_credentials()))
    server.start()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main(*sys.argv[1:])
