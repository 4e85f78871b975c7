"""slowhttptest, which ties servers up with slow clients: others are served meanwhile, and memory is bounded."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.component.planes import ask
from tests.component.processes import data_plane, program, write_bootstrap
from tests.component.test_hostile_clients import ALLOWED_KIB
from tests.peers.backends import nginx_backend
from tests.peers.tools import tool
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

CONNECTIONS = 400
KINDS = {
    "slow heads": ("-H", "-i", "1", "-x", "24"),
    "slow bodies": ("-B", "-i", "1", "-x", "24", "-s", "8192"),
    "ranges": ("-R", "-a", "1", "-b", "2000"),
    "slow reads of pipelined answers": ("-X", "-w", "1", "-y", "64", "-z", "16", "-n", "1", "-k", "10"),
    "slow reads": ("-X", "-w", "1", "-y", "64", "-z", "16", "-n", "1", "-k", "1"),
}
SHARED = ("-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", "3", "-p", str(int(WAIT_S)), "-v", "1")


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1 behind", "HTTP/2 behind"])
@pytest.mark.parametrize("kind", KINDS)
async def test_slow_clients_keep_nobody_else_from_being_served(
    kind: str, http2: bool, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with (
        nginx_backend(tmp_path, unused_tcp_port, http2=http2) as upstream,
        data_plane("gateway", write_bootstrap(tmp_path / "b.json", upstream, http2=http2)) as gateway,
    ):
        edge = gateway.addresses["edge"]
        await ask(edge)
        before, asked = gateway.memory_kib("VmHWM"), 0
        words = (tool("slowhttptest"), *KINDS[kind], *SHARED, "-u", f"http://{edge}/large")
        said = tmp_path / "said"
        async with asyncio.timeout(WAIT_S):
            with said.open("wb") as out:
                async with program(*words, stdout=out.fileno()) as attack:
                    while attack.returncode is None:
                        assert (await ask(edge)).status == 200
                        asked += 1
        output = re.sub(r"\x1b\[[0-9;]*m", "", said.read_text())
        assert re.search(r"service available:\s+YES", output) and "NO" not in output.split(), output[-2_000:]
        assert asked and gateway.memory_kib("VmHWM") - before < ALLOWED_KIB
