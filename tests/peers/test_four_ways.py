"""Callers and services that others wrote hear the same whichever of the four ways lies between them: RPC over TCP."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers import dubbo_peer, motan_peer, sofabolt, sofarpc_peer
from tests.peers.sofabolt import LineProcess, by_lines
from tests.peers.thrift.echo import PYTHON
from tests.peers.tools import TOOLS, tool
from tests.peers.ways import BOLT, DUBBO, TRIPLE, Wire, declared, ways

pytestmark = pytest.mark.peer

SERVICE = "com.shop.Echo:1.0"
HERE = Path(__file__).parent
LONG = "x" * 100_000
HARD = "h\u00e9 \U0001f600"


@dataclass(frozen=True, slots=True)
class Pair:
    """A service, its caller, and what is said between them."""

    name: str
    wire: Wire
    serve: Callable[[int], AbstractAsyncContextManager[LineProcess]]
    call: Callable[[str], AbstractAsyncContextManager[LineProcess]]
    said: Sequence[tuple[str, str]]
    """What the caller is asked for, and how its answer begins."""


@asynccontextmanager
async def _elsewhere(kind: str, *arguments: str) -> AsyncIterator[LineProcess]:
    """Run the Bolt service (`serve PORT`) or the caller (`call HOST:PORT SERVICE`) of another language."""
    there = TOOLS.parent / ("sofa-bolt-node" if kind == "node" else "anthunder")
    assert there.is_dir(), f"{there} is not there; run `make peers`"
    if kind == "node":
        command, env = (tool("node"), str(HERE / "bolt" / "echo.js")), {"NODE_PATH": str(there / "node_modules")}
    else:
        # Not what the tests themselves are run with.
        command, env = (str(there / "bin" / "python"), str(HERE / "bolt" / "echo.py")), {"PYTHONPATH": ""}
    async with by_lines(*command, *arguments, env={**os.environ, **env}) as running:
        yield running


def _bolt_of(kind: str, *bodies: tuple[str, str]) -> Pair:
    said = (*((f"echo {sent}", f"OK {heard}") for sent, heard in bodies), ("fail on purpose", "ERROR"))
    return Pair(
        kind,
        BOLT,
        lambda port: _elsewhere(kind, "serve", str(port)),
        lambda address: _elsewhere(kind, "call", address, SERVICE),
        (*said, ("many 200", "OK 200/200"), ("beat", "OK")),
    )


def _respelt(value: object) -> tuple[str, str]:
    """Return JSON as it is given to the caller in Node.js, and as it writes it when it has come back."""
    return json.dumps(value), json.dumps(value, ensure_ascii=False, separators=(",", ":"))


PAIRS = (
    _bolt_of("node", _respelt([HARD, 1, -2.5, True, None, {"a": [1, {"b": "c"}]}]), _respelt([LONG])),
    _bolt_of("anthunder", (HARD, HARD), (LONG, LONG)),
    Pair(
        "SOFABolt",
        BOLT,
        sofabolt.service,
        lambda address: sofabolt.caller(address, SERVICE),
        (
            (f"sync 20000 {HARD}", f"OK hello {HARD}"),
            (f"sync 20000 {LONG}", f"OK hello {LONG}"),
            ("many 500", "OK 500/500"),
            ("sync 20000 fail", "ERROR InvokeServerException"),
            ("sync 20000 Ada", "OK hello Ada"),
        ),
    ),
    Pair(
        "SOFARPC",
        BOLT,
        sofarpc_peer.shop,
        sofarpc_peer.shopper,
        (
            (f"quote {HARD}", f"OK {HARD} 29.70 1099511627779 1700000000123 \u00e9 \U0001f600"),
            (f"quote {LONG}", f"OK {LONG} 29.70"),
            ("many 300", "OK 300/300"),
            ("quote sold out", "THROWN eventmesh.peers.SoldOut none left"),
            ("quote fail", "THROWN "),
            ("forget Ada", "OK"),
        ),
    ),
    Pair(
        "Dubbo",
        DUBBO,
        lambda port: dubbo_peer.provider(port, "a"),
        lambda address: dubbo_peer.consumer(address, "a"),
        (
            (f"greet {HARD}", f"OK hello {HARD} from a"),
            ("describe", f"OK {{a=[1, 300]}} 70000 Ada {HARD[1]} {HARD[3:]} true"),
            ("many 300", "OK 300/300"),
            ("greet fail", "THROWN asked to fail"),
            (f"greet {LONG}", f"OK hello {LONG} from a"),
        ),
    ),
    Pair(
        "Triple",
        TRIPLE,
        lambda port: dubbo_peer.triple_provider(port, "a"),
        lambda address: dubbo_peer.triple_consumer(address, "a"),
        (
            (f"greet {HARD}", f"OK hello {HARD} from a"),
            ("count 500", "OK 500 1, 500"),
            ("echo 100", "OK 100 n1 from a, n100 from a"),
            ("greet fail", ""),
            (f"greet {LONG}", f"OK hello {LONG} from a"),
        ),
    ),
    Pair(
        "Motan",
        declared("motan2"),
        lambda port: motan_peer.service(port, "a"),
        lambda address: motan_peer.caller(address, "a"),
        (
            (f"greet {HARD}", f"OK hello {HARD} from a"),
            ("describe", "OK {a=[1, 300]} 70000 1099511627776"),
            ("told note=one", "OK {"),
            ("many 300", "OK 300/300"),
            ("greet fail", "ERROR MotanServiceException 10001 "),
            ("beat", "OK"),
            (f"greet {LONG}", f"OK hello {LONG} from a"),
        ),
    ),
    Pair(
        "Thrift",
        declared("thrift"),
        lambda port: by_lines(*PYTHON, "serve", str(port)),
        lambda address: by_lines(*PYTHON, "call", address),
        (
            (f"echo {HARD}", f"OK {HARD}"),
            (f"echo {LONG}", f"OK {LONG}"),
            ("many 200", "OK 200/200"),
            ("fail on purpose", "THROWN on purpose"),
            ("crash", "ERROR 6 Internal error"),
            ("note Ada", "SENT"),
            ("noted", "OK Ada"),
        ),
    ),
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_callers_hear_the_same_through_no_one_and_two_sidecars(
    pair: Pair, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with pair.serve(unused_tcp_port), ways(tmp_path, pair.wire, unused_tcp_port) as addresses:
        heard = {way: await conversation(pair, address) for way, address in addresses.items()}
    for (_, beginning), answer in zip(pair.said, heard["none"], strict=True):
        assert answer.startswith(beginning), answer
    for way, answers in heard.items():
        assert answers == heard["none"], way


async def conversation(pair: Pair, address: str) -> list[str]:
    """Return what a caller of `address` hears; callers name whom they called in what they say of failures."""
    async with pair.call(address) as caller:
        return [(await caller.ask(line)).replace(address, "ADDRESS") for line, _ in pair.said]
