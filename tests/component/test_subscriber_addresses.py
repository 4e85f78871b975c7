"""Where events go outside the mesh: under TLS, to no port that takes orders, and never on to where an answer points."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from eventmesh.kube.api import Object
from eventmesh.kube.resources import TRIGGER
from eventmesh.kube.status import condition
from tests.component.broker_world import World, world_in
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


@asynccontextmanager
async def secured(directory: Path, host: str) -> AsyncIterator[tuple[str, str, list[str]]]:
    """Serve https at localhost with a certificate for `host`; give the URL, the authority and the ids of events."""
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append(request.headers["ce-id"])
        return web.Response(status=202)

    authority = certify(directory / "server.pem", host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "server.pem")
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}/", authority, got
    finally:
        await runner.cleanup()


def certify(file: Path, host: str) -> str:
    """Write key and certificate of a server to `file`; return the authority that signed it, as PEM."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("authority", "server")]

    def certificate(subject: int, *, is_authority: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(names[subject])
            .issuer_name(names[0])
            .public_key(keys[subject].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(keys[0], hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    key = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key + certificate(1, is_authority=False).public_bytes(pem))
    return certificate(0, is_authority=True).public_bytes(pem).decode()


async def test_an_https_subscriber_is_believed_by_its_name_and_its_authority(world: World, tmp_path: Path) -> None:
    async with secured(tmp_path, "localhost") as (url, authority, got):
        await trigger(world, "secured", url, CACerts=authority)
        await trigger(world, "stranger", url)
        await world.send("1")
        assert "no answer" in await kept(world, "stranger")
        await world.mesh.bench.until(TRIGGER, "secured", lambda obj: obj["status"]["subscriberCACerts"] == authority)
        await until_got(world, got, "1")


async def test_a_certificate_of_another_name_gets_no_event(world: World, tmp_path: Path) -> None:
    async with secured(tmp_path, "other.example") as (url, authority, got):
        await trigger(world, "secured", url, CACerts=authority)
        await world.send("1")
        assert "no answer" in await kept(world, "secured")
        assert got == []


async def until_got(world: World, got: list[str], event_id: str) -> None:
    """Return when the event has come; what was delivered is on the timeline right after."""
    for _ in range(2000):
        if event_id in got:
            return
        await world.ask_admin("/ready")
    raise AssertionError(got)


async def test_metadata_services_are_refused_in_the_condition(world: World) -> None:
    for uri in ("http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/", "https://[fe80::1]/"):
        told = await refusal(world, uri)
        assert told["reason"] == "AddressRefused"
    assert (await refusal(world, "https://hook.test/", CACerts="-----BEGIN"))["reason"] == "CACertsInvalid"
    assert (await refusal(world, "https://10.0.0.1/"))["reason"] == "TLSNotSupported"
    assert (await refusal(world, "https://a.default.svc.cluster.local/"))["reason"] == "TLSNotSupported"


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
