"""What a token and a signing request become: a certificate of the account that the token proves, or a refusal."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from eventmesh.base.errors import UnavailableError
from eventmesh.kube.account_tokens import TokenRefusedError
from eventmesh.xds.control.certification import (
    AUDIENCE,
    MIN_LIFETIME,
    CertificateRefusedError,
    Certification,
    Why,
)
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.protobuf import delimited, fields, tag, varint
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.identity.rotation import LIFETIME
from tests.manual_clock import ManualClock
from tests.unit.xds.identity.signing_requests import key, request

SHOWN = {"authorization": "Bearer robots-own"}
ROBOT = "spiffe://cluster.local/ns/shop/sa/robot"


class Reviews:
    """Knows one token."""

    def __init__(self) -> None:
        self.subjects = {"robots-own": "system:serviceaccount:shop:robot"}
        self.away = False

    async def subject(self, token: str, audience: str) -> str:
        assert audience == AUDIENCE
        if self.away:
            raise UnavailableError("the bearer token cannot be checked now")
        if token not in self.subjects:
            raise TokenRefusedError("the bearer token is not one of this cluster's, or no longer")
        return self.subjects[token]


class World:
    def __init__(self, directory: Path) -> None:
        clock = ManualClock()
        self.clock = clock
        self.reviews = Reviews()
        self.authority = OwnAuthority(RootFiles(directory), clock)
        self.identities = Identities(self.authority, clock, "cluster.local")
        self.metrics = Metrics()
        self.service = Certification(self.reviews, self.authority, self.identities, self.metrics)
        self.key = key()

    async def ask(self, *uris: str, seconds: int = 0, metadata: dict[str, str] | None = None) -> list[str]:
        """Return the certificates of the answer, as texts."""
        asked = tag(3, 0) + varint(seconds) if seconds else b""
        message = delimited(1, request(self.key, *uris).encode()) + asked
        answer = await self.service.answer(SHOWN if metadata is None else metadata, message)
        return [bytes(value).decode() for _, value in fields(memoryview(answer)) if not isinstance(value, int)]

    async def refused(self, *uris: str, seconds: int = 0, metadata: dict[str, str] | None = None) -> tuple[Why, str]:
        with pytest.raises(CertificateRefusedError) as refused:
            await self.ask(*uris, seconds=seconds, metadata=metadata)
        assert "robots-own" not in str(refused.value) and self.metrics.uncertified[refused.value.why.value]
        return refused.value.why, str(refused.value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def leaf(answer: list[str]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(answer[0].encode())


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.UniformResourceIdentifier)


@pytest.mark.parametrize("uris", [(), (ROBOT,)])
async def test_the_account_that_the_token_proves_is_certified(world: World, uris: tuple[str, ...]) -> None:
    answer = await world.ask(*uris)
    found = leaf(answer)
    assert (names(found), found.public_key()) == ([ROBOT], world.key.public_key())
    assert answer[-1] == world.identities.bundle() and len(answer) == 2
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(answer[-1].encode()))
    assert "eventmesh_control_certificate_requests_total 1" in world.metrics.render({}, {})


async def test_a_request_for_another_identity_is_refused_by_both_names(world: World) -> None:
    why, said = await world.refused("spiffe://cluster.local/ns/bank/sa/vault")
    assert why is Why.IDENTITY
    assert said == f"the signing request asks for spiffe://cluster.local/ns/bank/sa/vault, the token is that of {ROBOT}"


@pytest.mark.parametrize("metadata", [{}, {"authorization": "Bearer "}, {"authorization": "Basic x"}])
async def test_who_shows_no_token_is_told_which_one_to_show(world: World, metadata: dict[str, str]) -> None:
    why, said = await world.refused(metadata=metadata)
    assert why is Why.TOKEN and AUDIENCE in said


async def test_a_token_that_proves_nothing_is_refused_and_counted(world: World) -> None:
    why, said = await world.refused(metadata={"authorization": "Bearer forged"})
    assert (why, said) == (Why.TOKEN, "the bearer token is not one of this cluster's, or no longer")
    line = 'eventmesh_control_certificate_requests_refused_total{reason="token"} 1'
    assert line in world.metrics.render({}, {})


@pytest.mark.parametrize("subject", ["alice", "system:serviceaccount:shop", "system:serviceaccount::robot"])
async def test_who_is_no_service_account_gets_nothing(world: World, subject: str) -> None:
    world.reviews.subjects["robots-own"] = subject
    why, said = await world.refused()
    assert why is Why.TOKEN and "no service account" in said


async def test_an_api_that_is_away_refuses_for_now(world: World) -> None:
    world.reviews.away = True
    assert (await world.refused())[0] is Why.UNAVAILABLE
    world.reviews.away = False
    assert names(leaf(await world.ask())) == [ROBOT]


@pytest.mark.parametrize("message", [b"", b"\xff", delimited(1, b"nothing"), delimited(1, b"\xff\xfe")])
async def test_a_message_without_a_signing_request_is_refused(world: World, message: bytes) -> None:
    with pytest.raises(CertificateRefusedError) as refused:
        await world.service.answer(SHOWN, message)
    assert refused.value.why is Why.REQUEST


@pytest.mark.parametrize(
    ("seconds", "granted"),
    [(0, LIFETIME), (3600, timedelta(hours=1)), (MIN_LIFETIME.seconds, MIN_LIFETIME), (10**9, LIFETIME)],
)
async def test_a_shorter_life_is_granted_and_a_longer_one_is_not(
    world: World, seconds: int, granted: timedelta
) -> None:
    assert leaf(await world.ask(seconds=seconds)).not_valid_after_utc == world.clock.now() + granted


@pytest.mark.parametrize("seconds", [1, MIN_LIFETIME.seconds - 1, -1])
async def test_a_life_that_leaves_no_time_to_renew_is_refused(world: World, seconds: int) -> None:
    why, said = await world.refused(seconds=seconds)
    assert why is Why.REQUEST and f"validity_duration is {seconds} seconds; the least is 600" in said


async def test_keys_of_other_curves_are_certified_as_they_are(world: World) -> None:
    world.key = ec.generate_private_key(ec.SECP384R1())
    assert leaf(await world.ask()).public_key() == world.key.public_key()
