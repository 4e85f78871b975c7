"""A gateway of ours under a control plane that others wrote, in both variants of the protocol."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.component.processes import data_plane
from tests.peers.backends import backend
from tests.peers.envoy import bootstrap
from tests.peers.go_control_plane import go_control_plane
from tests.peers.load import CALLERS, load
from tests.peers.test_envoy_ads import VARIANTS

pytestmark = pytest.mark.peer

FLIPS = 200
LINGERING = 3
"""Clusters of earlier flips that stay configured; the others are removed while requests run."""


@pytest.mark.parametrize("variant", VARIANTS)
async def test_two_hundred_flips_by_go_control_plane_fail_no_request(variant: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        control = await stack.enter_async_context(go_control_plane())
        tree = bootstrap(control.port, variant)
        tree["node"]["id"] = "gateway-1"
        file = tmp_path / "bootstrap.json"
        file.write_text(json.dumps(tree))
        gateway = await stack.enter_async_context(data_plane("gateway", file))
        await control.lead_to("flip-0", backends[0][1])
        public = (await gateway.hear("listening"))["address"]
        running = await stack.enter_async_context(load(int(public.rpartition(":")[2]), "flip.test"))
        kept = ["flip-0"]
        for number in range(1, FLIPS + 1):
            name = f"flip-{number}"
            await control.lead_to(name, backends[number % 2][1], kept)
            kept = [*kept[1 - LINGERING :], name]
        await running.more(2 * CALLERS)
        assert running.outcomes.keys() == {"200"}
        assert running.names == {"a", "b"}


CHANGES = (418, 0, 503, 0, 404, 500, 0)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_filter_sent_by_name_is_obeyed_as_it_changes_on_connections_that_stay(
    variant: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(backend("a"))
        control = await stack.enter_async_context(go_control_plane("-faults"))
        tree = bootstrap(control.port, variant)
        tree["node"]["id"] = "gateway-1"
        file = tmp_path / "bootstrap.json"
        file.write_text(json.dumps(tree))
        gateway = await stack.enter_async_context(data_plane("gateway", file))
        await control.lead_to("shop", port)
        public = (await gateway.hear("listening"))["address"]
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))

        async def ask() -> int:
            async with http.get(f"http://{public}/", headers={"Host": "flip.test"}) as response:
                await response.read()
                return response.status

        assert await ask() == 200
        for status in CHANGES:
            await control.answer_by(status)
            assert await ask() == (status or 200)
        # What it refuses, it refuses by the filter's name, and goes on by what it had.
        assert "faults: typed_config.abort.http_status: 999 is out of range" in await control.refusal_of(999)
        assert await ask() == 200
        await control.answer_by(403)
        assert await ask() == 403
