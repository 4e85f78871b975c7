"""What others have signed: taken when it is what was asked for, and refused by what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from eventmesh.base.x509 import builder, common_name
from eventmesh.xds.identity.signed_chain import (
    LEAST_LEFT,
    MAX_CERTIFICATES,
    MAX_CHAIN_CHARS,
    WrongCertificateError,
    checked,
)
from eventmesh.xds.identity.signer import pem
from eventmesh.xds.identity.spiffe import SpiffeId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROBOT = SpiffeId("cluster.local", "shop", "robot")
NAME = x509.UniformResourceIdentifier(str(ROBOT))
HOST = "control.eventmesh-system.svc"
DAY = timedelta(days=1)


class Ca:
    """An authority under another one, or a root."""

    def __init__(self, name: str, above: Ca | None = None, *, is_authority: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = common_name(name)
        extension = x509.BasicConstraints(ca=is_authority, path_length=None)
        self.certificate = (above or self).sign(self.key, self.name, DAY * 30, [extension])

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        lifetime: timedelta,
        extensions: Sequence[x509.ExtensionType],
        now: datetime = NOW,
    ) -> x509.Certificate:
        made = builder(subject, self.name, key.public_key(), now, lifetime)
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return made.sign(self.key, hashes.SHA256())

    def leaf(
        self,
        *names: x509.GeneralName,
        lifetime: timedelta = DAY,
        now: datetime = NOW,
        more: Sequence[x509.ExtensionType] = (),
    ) -> x509.Certificate:
        extensions = [x509.SubjectAlternativeName(names), *more] if names else more
        return self.sign(KEY, x509.Name([]), lifetime, extensions, now)


KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = Ca("root")
BETWEEN = Ca("between", ROOT)
LAST = Ca("last", BETWEEN)


def refused(text: str, hosts: Sequence[str] = (), roots: Sequence[Ca] = (ROOT,)) -> str:
    with pytest.raises(WrongCertificateError) as found:
        checked(text, KEY.public_key(), ROBOT, hosts, [root.certificate for root in roots], NOW)
    return str(found.value)


def test_a_chain_is_taken_in_order_without_its_root_and_without_what_is_no_part_of_it() -> None:
    leaf = LAST.leaf(NAME)
    others = [ROOT.certificate, BETWEEN.certificate, Ca("stranger").certificate, LAST.certificate]
    text = "".join(map(pem, (leaf, *others)))
    found = checked(text, KEY.public_key(), ROBOT, (), [Ca("other").certificate, ROOT.certificate], NOW)
    assert found.chain == pem(leaf) + pem(LAST.certificate) + pem(BETWEEN.certificate)
    assert (found.issued_at, found.expires_at, found.serial) == (NOW, NOW + DAY, leaf.serial_number)


def test_host_names_that_were_asked_for_are_required_and_others_are_not_taken() -> None:
    both = pem(ROOT.leaf(NAME, x509.DNSName(HOST)))
    assert checked(both, KEY.public_key(), ROBOT, (HOST,), [ROOT.certificate], NOW).chain == both
    assert refused(both) == f"names {HOST} as well, which was not asked for"
    assert refused(pem(ROOT.leaf(NAME)), (HOST,)) == f"does not name {HOST}"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), f"names nobody, not {ROBOT}"),
        ((x509.UniformResourceIdentifier("spiffe://cluster.local/ns/bank/sa/vault"),), f"does not name {ROBOT}"),
        (
            (NAME, x509.UniformResourceIdentifier("spiffe://cluster.local/ns/bank/sa/vault")),
            "names spiffe://cluster.local/ns/bank/sa/vault as well",
        ),
    ],
)
def test_another_identity_is_refused(names: tuple[x509.GeneralName, ...], told: str) -> None:
    assert told in refused(pem(ROOT.leaf(*names)))


def test_another_key_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    made = ROOT.sign(other, x509.Name([]), DAY, [x509.SubjectAlternativeName([NAME])])
    assert refused(pem(made)) == "is of another key than the request"


def test_what_has_expired_or_soon_will_or_is_not_valid_yet_is_refused() -> None:
    assert refused(pem(ROOT.leaf(NAME, lifetime=LEAST_LEFT - timedelta(seconds=1)))).endswith("5 minutes are the least")
    assert refused(pem(ROOT.leaf(NAME, now=NOW - DAY, lifetime=timedelta(hours=1)))).startswith("is valid until 2025")
    assert refused(pem(ROOT.leaf(NAME, now=NOW + DAY))).endswith("on only")


def test_an_authority_and_a_certificate_of_one_end_alone_are_refused() -> None:
    authority = x509.BasicConstraints(ca=True, path_length=None)
    assert refused(pem(ROOT.leaf(NAME, more=[authority]))) == "may sign others (basicConstraints CA)"
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    assert refused(pem(ROOT.leaf(NAME, more=[server]))) == "is not for use as a client (extendedKeyUsage)"


def test_what_leads_to_no_given_root_is_refused() -> None:
    assert refused(pem(ROOT.leaf(NAME)), roots=[Ca("root")]).endswith("which leads to none of the given roots")
    assert "signed by CN=last" in refused(pem(LAST.leaf(NAME)) + pem(BETWEEN.certificate))
    no_authority = Ca("between", ROOT, is_authority=False)
    assert "signed by CN=between" in refused(pem(no_authority.leaf(NAME)) + pem(no_authority.certificate))


def test_a_chain_is_followed_so_far() -> None:
    line = [ROOT]
    while len(line) < MAX_CERTIFICATES + 1:
        line.append(Ca(f"number {len(line)}", line[-1]))
    chains = [
        pem(ca.leaf(NAME)) + "".join(pem(one.certificate) for one in line[1 : at + 1]) for at, ca in enumerate(line)
    ]
    roots = [ROOT.certificate]
    assert checked(chains[-2], KEY.public_key(), ROBOT, (), roots, NOW).chain.count("BEGIN") == MAX_CERTIFICATES
    assert "none of the given roots" in refused(chains[-1])


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    assert refused(text) == "is no certificate that can be read"


def test_an_answer_that_is_too_long_is_not_read() -> None:
    assert refused("x" * (MAX_CHAIN_CHARS + 1)) == f"has {MAX_CHAIN_CHARS + 1} characters, more than {MAX_CHAIN_CHARS}"
