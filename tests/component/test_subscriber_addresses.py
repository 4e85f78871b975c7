"""Where events go outside the mesh: under TLS, to no port that takes orders, and never on to where an answer points."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import Object
from eventmesh.kube.resources import TRIGGER
from eventmesh.kube.status import condition
from tests.component.broker_world import World, world_in
from tests.component.https_sinks import HttpsSink, SinkAuthority
from tests.mesh.broker_mesh import SHOP


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def trigger(world: World, name: str, uri: str, **more: str) -> None:
    spec = {"broker": SHOP, "subscriber": {"uri": uri, **more}, "filter": {}, "delivery": {"retry": 0}}
    await world.mesh.bench.create(TRIGGER, name, spec)
    await world.log.heard("delivering", trigger=f"default/{name}")


async def refusal(world: World, uri: str, **more: str) -> Object:
    spec = {"broker": SHOP, "subscriber": {"uri": uri, **more}, "filter": {}}
    await world.mesh.bench.create(TRIGGER, "refused", spec)

    def is_refused(obj: Object) -> bool:
        return (condition(obj, "SubscriberResolved") or {}).get("status") == "False"

    found = await world.mesh.bench.until(TRIGGER, "refused", is_refused)
    await world.mesh.bench.api.delete(TRIGGER, "refused", "default")
    await world.mesh.bench.until_count(TRIGGER, 0)
    return condition(found, "SubscriberResolved") or {}


async def kept(world: World, name: str) -> str:
    return str((await world.log.heard("event kept as dead letter", trigger=f"default/{name}"))["reason"])


async def test_an_https_subscriber_is_believed_by_its_name_and_its_authority(world: World, tmp_path: Path) -> None:
    authority = SinkAuthority()
    authority.certify(tmp_path / "server.pem", "localhost")
    async with HttpsSink(tmp_path / "server.pem").listening() as sink:
        await trigger(world, "secured", sink.url, CACerts=authority.pem)
        await trigger(world, "stranger", sink.url)
        await world.send("1")
        assert "certificate_unknown_authority" in await kept(world, "stranger")
        await world.mesh.bench.until(TRIGGER, "secured", lambda t: t["status"]["subscriberCACerts"] == authority.pem)
        await sink.until("1")


async def test_a_certificate_of_another_name_gets_no_event(world: World, tmp_path: Path) -> None:
    authority = SinkAuthority()
    authority.certify(tmp_path / "server.pem", "other.example")
    async with HttpsSink(tmp_path / "server.pem").listening() as sink:
        await trigger(world, "secured", sink.url, CACerts=authority.pem)
        await world.send("1")
        assert "certificate_wrong_name" in await kept(world, "secured")
        assert sink.got == []


async def test_metadata_services_are_refused_in_the_condition(world: World) -> None:
    for uri in ("http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/", "https://[fe80::1]/"):
        told = await refusal(world, uri)
        assert told["reason"] == "AddressRefused"
    assert (await refusal(world, "https://hook.test/", CACerts="-----BEGIN"))["reason"] == "CACertsInvalid"
    assert (await refusal(world, "https://10.0.0.1/"))["reason"] == "TLSNotSupported"


async def test_a_name_for_a_control_port_is_seen_through_when_it_is_dialled(world: World) -> None:
    port = world.admin.rpartition(":")[2]
    # The admin page that ends the process takes a POST from whoever reaches it.
    await trigger(world, "attack", f"http://localhost:{port}/quitquitquit")
    await world.send("1")
    assert "no answer" in await kept(world, "attack")
    assert "control port" in str((await world.log.heard("subscriber not dialled"))["reason"])
    await world.send("2")


async def test_an_answer_that_points_elsewhere_is_not_followed(world: World) -> None:
    secret = await world.subscriber()
    pointing = await world.subscriber(lambda event: web.Response(status=307, headers={"location": secret.url}))
    await trigger(world, "pointing", pointing.url)
    await world.send("1")
    assert "answered 307" in await kept(world, "pointing")
    assert secret.got == [] and secret.refused == 0
