"""`eventmesh tap` against a running data plane: what a person sees of requests that pass."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.cli.main import main
from eventmesh.dataplane import admin
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import DirectResponse, Route, RouteTable, VirtualHost
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import ExchangeHandler
from tests.waiting import WAIT_S


async def test_requests_are_shown_as_they_pass(capsys: pytest.CaptureFixture[str]) -> None:
    handlers: dict[str, ExchangeHandler] = {}
    clock = SystemClock()
    plane = DataPlane(clock, handlers, own=admin.pages("127.0.0.1:0"))
    pages = admin.Admin(plane, clock, "node", lambda: None)
    pages.add("tap", admin.TAP_HELP, admin.Looking(plane, clock))
    handlers[admin.HANDLER] = pages
    route = Route(RouteMatch("/"), DirectResponse(418, "no tea"), name="pot")
    table = RouteTable("t", (VirtualHost("h", ("*",), (route,)),))
    await plane.apply(Snapshot("1", (Listener("in", "127.0.0.1:0", "t", protocol=WireProtocol.AUTO),), (table,)))
    addresses = plane.addresses()
    words = [addresses["admin"], "--filter", "path=/tea", "--filter", "status=4xx", "--max", "1", "-v"]
    try:
        showing = asyncio.get_running_loop().run_in_executor(None, main, ["tap", *words])
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
            while not showing.done():
                # The look may not be open yet.
                for path in ("/coffee", "/tea?access_token=t"):
                    fields = {"Authorization": "Bearer t", "X-User": "bob"}
                    async with http.post(f"http://{addresses['in']}{path}", headers=fields) as answer:
                        assert answer.status == 418
                await asyncio.sleep(0.02)
        assert await showing == 0
    finally:
        await plane.stop()
    shown = capsys.readouterr().out.splitlines()
    assert f"POST {addresses['in']}/tea?access_token=[redacted]  418  " in shown[0]
    assert "  > authorization: [redacted]" in shown and "  > x-user: bob" in shown
    assert not any("coffee" in line or "Bearer" in line for line in shown)


@pytest.mark.parametrize("word", ["colour=red", "path"])
def test_an_unknown_filter_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tap", "127.0.0.1:1", "--filter", word]) == 2
    assert "write KEY=VALUE with one of method, host, path, status, header" in capsys.readouterr().err


def test_a_data_plane_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tap", "127.0.0.1:1"]) == 3
    assert "cannot be reached" in capsys.readouterr().err
