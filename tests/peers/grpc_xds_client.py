"""A proxyless gRPC client: for every line on stdin one call, and one line with what came of it.

A line is `call` or `try` (fails at once while there is no route), then metadata as `name=value`.
"""

from __future__ import annotations

import sys

import grpc


def main(target: str) -> None:
    """Serve stdin until it ends."""
    with grpc.insecure_channel(target) as channel:
        greet: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Greeter/Greet")
        for order in sys.stdin:
            how, *words = order.split()
            metadata = tuple((word.partition("=")[0], word.partition("=")[2]) for word in words)
            try:
                line = greet(b"", timeout=15, wait_for_ready=how == "call", metadata=metadata).decode()
            except grpc.RpcError as error:
                line = error.code().name
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
