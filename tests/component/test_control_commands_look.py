"""`eventmesh control status`, `routes`, `diff` and `/metrics`, asked of a control that serves a client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from eventmesh.cli.main import main
from eventmesh.kube.api import Object
from eventmesh.kube.resources import KINGRESS, SERVICE
from eventmesh.kube.status import condition
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import AdsClient, connected
from tests.component.control_bench import CLASS, Bench
from tests.component.planes import ask

RDS = ResourceType.ROUTE
Capture = pytest.CaptureFixture[str]


class World:
    def __init__(self, bench: Bench, admin: str, gateway: AdsClient) -> None:
        self.bench = bench
        self.admin = admin
        self.gateway = gateway

    async def run(self, *words: str) -> int:
        """Run a command against the admin port, beside the loop that serves it."""
        return await asyncio.to_thread(main, [*words, "--admin", self.admin])


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    bench = Bench(tmp_path)
    await bench.start()
    admin = f"127.0.0.1:{await bench.control.start_admin('127.0.0.1', 0)}"
    async with connected(bench.port, "gateway", "public", "local") as gateway:
        await gateway.until(lambda: "public" in gateway.held[RDS])
        await bench.ingress("a", "a.test", "svc")
        await bench.ready("a")
        yield World(bench, admin, gateway)
    await bench.stop()


async def test_status_shows_who_is_connected_and_how_far_each_has_come(world: World, capsys: Capture) -> None:
    assert await world.run("control", "status") == 0
    printed = capsys.readouterr().out
    heads, row, *_ = printed.splitlines()
    assert heads.split()[:5] == ["NODE", "ROLE", "NAMESPACE", "IDENTITY", "EXPIRES"]
    assert heads.split()[5:] == ["SDS", "CDS", "EDS", "LDS", "RDS", "CONNECTED"]
    assert row.split()[:4] == ["gateway-1", "gateway", "-", "-"] and row.count("SYNCED") == 4
    assert "objects awaiting acknowledgement: 0" in printed
    assert await world.run("control", "status", "-o", "json") == 0
    (client,) = json.loads(capsys.readouterr().out)["clients"]
    assert client["types"]["rds"]["resources"] == 2


async def test_status_shows_who_refused_what_in_its_own_words(world: World, capsys: Capture) -> None:
    world.gateway.refuse = lambda type_, body: "no such port" if b"broken" in body else None
    await world.bench.create(SERVICE, "broken", {"ports": [{"name": "http", "port": 80}]})
    await world.bench.ingress("b", "b.test", "broken")
    await world.bench.until(KINGRESS, "b", lambda obj: condition(obj, "NetworkConfigured") is not None)
    assert await world.run("control", "status") == 0
    printed = capsys.readouterr().out
    assert "ERROR" in printed
    assert "gateway-1 refused cds default/broken:80: no such port" in printed
    assert await world.run("control", "status", "-o", "yaml") == 0
    (client,) = yaml.safe_load(capsys.readouterr().out)["clients"]
    assert client["types"]["cds"]["refused"] == ["default/broken:80"]
    metrics = (await ask(world.admin, "/metrics")).body.decode()
    assert 'eventmesh_control_nacks_total{type="cds"} 1' in metrics


async def test_routes_shows_the_match_step_by_step_and_where_it_leads(world: World, capsys: Capture) -> None:
    assert await world.run("routes", "http://a.test/x", "--header", "k-network-hash=override") == 0
    printed = capsys.readouterr().out
    assert "virtual host default/a/0 (a.test)" in printed
    assert "route 0 TAKEN   path prefix /: yes, header k-network-hash exact 'override': yes" in printed
    assert "-> 100 % default/svc:80  [no endpoint: 503]" in printed
    assert await world.run("routes", "nowhere.test") == 1
    assert "404 no virtual host has the domain nowhere.test" in capsys.readouterr().out
    assert await world.run("routes", "a.test", "--as", "sidecar", "-n", "elsewhere", "-o", "json") == 0
    first, second = json.loads(capsys.readouterr().out)["hops"]
    assert first["outcome"]["forward"][0]["cluster"] == "eventmesh-system/gateway-internal"
    assert (second["at"], second["virtualHost"]["name"]) == ("gateway-local", "default/a/0")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("routes", "a.test", "--header", "tag"), "'tag' is not NAME=VALUE"),
        (("routes", "http:///x"), "names no host"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_exit_code_2(
    world: World, capsys: Capture, words: tuple[str, ...], problem: str
) -> None:
    assert await world.run(*words) == 2
    assert problem in capsys.readouterr().err


async def test_diff_shows_what_a_change_would_push_and_changes_nothing(
    world: World, capsys: Capture, tmp_path: Path
) -> None:
    stored = world.bench.stored(KINGRESS, "a")
    manifest = tmp_path / "change.yaml"

    def write(*objects: Object) -> None:
        manifest.write_text("\n---\n".join(json.dumps(obj) for obj in objects))

    write({key: stored[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "a"}})
    assert await world.run("diff", "-f", str(manifest)) == 0
    assert capsys.readouterr().out == "nothing would be pushed\n"
    added = {
        "apiVersion": KINGRESS.api_version,
        "kind": KINGRESS.kind,
        "metadata": {"name": "new", "annotations": {"networking.knative.dev/ingress-class": CLASS}},
        "spec": {"rules": [{**stored["spec"]["rules"][0], "hosts": ["new.test"]}]},
    }
    function = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "f"}}
    write(added, function)
    assert await world.run("diff", "-f", str(manifest)) == 1
    printed = capsys.readouterr().out
    rows = [line.split()[:5] for line in printed.splitlines()]
    assert ["gateway", "1", "rds", "public", "changed"] in rows
    assert ["+", "default/new/0"] in rows
    assert "not read by control, which sees what controllers make of it: Service/f" in printed
    assert world.bench.informers.of(KINGRESS).get("new", "default") is None


async def test_metrics_count_streams_pushes_and_the_time_to_the_last_acknowledgement(world: World) -> None:
    reply = await ask(world.admin, "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in reply.body.decode().splitlines() if not line.startswith("#"))
    assert lines['eventmesh_control_streams{role="gateway"}'] == "1"
    for name in ("build", "push", "convergence"):
        assert int(lines[f"eventmesh_control_{name}_seconds_count"]) > 0
    assert int(lines['eventmesh_control_pushes_total{type="rds"}']) >= 2
    assert (await ask(world.admin, "/ready")).status == 200
