"""A proxyless gRPC client: for every line on stdin one call, and one line with what came of it.

A line is `call` or `try` (fails at once while there is no route), then metadata as `name=value`.

After a channel has lost its routes and has got new ones, a call made between may stay queued until its deadline,
although calls made later are answered (seen with grpcio 1.85 in one of some 50 times: no server has seen the call by
then). Only `try`, whose deadline is near, is for such moments.
"""

from __future__ import annotations

import sys

import grpc
import grpc.experimental


def main(target: str, secured: str = "") -> None:
    """Serve stdin until it ends; with a second argument the channel speaks TLS as control says."""
    plain = grpc.experimental.insecure_channel_credentials()  # type: ignore[no-untyped-call]  # grpc's own
    credentials = grpc.xds_channel_credentials(plain) if secured else plain
    with grpc.secure_channel(target, credentials) as channel:
        greet: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Greeter/Greet")
        for order in sys.stdin:
            how, *words = order.split()
            waits = how == "call"
            metadata = tuple((word.partition("=")[0], word.partition("=")[2]) for word in words)
            try:
                line = greet(b"", timeout=30 if waits else 2, wait_for_ready=waits, metadata=metadata).decode()
            except grpc.RpcError as error:
                line = error.code().name
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
