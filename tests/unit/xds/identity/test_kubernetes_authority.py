"""An authority whose certificates a signer of the cluster makes: what it has signed, and what it gives to nobody."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.inprocess import InProcessApi
from eventmesh.kube.api import Object
from eventmesh.xds.control.mtls import MeshMtls
from eventmesh.xds.identity.cluster_signer import ClusterSigner
from eventmesh.xds.identity.issuer import CONTROL_HOST, RETRY_S, Identities, Renewed
from eventmesh.xds.identity.kubernetes_authority import KubernetesAuthority
from eventmesh.xds.identity.new_key import new_key, signing_request
from eventmesh.xds.identity.requests import RequestRefusedError, read_request
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.component.cluster_ca import NAME, ClusterCa
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock
from tests.unit.xds.identity.signing_requests import key, request

ROBOT = SpiffeId("cluster.local", "shop", "robot")
HOUR_S = 3600.0


class World:
    def __init__(self, api: InProcessApi, directory: Path) -> None:
        self.clock = ManualClock()
        self.ca = ClusterCa(api, self.clock)
        self.file = directory / "roots.pem"
        self.file.write_text(self.ca.roots)
        self.signer = ClusterSigner(api, self.clock, NAME)
        self.authority = KubernetesAuthority(self.signer, self.file, self.clock)
        self.identities = Identities(self.authority, self.clock, "cluster.local", draw=lambda: 0.5)
        self.control = self.identities.parts.control
        self.told: list[Renewed] = []
        self.identities.listen(self.told.append, lambda wanted: wanted == self.control)
        self.tasks = TaskGroup("test")
        self.tasks.spawn("ca", self.ca.run())


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with embedded(tmp_path) as running:
        world = World(running.in_process(), tmp_path)
        yield world
        await world.tasks.stop()
        await world.signer.stop()


def names(chain: str) -> list[str]:
    found = x509.load_pem_x509_certificate(chain.encode()).extensions
    return [str(name.value) for name in found.get_extension_for_class(x509.SubjectAlternativeName).value]


async def test_a_request_becomes_a_certificate_under_the_given_root(world: World) -> None:
    asked = read_request(new_key(str(ROBOT))[1])
    certified = await world.authority.sign(asked, ROBOT, timedelta(hours=2))
    assert names(certified.chain) == [str(ROBOT)] and world.authority.bundle() == world.ca.roots
    assert certified.expires_at == world.clock.now() + timedelta(hours=2)


async def refused(world: World, text: str, told: str) -> None:
    """Expect that nobody is asked to sign `text`."""
    with pytest.raises(RequestRefusedError, match=told):
        await world.authority.sign(read_request(text), ROBOT, timedelta(hours=1))
    assert world.ca.asked == []


async def test_a_request_that_does_not_name_the_identity_is_not_asked_for(world: World) -> None:
    told = f"must name {ROBOT}, once"
    await refused(world, request(key()), told)
    await refused(world, request(key(), str(ROBOT), str(ROBOT)), told)
    await refused(world, request(key(), "spiffe://cluster.local/ns/bank/sa/vault"), told)


def signed(builder: x509.CertificateSigningRequestBuilder) -> str:
    return builder.sign(key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def asking(*names: x509.GeneralName, user: str = "", more: x509.ExtensionType | None = None) -> str:
    """Return a request for the robot, and for what else is said."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)] if user else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(ROBOT)), *names])
    builder = builder.add_extension(san, critical=True)
    return signed(builder if more is None else builder.add_extension(more, critical=True))


KEY_USAGE = x509.KeyUsage(True, False, False, False, False, True, False, False, False)


async def test_a_request_for_more_than_the_identity_is_not_asked_for(world: World) -> None:
    for text, more in (
        (asking(x509.DNSName(CONTROL_HOST)), f"the name {CONTROL_HOST}"),
        (request(key(), str(ROBOT), "https://example.com"), "the name https://example.com"),
        (asking(user="system:admin"), "the subject CN=system:admin"),
        (asking(more=x509.BasicConstraints(ca=True, path_length=None)), "to sign others"),
        (asking(more=KEY_USAGE), "to sign others"),
        (asking(more=x509.InhibitAnyPolicy(0)), r"the extension 2\.5\.29\.54"),
    ):
        await refused(world, text, f"asks for {more} as well")


async def test_usual_extensions_and_an_organization_without_letters_are_no_more(world: World) -> None:
    text = asking(more=x509.BasicConstraints(ca=False, path_length=None))
    assert await world.authority.sign(read_request(text), ROBOT, timedelta(hours=1))
    assert read_request(asking()).more == ()


async def test_a_certificate_of_another_name_is_given_to_nobody(world: World) -> None:
    def other(request: Object) -> Object:
        asked = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        return world.ca.certificate(asked, x509.DNSName("anybody"), lifetime=timedelta(hours=1))

    world.ca.status = other
    told = f"the certificate of the signer {NAME} does not name {ROBOT}"
    with pytest.raises(UnavailableError, match=told):
        await world.authority.sign(read_request(new_key(str(ROBOT))[1]), ROBOT, timedelta(hours=1))


async def test_control_has_its_own_before_it_serves_and_is_asked_again_at_half_its_life(world: World) -> None:
    await world.identities.prepare()
    first = world.identities.current(world.control)
    assert names(first.chain) == [str(world.control), CONTROL_HOST] and len(world.ca.asked) == 1
    world.tasks.spawn("identities", world.identities.run())
    await world.clock.advance(12 * HOUR_S)
    await until(world, Renewed(frozenset({world.control})))
    second = world.identities.current(world.control)
    assert len(world.ca.asked) == 2 and second.key != first.key
    assert second.issued_at - first.issued_at == timedelta(hours=12)


async def until(world: World, renewed: Renewed) -> None:
    """Let the API and the signer, which take no time of the clock, go as far as they can."""
    for _ in range(200):
        if world.told:
            break
        await world.clock.advance(0)
    assert world.told == [renewed]


async def test_control_goes_on_with_what_it_has_while_the_signer_is_away(world: World) -> None:
    await world.identities.prepare()
    first = world.identities.current(world.control)
    world.tasks.spawn("identities", world.identities.run())
    world.ca.status = lambda _: None
    await world.clock.advance(13 * HOUR_S)
    assert world.told == [] and world.identities.current(world.control) is first
    world.ca.status = world.ca.signed
    await world.clock.advance(2 * RETRY_S)
    await until(world, Renewed(frozenset({world.control})))


async def test_certificates_that_are_rotated_at_once_are_asked_for(world: World) -> None:
    await world.identities.prepare()
    first = world.identities.current(world.control)
    assert await world.identities.replace_certificates() == 1
    assert world.identities.current(world.control).serial != first.serial and len(world.ca.asked) == 2


async def test_a_root_is_the_signers_to_replace(world: World) -> None:
    with pytest.raises(UnavailableError, match="append its next root to the file of --ca-root"):
        world.identities.replace_root()
    assert not world.authority.turn()


async def test_nobody_but_control_is_made_a_key(world: World) -> None:
    assert list(MeshMtls(world.identities).secrets(ROBOT)) == ["ROOTCA"]
    with pytest.raises(UnavailableError, match=f"has not been asked for a certificate of {ROBOT}"):
        world.identities.current(ROBOT)


async def test_roots_that_are_none_are_refused_by_their_file(world: World) -> None:
    await world.identities.prepare()
    world.file.write_text(world.ca.roots + world.identities.current(world.control).chain)
    with pytest.raises(ConfigError, match=r"roots\.pem.*holds CN=somebody, which is no root"):
        KubernetesAuthority(world.signer, world.file, world.clock)
    world.file.write_text(signing_request(key(), "x:y"))
    with pytest.raises(ConfigError, match=r"roots\.pem.*holds no certificate"):
        KubernetesAuthority(world.signer, world.file, world.clock)
    world.file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        KubernetesAuthority(world.signer, world.file, world.clock)
