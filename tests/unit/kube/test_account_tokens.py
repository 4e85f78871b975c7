"""What a service account token proves, and every way in which one proves nothing."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from eventmesh.kube.account_tokens import (
    CLOCK_LEEWAY,
    MAX_TOKEN_CHARS,
    KeySet,
    TokenRefusedError,
    UnknownKeyError,
    encode_part,
    verify,
)

ISSUER = "https://kubernetes.default.svc"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def number(value: int, size: int) -> str:
    return encode_part(value.to_bytes(size))


def jwks() -> dict[str, Any]:
    point, modulus = EC_KEY.public_key().public_numbers(), RSA_KEY.public_key().public_numbers()
    return {
        "keys": [
            {"kid": "e", "kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)},
            {"kid": "r", "kty": "RSA", "n": number(modulus.n, 256), "e": "AQAB"},
            {"kid": "o", "kty": "oct", "k": "c2VjcmV0"},
            {"kid": "broken", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        ]
    }


def claims(**changed: Any) -> dict[str, Any]:
    at = int(NOW.timestamp())
    own = {"namespace": "shop", "serviceaccount": {"name": "robot", "uid": "u-1"}, "pod": {"name": "p", "uid": "u-2"}}
    plain = {
        "iss": ISSUER,
        "sub": "system:serviceaccount:shop:robot",
        "aud": ["orders"],
        "iat": at,
        "nbf": at,
        "exp": at + 600,
        "jti": "one",
        "kubernetes.io": own,
    }
    return {**plain, **changed}


def signed(payload: object, algorithm: str = "ES256", key_id: str = "e", **header: Any) -> str:
    parts = [json.dumps({"alg": algorithm, "kid": key_id, **header}).encode(), json.dumps(payload).encode()]
    text = ".".join(encode_part(part) for part in parts)
    if key_id == "r":
        signature = RSA_KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        halves = decode_dss_signature(EC_KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        signature = b"".join(half.to_bytes(32) for half in halves)
    return f"{text}.{encode_part(signature)}"


def check(token: str, now: datetime = NOW) -> Any:
    return verify(token, KeySet.of_jwks(jwks()), issuer=ISSUER, audiences=["orders", "stock"], now=now)


@pytest.mark.parametrize(("algorithm", "key_id"), [("ES256", "e"), ("RS256", "r")])
def test_a_genuine_token_tells_whose_it_is(algorithm: str, key_id: str) -> None:
    found = check(signed(claims(), algorithm, key_id))
    assert (found.namespace, found.account, found.account_uid) == ("shop", "robot", "u-1")
    assert [(bound.kind, bound.name, bound.uid) for bound in found.bound] == [("pod", "p", "u-2")]
    assert found.expires_at == NOW + timedelta(seconds=600)


def test_one_audience_may_be_a_plain_text() -> None:
    assert check(signed(claims(aud="stock"))).audiences == ("stock",)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://elsewhere"}, "issued by another"),
        ({"aud": ["billing"]}, "for another audience than orders, stock"),
        ({"aud": None}, "audience"),
        ({"exp": "tomorrow"}, "exp is no time"),
        ({"exp": 1e300}, "exp is no time"),
        ({"iat": True}, "iat is no time"),
        ({"sub": "system:serviceaccount:shop:admin"}, "subject and its service account differ"),
        ({"sub": "jane"}, "subject and its service account differ"),
        ({"kubernetes.io": "x"}, "no service account's"),
    ],
)
def test_claims_that_are_not_as_they_must_be_are_named(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(TokenRefusedError, match=reason):
        check(signed(claims(**changed)))


def test_time_is_judged_with_the_leeway_of_a_minute() -> None:
    token = signed(claims())
    end = NOW + timedelta(seconds=600)
    check(token, end + CLOCK_LEEWAY)
    check(token, NOW - CLOCK_LEEWAY)
    with pytest.raises(TokenRefusedError, match="expired"):
        check(token, end + CLOCK_LEEWAY + timedelta(seconds=1))
    with pytest.raises(TokenRefusedError, match="not valid before"):
        check(token, NOW - CLOCK_LEEWAY - timedelta(seconds=1))


def test_a_token_cannot_choose_how_it_is_judged() -> None:
    for algorithm, key_id in (("none", "e"), ("HS256", "e"), ("RS256", "e"), ("ES256", "r")):
        with pytest.raises(TokenRefusedError, match="algorithm"):
            check(signed(claims(), algorithm, key_id))
    with pytest.raises(TokenRefusedError, match="crit"):
        check(signed(claims(), crit=["b64"]))


def test_another_key_or_another_text_is_refused() -> None:
    for key_id in ("other", "o", "broken"):
        with pytest.raises(UnknownKeyError):
            check(signed(claims(), key_id=key_id))
    head, _, signature = signed(claims()).split(".")
    forged = encode_part(json.dumps(claims(aud=["stock"])).encode())
    with pytest.raises(TokenRefusedError, match="signature"):
        check(f"{head}.{forged}.{signature}")


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c.d", "§.§.§", "e30.e30.!!", f"{base64.b64encode(b'[]').decode()}.e30.e30", "bm8.bm8.bm8"]
)
def test_anything_else_is_refused_and_never_repeated(token: str) -> None:
    with pytest.raises(TokenRefusedError) as refusal:
        check(token)
    assert not token or token not in str(refusal.value)


def test_a_token_beyond_the_limit_is_not_even_decoded() -> None:
    with pytest.raises(TokenRefusedError, match=f"at most {MAX_TOKEN_CHARS}"):
        check("a" * (MAX_TOKEN_CHARS + 1))
