"""Certificates for https that control keeps in Secrets: issued, renewed, signed anew, left to others."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import BROKER_INGRESS
from eventmesh.kube.resources import CONFIG_MAP, SECRET
from eventmesh.kube.server_certificates import NAMESPACE, SECRETS, names_of, parse
from eventmesh.xds.control.event_certificates import EventCertificates
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock, settle

KEY = SECRETS[BROKER_INGRESS]


class Kept:
    """The controller at work in virtual time; made by `kept`."""

    def __init__(self, api: Api, clock: ManualClock, identities: Identities) -> None:
        self.api = api
        self.clock = clock
        self.identities = identities

    async def switch(self, value: str) -> None:
        body = {"metadata": {"name": "config-features"}, "data": {"transport-encryption": value}}
        await self.api.create(CONFIG_MAP, body, NAMESPACE)
        await settle()

    async def secret(self) -> Object:
        return await self.api.get(SECRET, KEY.name, KEY.namespace)

    async def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(parse(await self.secret()).chain.encode())[0]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    clock = ManualClock()
    async with embedded(tmp_path, clock) as running:
        api = running.in_process()
        informers = Informers(api, clock)
        identities = Identities(OwnAuthority(RootFiles(tmp_path / "ca"), clock), clock, "cluster.local")
        certificates = EventCertificates(api, informers, identities, clock, "localhost")
        await informers.start()
        certificates.controller.start()
        await settle()
        yield Kept(api, clock, identities)
        await certificates.controller.stop()
        await informers.stop()


async def test_nothing_is_issued_before_it_is_asked_for(kept: Kept) -> None:
    assert (await kept.api.list(SECRET, NAMESPACE)).items == []
    with pytest.raises(ApiError):
        await kept.secret()


async def test_each_service_has_a_certificate_of_its_names_and_of_nobody_elses_identity(kept: Kept) -> None:
    await kept.switch("permissive")
    found = {secret["metadata"]["name"] for secret in (await kept.api.list(SECRET, NAMESPACE)).items}
    assert found == {key.name for key in SECRETS.values()}
    names = (await kept.certificate()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == names_of(BROKER_INGRESS, "localhost")
    ids = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert ids == ["spiffe://cluster.local/ns/knative-eventing/sa/broker-ingress"]
    assert parse(await kept.secret()).authorities == kept.identities.bundle()


async def test_it_is_replaced_at_half_its_life(kept: Kept) -> None:
    await kept.switch("strict")
    first = await kept.certificate()
    await kept.clock.advance(rotation.LIFETIME.total_seconds() / 2 - 60)
    await settle()
    assert await kept.certificate() == first
    await kept.clock.advance(120)
    await settle()
    assert (await kept.certificate()).serial_number != first.serial_number


async def test_a_new_root_is_told_at_once(kept: Kept) -> None:
    await kept.switch("strict")
    before = parse(await kept.secret()).authorities
    kept.identities.replace_root()
    await settle()
    after = parse(await kept.secret()).authorities
    assert after == kept.identities.bundle() != before


async def test_what_is_spoiled_or_deleted_is_made_anew(kept: Kept) -> None:
    await kept.switch("strict")
    stored = await kept.secret()
    spoiled = {**stored["data"], "tls.crt": base64.b64encode(b"none").decode()}
    await kept.api.replace(SECRET, {**stored, "data": spoiled})
    await settle()
    assert (await kept.certificate()).not_valid_after_utc > kept.clock.now() + timedelta(hours=1)
    await kept.api.delete(SECRET, KEY.name, KEY.namespace)
    await settle()
    assert await kept.certificate()


async def test_a_secret_of_somebody_else_is_left_alone(kept: Kept) -> None:
    data = {"tls.crt": "", "tls.key": ""}
    body = {"metadata": {"name": KEY.name}, "type": "kubernetes.io/tls", "data": data}
    theirs = await kept.api.create(SECRET, body, KEY.namespace)
    await kept.switch("strict")
    assert await kept.secret() == theirs
