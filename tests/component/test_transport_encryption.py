"""`transport-encryption`: events by http, by both, by https alone; who is believed where events go by https."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.activator.https_entrance import LISTENER
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import (
    BROKER,
    CHANNEL,
    CONFIG_MAP,
    ENDPOINT_SLICE,
    JOB,
    JOB_SINK,
    PING_SOURCE,
    REQUEST_REPLY,
    SECRET,
    SERVICE,
    TRIGGER,
)
from eventmesh.kube.server_certificates import NAMESPACE, SECRETS, names_of
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.component.https_sinks import HOUR, HttpsSink, SinkAuthority, curl
from tests.component.processes import program, spawn
from tests.mesh.broker_mesh import SHOP, broker_mesh, event_headers
from tests.peers.tools import tool
from tests.waiting import WAIT_S

BROKER_HOST = "broker-ingress.knative-eventing.svc.cluster.local"
BROKER_URL = f"https://{BROKER_HOST}/default/{SHOP}"
HTTP_URL = f"http://{BROKER_HOST}/default/{SHOP}"


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def switch(world: World, value: str) -> Object:
    """Ask for encryption; return the Broker whose address says so, once the activator does it."""
    api, data = world.mesh.bench.api, {"transport-encryption": value}
    config = {"metadata": {"name": "config-features", "namespace": NAMESPACE}, "data": data}
    maps = await api.list(CONFIG_MAP, NAMESPACE, field_selector="metadata.name=config-features")
    await (
        api.replace(CONFIG_MAP, {**maps.items[0], **{"data": data}})
        if maps.items
        else api.create(CONFIG_MAP, config, NAMESPACE)
    )
    first = {"strict": BROKER_URL, "permissive": BROKER_URL}.get(value, HTTP_URL)
    plain = BROKER_URL if value == "strict" else HTTP_URL

    def says_so(broker: Object) -> bool:
        status = broker["status"]
        preferred = (status.get("addresses") or [status.get("address") or {}])[0]
        return preferred.get("url") == first and status["address"]["url"] == plain and is_ready(broker)

    found = await world.mesh.bench.until(BROKER, SHOP, says_so)
    async with asyncio.timeout(WAIT_S):
        while (LISTENER in world.addresses()) != (value in ("strict", "permissive")):
            await asyncio.sleep(0.01)
        while (await world.ask(body=b"", headers={})).status != (404 if value == "strict" else 400):
            await asyncio.sleep(0.01)
    return found


def authorities(tmp_path: Path, obj: Object) -> str:
    """Write the authorities that a status tells of to a file; return its path."""
    file = tmp_path / "ca.pem"
    file.write_text(obj["status"]["addresses"][0]["CACerts"])
    return str(file)


async def bundle(world: World, name: str, **data: str) -> None:
    metadata = {"name": name, "labels": {"networking.knative.dev/trust-bundle": "true"}}
    await world.mesh.bench.api.create(CONFIG_MAP, {"metadata": metadata, "data": data}, NAMESPACE)


async def subscribed(world: World, name: str, subscriber: dict[str, Any], **delivery: Any) -> None:
    spec = {"broker": SHOP, "subscriber": subscriber, "filter": {}, "delivery": {"retry": 0, **delivery}}
    await world.mesh.bench.create(TRIGGER, name, spec)
    await world.mesh.bench.until(TRIGGER, name, is_ready)
    await world.log.heard("delivering", trigger=f"default/{name}")


@pytest.mark.peer
async def test_permissive_takes_both_and_names_https_first_with_its_authorities(world: World, tmp_path: Path) -> None:
    broker = await switch(world, "permissive")
    https, http, *_ = broker["status"]["addresses"]
    assert (https["name"], https["url"], http["url"]) == ("https", BROKER_URL, HTTP_URL)
    assert broker["status"]["address"] == http and "CACerts" not in http
    at, ca = world.addresses()[LISTENER], authorities(tmp_path, broker)
    assert await curl(BROKER_URL, at, "1", "--cacert", ca) == (0, 202)
    assert await curl(BROKER_URL, at, "1", "--cacert", ca, "--http1.1", "--tls-max", "1.2") == (0, 202)
    assert await curl(HTTP_URL, world.broker, "1") == (0, 202)
    # curl's 60: the certificate is not believed by whom the machine trusts alone.
    assert await curl(BROKER_URL, at, "1") == (60, 0)


@pytest.mark.peer
async def test_strict_takes_https_alone_and_the_switch_is_obeyed_without_a_restart(
    world: World, tmp_path: Path
) -> None:
    broker = await switch(world, "strict")
    assert [address["url"] for address in broker["status"]["addresses"]] == [BROKER_URL]
    ca = authorities(tmp_path, broker)
    assert await curl(BROKER_URL, world.addresses()[LISTENER], "1", "--cacert", ca) == (0, 202)
    refused = await world.ask(headers=event_headers("1"))
    assert refused.status == 404 and "https alone" in refused.text
    await switch(world, "permissive")
    assert await curl(HTTP_URL, world.broker, "1") == (0, 202)
    assert await curl(BROKER_URL, world.addresses()[LISTENER], "1", "--cacert", ca) == (0, 202)
    broker = await switch(world, "disabled")
    assert "addresses" not in broker["status"]
    assert await curl(HTTP_URL, world.broker, "1") == (0, 202)


@pytest.mark.peer
async def test_tls_before_1_2_is_not_spoken(world: World) -> None:
    await switch(world, "strict")
    old = ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    for version, accepted in ((old, False), (("-tls1_2",), True), (("-tls1_3",), True)):
        command = (tool("openssl"), "s_client", "-connect", world.addresses()[LISTENER], "-servername", BROKER_HOST)
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        async with program(*command, *version, stdin=nothing, stdout=pipe, stderr=pipe) as process:
            said, _ = await process.communicate()
        assert (b"BEGIN CERTIFICATE" in said) is accepted, version


async def test_a_value_that_is_none_is_named_and_events_come_as_before(world: World) -> None:
    await switch(world, "srict")
    reason = "FeatureWithoutEffect"
    broker = await world.mesh.bench.until(
        BROKER, SHOP, lambda b: (condition(b, "Addressable") or {}).get("reason") == reason
    )
    told = condition(broker, "Addressable") or {}
    assert told["status"] == "True"
    assert "transport-encryption: srict (it may be disabled, permissive, strict)" in told["message"]


async def test_a_renewed_certificate_is_shown_and_open_connections_go_on(world: World, tmp_path: Path) -> None:
    broker = await switch(world, "strict")
    context = ssl.create_default_context(cafile=authorities(tmp_path, broker))
    host, _, port = world.addresses()[LISTENER].rpartition(":")

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=BROKER_HOST)
        return reader, writer, int(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16)

    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in event_headers("1").items())
        writer.write(f"POST /default/{SHOP} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n{fields}\r\n{{}}".encode())
        return await reader.readuntil(b"\r\n\r\n")

    reader, writer, first = await connect()
    try:
        assert b" 202 " in await post(reader, writer)
        key = SECRETS["broker-ingress.knative-eventing"]
        await world.mesh.bench.api.delete(SECRET, key.name, key.namespace)
        async with asyncio.timeout(WAIT_S):
            serial = first
            while serial == first:
                _, later, serial = await connect()
                later.close()
        assert b" 202 " in await post(reader, writer)
    finally:
        writer.close()


@pytest.mark.peer
async def test_a_secret_of_somebody_else_is_shown_and_one_that_is_broken_is_named(world: World, tmp_path: Path) -> None:
    service, authority = "broker-ingress.knative-eventing", SinkAuthority("the company's")
    authority.certify(tmp_path / "server.pem", names_of(service, "")[0])
    text = (tmp_path / "server.pem").read_text()
    entries = {"tls.key": text, "tls.crt": text[text.index("-----BEGIN CERT") :], "ca.crt": authority.pem}
    key = SECRETS[service]
    secret = {
        "metadata": {"name": key.name, "namespace": key.namespace},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in entries.items()},
    }
    await world.mesh.bench.api.create(SECRET, secret, key.namespace)
    broker = await switch(world, "strict")
    assert broker["status"]["address"]["CACerts"] == authority.pem
    at, ca = world.addresses()[LISTENER], authorities(tmp_path, broker)
    assert await curl(BROKER_URL, at, "1", "--cacert", ca) == (0, 202)

    stored = await world.mesh.bench.api.get(SECRET, key.name, key.namespace)
    broken = {**stored["data"], "tls.crt": base64.b64encode(b"none").decode()}
    await world.mesh.bench.api.replace(SECRET, {**stored, "data": broken})
    told = await world.mesh.bench.until(BROKER, SHOP, lambda b: not is_ready(b))
    assert (condition(told, "Addressable") or {})["reason"] == "CertificateNotFound"
    assert "data['tls.crt']: holds no certificates" in (condition(told, "Addressable") or {})["message"]
    await world.log.heard("certificate not shown, the former one stays", secret=key)
    assert await curl(BROKER_URL, at, "1", "--cacert", ca) == (0, 202)


@pytest.mark.peer
async def test_every_kind_tells_an_https_address_and_takes_events_there(world: World, tmp_path: Path) -> None:
    bench, reference = world.mesh.bench, {"apiVersion": BROKER.api_version, "kind": "Broker", "name": SHOP}
    job = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "j", "image": "x"}]}}}}
    made: list[tuple[Resource, str, dict[str, Any], int]] = [
        (CHANNEL, "imc-dispatcher", {}, 202),
        (JOB_SINK, "job-sink", {"job": job}, 202),
        (REQUEST_REPLY, "request-reply", {"brokerRef": reference}, 200),
    ]
    await world.trigger("answers", await world.subscriber(_answer), type="order")
    for kind, service, spec, _ in made:
        await bench.create(kind, "taker", spec)
        host = f"{service}.knative-eventing.svc.cluster.local"
        async with asyncio.timeout(WAIT_S):
            # 404 until the activator knows of it.
            while (await world.ask("/default/taker", body=b"", headers={"host": host})).status == 404:
                await asyncio.sleep(0.01)
    await switch(world, "strict")
    for kind, service, _, status in made:
        url = f"https://{service}.knative-eventing.svc.cluster.local/default/taker"
        found = await bench.until(kind, "taker", partial(_is_at, url))
        ca = authorities(tmp_path, found)
        async with asyncio.timeout(WAIT_S):
            # The activator hears of one Secret after the other.
            while await curl(url, world.addresses()[LISTENER], "1", "--cacert", ca) != (0, status):
                await asyncio.sleep(0.1)


def _is_at(url: str, obj: Object) -> bool:
    return bool(is_ready(obj) and obj["status"]["address"]["url"] == url)


def _answer(event: Any) -> web.Response | None:
    if "correlationid" not in event.attributes:
        return None
    headers = event_headers("answer", type="answer", replyid=event.attributes["correlationid"])
    return web.Response(status=200, headers=headers, body=b"{}")


async def test_events_reach_brokers_channels_and_job_sinks_at_their_https_addresses(world: World) -> None:
    await switch(world, "strict")
    bench = world.mesh.bench
    job = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "j", "image": "x"}]}}}}
    await bench.create(JOB_SINK, "jobs", {"job": job})
    await bench.until(JOB_SINK, "jobs", is_ready)
    sink = {"ref": {"apiVersion": JOB_SINK.api_version, "kind": "JobSink", "name": "jobs"}}
    await subscribed(world, "to-jobs", sink, retry=10, backoffDelay="PT0.1S")
    got = await world.subscriber()
    await world.trigger("from-clock", got, type="dev.knative.sources.ping")
    broker = {"ref": {"apiVersion": BROKER.api_version, "kind": "Broker", "name": SHOP}}
    await bench.create(PING_SOURCE, "clock", {"schedule": "* * * * * *", "sink": broker})
    source = await bench.until(PING_SOURCE, "clock", is_ready)
    assert source["status"]["sinkUri"] == BROKER_URL
    assert "BEGIN CERTIFICATE" in source["status"]["sinkCACerts"]
    await got.until(lambda: bool(got.got))
    async with asyncio.timeout(WAIT_S):
        while not (await bench.api.list(JOB, "default")).items:
            await asyncio.sleep(0.01)


async def test_a_service_with_authorities_is_spoken_to_under_tls_inside_the_mesh(world: World, tmp_path: Path) -> None:
    authority, bench = SinkAuthority(), world.mesh.bench
    authority.certify(tmp_path / "server.pem", "sink.default.svc.cluster.local")
    async with HttpsSink(tmp_path / "server.pem").listening() as sink:
        await bench.create(SERVICE, "sink", {"ports": [{"name": "https", "port": 443}]})
        reference = {"apiVersion": "v1", "kind": "Service", "name": "sink"}
        destination = {"ref": reference, "CACerts": authority.pem}
        await subscribed(world, "to-service", destination, retry=20, backoffDelay="PT0.1S")
        found = await bench.until(TRIGGER, "to-service", is_ready)
        assert found["status"]["subscriberUri"] == "https://sink.default.svc.cluster.local"
        await world.send("1")
        endpoints = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": "sink-0", "labels": {"kubernetes.io/service-name": "sink"}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": sink.port, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        }
        await bench.api.create(ENDPOINT_SLICE, endpoints, "default")
        await sink.until("1")


async def test_trust_bundles_vouch_beside_the_address_whatever_others_hold(world: World, tmp_path: Path) -> None:
    authority = SinkAuthority()
    authority.certify(tmp_path / "server.pem", "localhost")
    async with HttpsSink(tmp_path / "server.pem").listening() as sink:
        # Somebody else's CACerts hide neither bundles nor whom the machine trusts.
        destination = {"uri": sink.url, "CACerts": SinkAuthority("somebody else's").pem}
        await subscribed(world, "bundled", destination, retry=50, backoffDelay="PT0.1S", backoffPolicy="linear")
        await world.send("1")
        attempt = await first_attempt(world, 1)
        assert attempt["error"].startswith("certificate_unknown_authority: signed by none of CN=somebody else's,")
        await bundle(world, "wrong", **{"ca.crt": "none"})
        await bundle(world, "right", **{"ca.crt": authority.pem})
        await sink.until("1")


async def test_an_expired_certificate_fails_with_a_code_and_is_tried_again(world: World, tmp_path: Path) -> None:
    authority, file = SinkAuthority(), tmp_path / "server.pem"
    authority.certify(file, "localhost", since=2 * HOUR, until=timedelta(minutes=-30))
    async with HttpsSink(file).listening() as sink:
        destination = {"uri": sink.url, "CACerts": authority.pem}
        await subscribed(world, "expired", destination, retry=50, backoffDelay="PT0.1S", backoffPolicy="linear")
        await world.send("1")
        assert (await first_attempt(world, 1))["error"] == "certificate_expired"
        authority.certify(file, "localhost")
        sink.renew()
        await sink.until("1")


async def first_attempt(world: World, sequence: int) -> dict[str, Any]:
    """Return the first attempt in the timeline of an event."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await world.ask_admin(f"/events/{sequence}/trace")
            if answer.status == 200 and (attempts := json.loads(answer.text)["attempts"]):
                return dict(attempts[0])
            await asyncio.sleep(0.01)


async def test_an_activator_whose_https_port_is_taken_ends_and_names_it(tmp_path: Path) -> None:
    async with broker_mesh(tmp_path) as mesh:
        config = {"metadata": {"name": "config-features"}, "data": {"transport-encryption": "permissive"}}
        await mesh.bench.api.create(CONFIG_MAP, config, NAMESPACE)
        async with asyncio.timeout(WAIT_S):
            while len((await mesh.bench.api.list(SECRET, NAMESPACE)).items) < len(SECRETS):
                await asyncio.sleep(0.01)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            words = list(mesh.command())
            words[words.index("--broker-tls") + 1] = address
            process = await spawn(*words)
            async with asyncio.timeout(60):
                _, said = await process.communicate()
        assert process.returncode == UnavailableError.exit_code
        assert address in said.decode().splitlines()[-1]
