"""A service and a caller on anthunder (bodies of plain bytes), driven by lines on stdin, each answered by one line.

"echo TEXT", "fail TEXT", "many COUNT", "beat". Arguments: "serve PORT", or "call HOST:PORT SERVICE".
"""

from __future__ import annotations

import asyncio
import collections
import socket
import sys
import threading
from collections.abc import Callable, MutableMapping

# anthunder was written for Python before 3.10, where this stood here.
collections.MutableMapping = MutableMapping  # type: ignore[attr-defined]

from anthunder import SERVICE_MAP, AioClient, AioListener  # noqa: E402
from mytracer import SpanContext  # noqa: E402

WAIT_MS = 20_000
SERVICES = ("com.shop.Echo:1.0",)


class Echo:
    """Made for each request."""

    def __init__(self, _context: object) -> None: ...

    def echo(self, body: bytes) -> bytes:
        return body

    def fail(self, body: bytes) -> bytes:
        raise ValueError(body.decode())


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(port: int) -> None:
    listener = AioListener(("127.0.0.1", port), "peer")
    for service in SERVICES:
        listener.handler.register_interface(service, Echo)
    threading.Thread(target=listener.run_forever, daemon=True).start()
    while not _listens(port):
        pass
    say("READY")
    sys.stdin.read()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Caller:
    """A client that knows its one service by address, with no agent beside it."""

    def __init__(self, address: str, service: str) -> None:
        host, _, port = address.rpartition(":")
        self._address, self._service = (host, int(port)), service
        SERVICE_MAP[service] = self._address
        self._client = AioClient("peer")

    def _begin(self, method: str, body: str) -> Callable[[], bytes]:
        future = self._client.invoke_async(
            self._service, method, body.encode(), spanctx=SpanContext(), timeout_ms=WAIT_MS
        )
        return lambda: future.result(WAIT_MS / 1000).content

    def answer(self, word: str, rest: str) -> str:
        """Return the line that answers one."""
        match word:
            case "echo":
                return f"OK {self._begin('echo', rest)().decode()}"
            case "many":
                waiting = [(f"n{number}".encode(), self._begin("echo", f"n{number}")) for number in range(int(rest))]
                return f"OK {sum(take() == body for body, take in waiting)}/{rest}"
            case "fail":
                try:
                    return f"OK {self._begin('fail', rest)()!r}"
                except KeyError:  # of an error's answer nothing is kept
                    return "ERROR"
            case "beat":
                asked = self._client.invoke_heartbeat(self._address)
                answered = asyncio.run_coroutine_threadsafe(asked, self._client._loop)
                try:
                    return f"OK {answered.result(WAIT_MS / 1000)}"
                except KeyError:  # woken by the acknowledgement, it looks for what it has not kept
                    return "OK"
        return f"ERROR unknown command {word}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        caller = Caller(sys.argv[2], sys.argv[3])
        say("READY")
        for line in sys.stdin:
            command, _, rest_of_it = line.rstrip("\n").partition(" ")
            say(caller.answer(command, rest_of_it))
