"""Filters in Python at work: the guide's own steps, requests that are held, filters that fail."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from eventmesh.base.errors import ConfigError
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.access import AccessStep
from eventmesh.model.authz import PythonFilter
from eventmesh.model.policy import Filters
from eventmesh.model.snapshot import Snapshot
from tests.component.planes import Reply, ask, backend, proxy, running
from tests.component.processes import data_plane, spawn, write_bootstrap
from tests.waiting import WAIT_S

GUIDE = Path(__file__).parents[2] / "docs" / "python-filters.md"
FILE = re.compile(r"^```(?:yaml|python) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ASKED = re.compile(r"^\$ curl -s http://127.0.0.1:8000(\S+)(?: -H (\S+):(\S+))?\n(.*)\n", re.MULTILINE)

ODD = """
import asyncio
from eventmesh.dataplane.filters import Go, Reply, Seen, filter

gate = asyncio.Event()

@filter
async def held(request: Seen):
    if request.path == "/open":
        gate.set()
    await gate.wait()
    return Go({"x-path": request.path})

@filter
def odd(request: Seen):
    match request.path:
        case "/raises":
            raise RuntimeError("as asked")
        case "/nothing":
            return None
        case "/unsendable":
            return Go({"x-a": "1\\r\\nx-b: 2"})
        case "/status":
            return Reply(99)
    return Go()

@filter
async def slow(request: Seen):
    await asyncio.Event().wait()
"""


@pytest.mark.parametrize("command", [("sidecar",), ("gateway", "--workers", "2")], ids=["one process", "workers"])
async def test_the_steps_of_the_guide_do_what_the_page_shows(command: tuple[str, ...], tmp_path: Path) -> None:
    page = GUIDE.read_text()
    for name, text in FILE.findall(page):
        # The page's ports are examples; here any free ones serve.
        (tmp_path / name).write_text(text.replace("9901", "0").replace("8000", "0"))
    steps = ASKED.findall(page)
    assert len(steps) == 3 and "EVENTMESH_FILTERS=. eventmesh sidecar --bootstrap" in page
    name, *flags = command
    env = {"EVENTMESH_FILTERS": str(tmp_path)}
    async with data_plane(name, tmp_path / "bootstrap.yaml", *flags, env=env) as process:
        for path, header, value, expected in steps:
            answer = await ask(process.addresses["web"], path, headers={header: value} if header else None)
            assert answer.body.decode() == f"{expected}\n", path


async def heads(request: web.Request) -> web.Response:
    """Answer with the names of the headers that have come."""
    return web.Response(text=" ".join(sorted(name.lower() for name in request.headers)))


async def test_one_function_with_other_settings_is_another_filter_on_each_route(tmp_path: Path) -> None:
    page = GUIDE.read_text()
    (tmp_path / "headers.py").write_text(dict(FILE.findall(page))["headers.py"])
    (shown,) = (yaml.safe_load(text)[0] for text in re.findall(r"^```yaml\n(- .*?)^```$", page, re.M | re.S))
    own = {**shown["typed_config"], "config": {"headers": ["X-Own"]}}
    own.pop("@type")
    per_route = {"@type": f"{shown['typed_config']['@type']}PerRoute", "filter": own}
    async with backend(heads) as upstream:
        path = write_bootstrap(tmp_path / "b.json", upstream)
        tree = json.loads(path.read_text())
        manager = tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"].insert(0, shown)
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        routes.insert(
            0, {**routes[0], "match": {"prefix": "/own"}, "typed_per_filter_config": {shown["name"]: per_route}}
        )
        path.write_text(json.dumps(tree))
        async with data_plane("sidecar", path, env={"EVENTMESH_FILTERS": str(tmp_path)}) as process:
            headers = {"X-Own": "1", "X-Api-Key": "k"}
            told = [await ask(process.addresses["edge"], path, headers=headers) for path in ("/", "/own", "/")]
    seen = [set(one.body.decode().split()) & {"accept", "user-agent", "x-own", "x-api-key"} for one in told]
    assert seen == [{"accept", "x-api-key"}, {"x-own"}, {"accept", "x-api-key"}]


async def test_a_start_with_settings_that_a_factory_refuses_says_so_as_the_guide_shows(tmp_path: Path) -> None:
    page = GUIDE.read_text()
    (tmp_path / "headers.py").write_text(dict(FILE.findall(page))["headers.py"])
    (words,) = re.findall(r"^```\n(filter .*)\n```$", page, re.M)
    text = page[page.index("- name: known-headers") :].partition("```")[0]
    bad = yaml.safe_load(text.replace("[accept, x-api-key]", "accept"))[0]
    path = write_bootstrap(tmp_path / "b.json", "127.0.0.1:9")
    tree = json.loads(path.read_text())
    chain = tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    chain["typed_config"]["http_filters"].insert(0, bad)
    path.write_text(json.dumps(tree))
    process = await spawn("sidecar", "--bootstrap", str(path), env={"EVENTMESH_FILTERS": str(tmp_path)})
    async with asyncio.timeout(WAIT_S):
        _, said = await process.communicate()
    assert process.returncode == 2 and words in said.decode()


@asynccontextmanager
async def filtered(
    name: str, directory: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 30.0
) -> AsyncIterator[Plane]:
    (directory / "odd.py").write_text(ODD)
    monkeypatch.setenv("EVENTMESH_FILTERS", str(directory))
    async with backend() as upstream, running(with_filter(proxy(upstream), name, timeout_s)) as plane:
        yield Plane(plane, upstream)


def with_filter(snapshot: Snapshot, name: str, timeout_s: float = 30.0) -> Snapshot:
    step = AccessStep("python", PythonFilter("odd.py", name, timeout_s))
    listener = dataclasses.replace(snapshot.listeners[0], filters=Filters(access=(step,)))
    return dataclasses.replace(snapshot, listeners=(listener,))


@dataclasses.dataclass
class Plane:
    plane: DataPlane
    upstream: str

    async def ask(self, path: str) -> Reply:
        return await ask(self.plane.addresses()["edge"], path)


async def test_requests_are_held_while_a_filter_awaits_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with filtered("held", tmp_path, monkeypatch) as world, asyncio.timeout(WAIT_S):
        answers = await asyncio.gather(*map(world.ask, ("/1", "/2", "/3", "/open")))
        assert [(one.status, one.headers["x-path"]) for one in answers] == [
            (200, "/1"),
            (200, "/2"),
            (200, "/3"),
            (200, "/open"),
        ]


async def test_a_filter_that_fails_leaves_its_request_to_the_failure_policy_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with filtered("odd", tmp_path, monkeypatch) as world:
        for path in ("/raises", "/nothing", "/unsendable", "/status"):
            assert (await world.ask(path)).status == 503, path
            assert (await world.ask("/fine")).status == 200


async def test_a_filter_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with filtered("slow", tmp_path, monkeypatch, timeout_s=0.05) as world, asyncio.timeout(WAIT_S):
        assert (await world.ask("/")).status == 503


async def test_a_configuration_with_an_unknown_filter_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with filtered("odd", tmp_path, monkeypatch) as world:
        with pytest.raises(ConfigError, match="has no filter 'other'; it has: held, odd, slow"):
            await world.plane.apply(with_filter(proxy(world.upstream), "other"))
        assert (await world.ask("/raises")).status == 503 and (await world.ask("/fine")).status == 200
        await world.plane.apply(proxy(world.upstream))
        assert (await world.ask("/raises")).status == 200
