"""When certificates end, beside what the library for them reads; and bytes that are none."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from eventmesh.base.x509 import common_name, make_authority
from eventmesh.xds.client.certificate_life import not_after
from eventmesh.xds.identity.signer import pem


@pytest.mark.parametrize("year", [2026, 2049, 2050, 2400])
def test_the_end_is_what_the_library_reads(year: int) -> None:
    now = datetime(year, 2, 27, 12, 30, 59, tzinfo=UTC)
    _, certificate = make_authority("r" * 60, now, timedelta(days=3, seconds=7))
    assert not_after(pem(certificate)) == certificate.not_valid_after_utc == now + timedelta(days=3, seconds=7)


def test_a_certificate_of_version_1_and_a_long_name_is_read_too() -> None:
    key = rsa.generate_private_key(65537, 2048)
    end = datetime(2031, 1, 1, tzinfo=UTC)
    name = x509.Name([*common_name("a" * 64), *(x509.NameAttribute(x509.NameOID.LOCALITY_NAME, "b" * 128),) * 3])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 2**150, datetime(2026, 1, 1, tzinfo=UTC), end)
    chain = pem(builder.sign(key, hashes.SHA256()))
    assert not_after(chain + pem(make_authority("next", end, timedelta(days=1))[1])) == end


def armoured(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "text", ["", "nothing", armoured(b""), armoured(b"\x30\x84\xff\xff\xff\xff"), armoured(b"\x30\x00")]
)
def test_what_is_no_certificate_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"certificate|DER"):
        not_after(text)


def test_any_bytes_are_a_time_or_a_value_error() -> None:
    _, certificate = make_authority("root", datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1))
    whole, draw = certificate.public_bytes(serialization.Encoding.DER), random.Random(3)
    refused = 0
    for _ in range(3_000):
        body = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            body[draw.randrange(120)] = draw.randrange(256)
        try:
            not_after(armoured(bytes(body[: draw.choice((len(body), draw.randrange(len(body))))])))
        except ValueError:
            refused += 1
    assert 0 < refused < 3_000
