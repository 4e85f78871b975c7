"""A proxyless gRPC client: for every line on stdin one call, and one line with what came of it."""

from __future__ import annotations

import sys

import grpc


def main(target: str) -> None:
    """Serve stdin until it ends."""
    with grpc.insecure_channel(target) as channel:
        greet: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Greeter/Greet")
        for _ in sys.stdin:
            try:
                line = greet(b"", timeout=15, wait_for_ready=True).decode()
            except grpc.RpcError as error:
                line = error.code().name
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
