"""A Thrift service and a caller on thriftpy2 (framed, strict binary), driven by lines, each answered by one line.

"echo TEXT", "fail TEXT", "crash", "note TEXT", "noted", "many COUNT". Arguments: "serve PORT", or "call HOST:PORT".
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TApplicationException, TProcessor
from thriftpy2.transport import TFramedTransportFactory, TServerSocket

PYTHON = (sys.executable, "-m", "tests.peers.thrift.echo")
"""How to run this module."""
WAIT_MS = 20_000


def _described() -> Any:
    return thriftpy2.load(str(Path(__file__).with_suffix(".thrift")), module_name="echo_thrift")


class _Service:
    def __init__(self, description: Any) -> None:
        self._refused = description.Refused
        self._last = ""

    def echo(self, text: str) -> str:
        return text

    def fail(self, text: str) -> str:
        raise self._refused(text)

    def crash(self) -> str:
        raise TApplicationException(TApplicationException.INTERNAL_ERROR, "Internal error")

    def note(self, text: str) -> None:
        self._last = text

    def noted(self) -> str:
        return self._last


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _serve(port: int) -> None:
    description = _described()
    socket = TServerSocket("127.0.0.1", port)
    server = TThreadedServer(
        TProcessor(description.Echo, _Service(description)),
        socket,
        iprot_factory=TBinaryProtocolFactory(),
        itrans_factory=TFramedTransportFactory(),
        daemon=True,
    )
    socket.listen()
    threading.Thread(target=server.serve, daemon=True).start()
    _say("READY")
    sys.stdin.read()


def _answer(client: Any, refused: type[Exception], line: str) -> str:
    word, _, text = line.partition(" ")
    try:
        match word:
            case "echo" | "fail":
                return f"OK {getattr(client, word)(text)}"
            case "crash" | "noted":
                return f"OK {getattr(client, word)()}"
            case "note":
                client.note(text)
                return "SENT"
            case "many":
                right = sum(client.echo(f"n{number}") == f"n{number}" for number in range(int(text)))
                return f"OK {right}/{text}"
    except refused as declared:
        return f"THROWN {vars(declared)['why']}"
    except TApplicationException as failure:
        return f"ERROR {failure.type} {failure.message}"
    return "ERROR unknown command"


def _call(address: str) -> None:
    description = _described()
    host, _, port = address.rpartition(":")
    client = make_client(
        description.Echo,
        host,
        int(port),
        proto_factory=TBinaryProtocolFactory(),
        trans_factory=TFramedTransportFactory(),
        timeout=WAIT_MS,
    )
    _say("READY")
    for line in sys.stdin:
        _say(_answer(client, description.Refused, line.rstrip("\n")))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        _call(sys.argv[2])
