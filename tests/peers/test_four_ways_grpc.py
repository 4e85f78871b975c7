"""gRPC by grpcio and by grpc-go, each as caller and as service, heard alike whichever of the four ways lies between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tests.component.test_grpc_through_sidecar import OPTIONS, SERVICE, CartService, serving
from tests.peers.sofabolt import by_lines
from tests.peers.tools import tool
from tests.peers.ways import HTTP2, ways
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

MANY = 500
NOTES = (("x-note", "a"), ("x-note", "b"))
SAID = (
    "unary h\u00e9 \U0001f600",
    f"unary {'x' * 1_000_000}",
    *(f"{kind} {MANY}" for kind in ("count", "total", "echo")),
    "refuse",
)
"""The four kinds of call, and one that is refused."""


async def _said(words: Iterable[str]) -> AsyncIterator[bytes]:
    for word in words:
        yield word.encode()


async def _ask(channel: grpc.aio.Channel, line: str) -> str:
    """Do with grpcio what the program on grpc-go does with a line."""
    word, _, rest = line.partition(" ")
    method, sent = "Echo", [rest]
    match word:
        case "count":
            method = "Count"
        case "total" | "echo":
            method, sent = {"total": "Total", "echo": "EchoEach"}[word], [f"n{number}" for number in range(int(rest))]
        case "refuse":
            method = "Refuse"
    each: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/{SERVICE}/{method}")
    call = each(_said(sent), metadata=NOTES, timeout=WAIT_S)
    try:
        heard = [message.decode() async for message in call]
    except grpc.aio.AioRpcError as refused:
        return f"ERROR {refused.code().name} {refused.details()}"
    after = [value for key, value in await call.trailing_metadata() if key == "x-after"]
    return f"OK {','.join(heard)} {after}"


async def by_grpcio(address: str) -> list[str]:
    """Return what grpcio hears to each line of `SAID`."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        return [await _ask(channel, line) for line in SAID]


async def _by_go(address: str) -> list[str]:
    async with by_lines(tool("go-grpc"), "call", address) as caller:
        return [await caller.ask(line) for line in SAID]


@asynccontextmanager
async def _served_by_go(port: int) -> AsyncIterator[int]:
    async with by_lines(tool("go-grpc"), "serve", str(port)):
        yield port


@asynccontextmanager
async def _servedby_grpcio(_port: int) -> AsyncIterator[int]:
    async with serving(CartService()) as address:
        yield int(address.rpartition(":")[2])


CALLERS = {"grpcio": by_grpcio, "grpc-go": _by_go}
SERVICES = {"grpcio": _servedby_grpcio, "grpc-go": _served_by_go}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("caller", CALLERS)
async def test_calls_of_every_kind_are_answered_alike_through_no_one_and_two_sidecars(
    caller: str, service: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    run: AbstractAsyncContextManager[int] = SERVICES[service](unused_tcp_port)
    async with run as port, ways(tmp_path, HTTP2, port) as addresses:
        heard = {way: await CALLERS[caller](address) for way, address in addresses.items()}
    numbers = [f"n{number}" for number in range(MANY)]
    told = [answer.removeprefix("OK ").partition(" ")[0] for answer in heard["none"]]
    unary, large, count, total, echo, refused = told
    assert (unary, len(large)) == ("h\u00e9", 1_000_000)
    assert count.split(",") == [str(number) for number in range(MANY)] and echo.split(",") == numbers
    assert total == str(sum(map(len, numbers)))
    assert refused == "ERROR" and heard["none"][-1].endswith("cart 100% full: \u00fc")
    for way, answers in heard.items():
        assert answers == heard["none"], way
