"""MOSN and our sidecar one behind the other, as in a mesh that moves from the one to the other: `make mosn` runs these.

No `test_` in the file's name: who runs all tests need not have MOSN, and who runs these finds it missing an error.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.component.processes import data_plane
from tests.free_ports import free_port
from tests.peers.mosn import mosn
from tests.peers.sofabolt import caller, service
from tests.peers.test_four_ways import PAIRS, SERVICE, Pair, conversation
from tests.peers.test_sofabolt import recorded
from tests.peers.ways import BOLT, address_of, bootstrap
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

OURS, THEIRS = "ours", "mosn"
CHAINS = ((THEIRS,), (OURS, THEIRS), (THEIRS, OURS), (OURS, THEIRS, OURS), (THEIRS, OURS, THEIRS))
"""What a call passes, the one beside the caller first."""

GO_AWAY = b"\x01\x01\x00\x64\x01"
"""How MOSN's frame of that name begins: protocol 1, a request, command 100, version 1."""


@asynccontextmanager
async def chain(directory: Path, port: int, proxies: Sequence[str]) -> AsyncIterator[str]:
    """Run the proxies before the service at `port`; give the address of the first."""
    async with AsyncExitStack() as running:
        for number, kind in enumerate(reversed(proxies)):
            if kind == THEIRS:
                behind = await running.enter_async_context(mosn(directory / f"mosn-{number}", port))
                port = behind.port
            else:
                file = bootstrap(directory / f"ours-{number}.json", BOLT, {"service": port})
                sidecar = await running.enter_async_context(data_plane("sidecar", file))
                port = int(address_of(sidecar).rpartition(":")[2])
        yield f"127.0.0.1:{port}"


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.wire is BOLT], ids=lambda pair: pair.name)
async def test_callers_hear_the_same_whichever_of_both_stand_between(pair: Pair, tmp_path: Path) -> None:
    port = free_port()
    async with pair.serve(port):
        straight = await conversation(pair, f"127.0.0.1:{port}")
        assert all(map(str.startswith, straight, [beginning for _, beginning in pair.said]))
        for proxies in CHAINS:
            directory = tmp_path / "-".join(proxies)
            directory.mkdir()
            async with chain(directory, port, proxies) as address:
                assert await conversation(pair, address) == straight, proxies


@pytest.mark.parametrize("proxies", CHAINS, ids="-".join)
async def test_a_oneway_arrives_once(proxies: Sequence[str], tmp_path: Path) -> None:
    port = free_port()
    async with service(port), chain(tmp_path, port, proxies) as address, caller(address, SERVICE) as java:
        for letter in ("first", "second"):
            assert await java.ask(f"oneway {letter}") == "SENT"
            async with asyncio.timeout(WAIT_S):
                while await java.ask(f"sync 20000 times {letter}") == "OK 0":
                    pass
            assert await java.ask(f"sync 20000 times {letter}") == "OK 1"


async def test_mosns_heartbeats_are_answered_and_its_connection_is_kept(tmp_path: Path) -> None:
    """It asks after fifteen seconds in which nothing was said."""
    port = free_port()
    file = bootstrap(tmp_path / "ours.json", BOLT, {"service": port})
    async with (
        service(port),
        data_plane("sidecar", file) as sidecar,
        recorded(address_of(sidecar)) as relay,
        mosn(tmp_path / "mosn", int(relay.address.rpartition(":")[2])) as neighbour,
        caller(neighbour.address, SERVICE) as java,
    ):
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        relay.forget()
        async with asyncio.timeout(WAIT_S):
            asked, answers = relay.heartbeats()
            while not (asked and answers):
                await asyncio.sleep(0.1)
                asked, answers = relay.heartbeats()
        assert [(proto, kind, command) for proto, kind, command, *_ in asked] == [(1, 1, 0)]
        (answer,) = answers.values()
        assert (answer[:3], answer[4], answer[6]) == ((1, 0, 0), asked[0][4], 0)
        assert await java.ask("sync 20000 Ada") == "OK hello Ada"
        assert relay.connections == 1


async def test_a_mosn_that_is_told_to_stop_loses_no_call_while_another_is_there(tmp_path: Path) -> None:
    """Its GoAway is obeyed: what is in flight is answered by it, what comes after goes to the other."""
    port = free_port()
    async with (
        service(port),
        mosn(tmp_path / "first", port) as first,
        recorded(first.address) as relay,
        mosn(tmp_path / "second", port) as second,
        data_plane("sidecar", _before_both(tmp_path / "ours.json", relay.address, second.address)) as sidecar,
        caller(address_of(sidecar), SERVICE) as one,
        caller(address_of(sidecar), SERVICE) as other,
        caller(address_of(sidecar), SERVICE) as java,
        caller(f"127.0.0.1:{port}", SERVICE) as beside,
    ):
        async with asyncio.TaskGroup() as calls:
            slow = [calls.create_task(each.ask("sync 20000 sleep 8000")) for each in (one, other)]
            while await beside.ask("sync 20000 times sleep 8000") != "OK 2":
                pass
            assert relay.asked.count(b"sleep 8000") == 1, "they are taken in turn"
            first.process.terminate()
            passed = -1
            while len(relay.asked) != passed:
                passed = len(relay.asked)
                assert await java.ask("many 100") == "OK 100/100"
            assert first.process.returncode is None, "nothing goes there because it has ended, not because it said so"
            assert relay.answered.count(GO_AWAY) == 1
        assert [call.result() for call in slow] == ["OK hello sleep 8000"] * 2
        assert await java.ask("many 1000") == "OK 1000/1000"
        assert len(relay.asked) == passed


def _before_both(file: Path, *addresses: str) -> Path:
    """Write the bootstrap of a sidecar before servers that are taken in turn."""
    first, *others = (int(address.rpartition(":")[2]) for address in addresses)
    tree = json.loads(bootstrap(file, BOLT, {"service": first}).read_text())
    (endpoints,) = tree["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
    for port in others:
        more = copy.deepcopy(endpoints["lb_endpoints"][0])
        more["endpoint"]["address"]["socket_address"]["port_value"] = port
        endpoints["lb_endpoints"].append(more)
    file.write_text(json.dumps(tree))
    return file
