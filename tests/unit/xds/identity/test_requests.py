"""Signing requests: what is read of a good one, and what is said of all others."""

from __future__ import annotations

import base64
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from eventmesh.xds.identity.requests import MAX_REQUEST_CHARS, RequestRefusedError, read_request
from tests.unit.xds.identity.signing_requests import Key, key, request

ROBOT = "spiffe://cluster.local/ns/shop/sa/robot"


def armoured(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE REQUEST-----\n"


def der(text: str) -> bytes:
    return base64.b64decode("".join(text.splitlines()[1:-1]))


def test_a_request_says_whose_key_it_is_and_which_ids_it_asks_for() -> None:
    own = key()
    found = read_request(request(own, ROBOT, "https://elsewhere"))
    assert (found.key, found.ids) == (own.public_key(), (ROBOT,))
    assert read_request(request(own)).ids == ()


def test_what_stands_around_a_request_is_no_part_of_it() -> None:
    text = request(key(), ROBOT)
    assert read_request(f"words\n{text}{request(key())}").pem == read_request(text).pem == text


@pytest.mark.parametrize("own", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_the_kinds_of_keys_that_agents_use_are_taken(own: Key) -> None:
    assert read_request(request(own)).key == own.public_key()


@pytest.mark.parametrize("own", [ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024)])
def test_a_key_of_another_kind_is_refused(own: Key) -> None:
    with pytest.raises(RequestRefusedError, match="P-256, P-384 and RSA of 2048 to 4096 bits"):
        read_request(request(own))


@pytest.mark.parametrize("text", ["", "nothing", armoured(b""), armoured(b"\x30\x00"), "\N{SNOWMAN}"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(RequestRefusedError, match="no PKCS 10 request in PEM"):
        read_request(text)


def test_a_request_that_is_too_long_is_not_decoded() -> None:
    with pytest.raises(RequestRefusedError, match=f"more than {MAX_REQUEST_CHARS}"):
        read_request("x" * (MAX_REQUEST_CHARS + 1))


def test_a_request_for_a_key_that_its_maker_has_not_is_refused() -> None:
    body = bytearray(der(request(key(), ROBOT)))
    body[-1] ^= 1
    with pytest.raises(RequestRefusedError):
        read_request(armoured(bytes(body)))


def test_any_bytes_are_a_request_or_refused() -> None:
    whole, draw = der(request(key(), ROBOT)), random.Random(7)
    refused = 0
    for _ in range(2_000):
        body = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        try:
            read_request(armoured(bytes(body[: draw.choice((len(body), draw.randrange(len(body))))])))
        except RequestRefusedError:
            refused += 1
    # Every byte is either signed or part of the signature; some changes are none.
    assert refused > 1_900
