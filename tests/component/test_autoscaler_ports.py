"""The autoscaler's sockets: reports in, pods asked."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from eventmesh.activator.report_ways import WebSocketWay, scheme_of
from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.spec import spec_of
from eventmesh.autoscale.stat import MAX_REPORT_BYTES, Stat, StatMessage, encode_messages, encode_stat
from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.controllers.autoscaler import reports
from eventmesh.controllers.autoscaler.collector import Collector
from eventmesh.controllers.autoscaler.reports import ReportServer
from eventmesh.controllers.autoscaler.scraper import ScrapedPod, Scraper, ScrapeTarget
from eventmesh.kube.objects import Key
from tests.waiting import WAIT_S

KEY = Key("default", "hello-00001")


@asynccontextmanager
async def reporting() -> AsyncIterator[tuple[str, list[tuple[Key, Stat]]]]:
    taken: list[tuple[Key, Stat]] = []
    server = ReportServer("127.0.0.1", 0, lambda key, stat: taken.append((key, stat)))
    await server.start()
    try:
        yield f"http://{server.address[0]}:{server.address[1]}", taken
    finally:
        await server.stop()


async def post(url: str, body: bytes) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/stats", data=io.BytesIO(body)) as answer:
        return answer.status, await answer.text()


async def test_every_message_of_a_report_is_handed_on_before_the_answer() -> None:
    stat = Stat("activator-1", average_concurrent_requests=1.0, request_count=1.0)
    async with reporting() as (url, taken):
        messages = [StatMessage("default", "hello-00001", stat), StatMessage("other", "bye-00002", stat)]
        assert (await post(url, encode_messages(messages)))[0] == 204
        assert taken == [(KEY, stat), (Key("other", "bye-00002"), stat)]


async def test_what_is_no_report_is_refused_with_the_reason_and_recorded_nowhere() -> None:
    async with reporting() as (url, taken):
        status, text = await post(url, b"\x0a\xff")
        assert status == 400
        assert text.startswith("not WireStatMessages: cut short")
        assert (await post(url, bytes(MAX_REPORT_BYTES + 1)))[0] == 413
        assert taken == []


async def test_reports_come_over_knatives_websocket_as_well() -> None:
    first, second = (Stat("activator-1", average_concurrent_requests=load) for load in (1.0, 2.0))
    async with reporting() as (url, taken), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/") as socket:
            await socket.send_bytes(encode_messages([StatMessage("default", "hello-00001", first)]))
            await socket.send_bytes(b"\x0a\xff")
            await socket.send_str("no report either")
            await socket.send_bytes(encode_messages([StatMessage("default", "hello-00001", second)]))
            await until(lambda: taken == [(KEY, first), (KEY, second)])
        async with session.get(f"{url}/") as answer:
            assert answer.status == 426
        async with session.get(f"{url}/", headers={"User-Agent": "kube-probe/1.32"}) as answer:
            assert answer.status == 200


async def test_no_more_than_so_many_are_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_SOCKETS", 1)
    async with reporting() as (url, _), aiohttp.ClientSession() as session, session.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(url)
        assert refusal.value.status == 503


async def test_an_autoscaler_that_stops_says_come_again() -> None:
    server = ReportServer("127.0.0.1", 0, lambda key, stat: None)
    await server.start()
    url = f"http://127.0.0.1:{server.address[1]}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        closing, _ = await asyncio.gather(socket.receive(20), server.stop())
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1012)


async def test_the_activators_socket_is_made_anew_when_it_is_lost() -> None:
    taken: list[tuple[Key, Stat]] = []
    stat = Stat("activator-1", average_concurrent_requests=1.0)
    report = encode_messages([StatMessage("default", "hello-00001", stat)])
    first = ReportServer("127.0.0.1", 0, lambda key, stat: taken.append((key, stat)))
    await first.start()
    port = first.address[1]
    way = WebSocketWay(f"ws://127.0.0.1:{port}")
    try:
        assert await way.send(report) == ""
        await until(lambda: taken == [(KEY, stat)])
        await first.stop()
        assert await way.send(report) != ""
        second = ReportServer("127.0.0.1", port, lambda key, stat: taken.append((key, stat)))
        await second.start()
        assert await way.send(report) == ""
        await until(lambda: taken == [(KEY, stat)] * 2)
        await second.stop()
    finally:
        await way.close()


@pytest.mark.parametrize("url", ["", "autoscaler:8080", "ftp://host/", "ws://", "https://host/stats"])
def test_a_url_that_names_no_way_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--autoscaler: must be http://"):
        scheme_of(url)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_taken_port_is_named() -> None:
    async with reporting() as (url, _):
        port = int(url.rpartition(":")[2])
        second = ReportServer("127.0.0.1", port, lambda key, stat: None)
        with pytest.raises(UnavailableError, match=f"autoscaler address 127.0.0.1:{port}: "):
            await second.start()


class EagerClock(SystemClock):
    """A second lasts a turn of the event loop."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)


async def test_pods_are_asked_and_those_that_do_not_answer_are_left_out() -> None:
    async def metrics(request: web.Request) -> web.Response:
        asked.set()
        return web.Response(body=encode_stat(Stat("pod", average_concurrent_requests=3.0)))

    asked = asyncio.Event()
    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    # The second address belongs to nobody: its pod is starting or ending.
    pods = (ScrapedPod("here", "127.0.0.1", 90.0), ScrapedPod("gone", "127.0.0.3", 90.0))
    collector, clock = Collector(), EagerClock()
    collector.measure(KEY, spec_of({}, AutoscalerConfig(), 0, reachable=True))
    scraper = Scraper(collector, lambda: [ScrapeTarget(KEY, pods, 60.0)], clock, port=port)
    asking = asyncio.get_running_loop().create_task(scraper.run())
    async with asyncio.timeout(WAIT_S):
        await asked.wait()
        while (load := collector.load(KEY, clock.monotonic())) is None:
            await asyncio.sleep(0.001)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await runner.cleanup()
    # One of two answered 3: together they carry 6 in each round of this second.
    assert load[0] > 0
    assert load[0] % 6 == 0
