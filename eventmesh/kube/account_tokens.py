"""Service account tokens as whoever receives one reads them: JWTs, checked against the keys that an API publishes.

Issuing them is the API's part. The claims are those of `k8s.io/kubernetes/pkg/serviceaccount/claims.go`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object

SUBJECT_PREFIX: Final = "system:serviceaccount:"

AUTHENTICATED: Final = "system:authenticated"
"""The group of everybody who is known."""

MAX_TOKEN_CHARS: Final = 16_384
"""A token travels in one header, and servers take no more than that; checked before anything is decoded."""

CLOCK_LEEWAY: Final = timedelta(minutes=1)
"""How far the clocks of issuer and receiver may differ; what the API server itself grants."""

P256_BYTES: Final = 32
"""Each half of an ES256 signature (RFC 7518 §3.4)."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""


class TokenRefusedError(MeshError):
    """The token proves nothing; the message says why and never holds any of it. Answer 401."""


class UnknownKeyError(TokenRefusedError):
    """No known key has signed it: keys may have been exchanged, so fetch them anew, once, before refusing."""


@frozen
class BoundTo:
    """The object that a token lives and dies with."""

    kind: str
    """`pod`, `secret` or `node`."""
    name: str
    uid: str


@frozen
class Claims:
    """What a genuine token says."""

    subject: str
    audiences: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    token_id: str
    namespace: str
    account: str
    account_uid: str
    bound: tuple[BoundTo, ...] = ()


_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class KeySet:
    """The public keys of an issuer, by their ids."""

    def __init__(self, keys: dict[str, _PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def of_jwks(cls, document: Object) -> KeySet:
        """Return the keys of a JWK set (RFC 7517); those of other kinds than P-256 and RSA are left out."""
        found = ((str(item.get("kid") or ""), _public_key(item)) for item in document.get("keys") or ())
        return cls({name: key for name, key in found if key is not None})

    def check(self, algorithm: str, key_id: str, signed: bytes, signature: bytes) -> None:
        """Return when the key `key_id` has made `signature`; raises TokenRefusedError."""
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKeyError("it is signed by a key that the issuer does not publish")
        try:
            # The kind of the key decides, never the token alone: a token must not choose how it is judged.
            match key, algorithm:
                case ec.EllipticCurvePublicKey(), "ES256" if len(signature) == 2 * P256_BYTES:
                    halves = (signature[:P256_BYTES], signature[P256_BYTES:])
                    der = encode_dss_signature(*(int.from_bytes(half) for half in halves))
                    key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
                case rsa.RSAPublicKey(), "RS256":
                    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
                case _:
                    raise TokenRefusedError("its algorithm is not that of the key it names")
        except InvalidSignature:
            raise TokenRefusedError("its signature is not its issuer's") from None


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups that every service account of a namespace is in."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)


def verify(token: str, keys: KeySet, *, issuer: str, audiences: Collection[str], now: datetime) -> Claims:
    """Return what `token` says when `issuer` has made it for one of `audiences` and it is valid `now`.

    Raises TokenRefusedError, UnknownKeyError among them.
    """
    payload = _signed_payload(token, keys)
    if payload.get("iss") != issuer:
        raise TokenRefusedError(f"it was issued by another than {issuer}")
    claims = _claims(payload)
    if not set(claims.audiences) & set(audiences):
        raise TokenRefusedError(f"it is for another audience than {', '.join(sorted(audiences))}")
    if now > claims.expires_at + CLOCK_LEEWAY:
        raise TokenRefusedError(f"it expired at {claims.expires_at.isoformat()}")
    not_before = _moment(payload, "nbf") if "nbf" in payload else claims.issued_at
    if now < not_before - CLOCK_LEEWAY:
        raise TokenRefusedError(f"it is not valid before {not_before.isoformat()}")
    return claims


def encode_part(data: bytes) -> str:
    """Return `data` as a part of a JWT (base64url without padding)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed_payload(token: str, keys: KeySet) -> Object:
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenRefusedError(f"it has {len(token)} characters; at most {MAX_TOKEN_CHARS} are read")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise TokenRefusedError("it is not a JWT of three parts")
    header, payload = _object(parts[0]), _object(parts[1])
    if "crit" in header:
        raise TokenRefusedError("it demands extensions (crit) that are not understood")
    signed = f"{parts[0]}.{parts[1]}".encode()
    keys.check(str(header.get("alg")), str(header.get("kid") or ""), signed, _decoded(parts[2]))
    return payload


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenRefusedError("a part of it is not base64url") from None


def _object(part: str) -> Object:
    try:
        value = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        raise TokenRefusedError("a part of it is not JSON") from None
    if not isinstance(value, dict):
        raise TokenRefusedError("a part of it is not a JSON object")
    return value


def _claims(payload: Object) -> Claims:
    subject, own = payload.get("sub"), payload.get("kubernetes.io")
    account = own.get("serviceaccount") if isinstance(own, dict) else None
    if not isinstance(subject, str) or not isinstance(own, dict) or not isinstance(account, dict):
        raise TokenRefusedError("it is no service account's")
    namespace, name = str(own.get("namespace") or ""), str(account.get("name") or "")
    if subject != f"{SUBJECT_PREFIX}{namespace}:{name}":
        raise TokenRefusedError("its subject and its service account differ")
    given = payload.get("aud")
    audiences = [given] if isinstance(given, str) else given
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        raise TokenRefusedError("its audience (aud) is no text and no list of texts")
    return Claims(
        subject=subject,
        audiences=tuple(audiences),
        issued_at=_moment(payload, "iat"),
        expires_at=_moment(payload, "exp"),
        token_id=str(payload.get("jti") or ""),
        namespace=namespace,
        account=name,
        account_uid=str(account.get("uid") or ""),
        bound=tuple(_bound(own)),
    )


def _bound(own: Object) -> Iterable[BoundTo]:
    for kind in ("pod", "secret", "node"):
        reference = own.get(kind)
        if isinstance(reference, dict):
            yield BoundTo(kind, str(reference.get("name") or ""), str(reference.get("uid") or ""))


def _moment(payload: Object, name: str) -> datetime:
    value = payload.get(name)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise TokenRefusedError(f"its {name} is no time") from None


def _public_key(item: dict[str, Any]) -> _PublicKey | None:
    try:
        match item.get("kty"), item.get("crv"):
            case "EC", "P-256":
                x, y = (int.from_bytes(_decoded(item[name])) for name in ("x", "y"))
                return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            case "RSA", _:
                modulus, exponent = (int.from_bytes(_decoded(item[name])) for name in ("n", "e"))
                key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
                return key if key.key_size >= MIN_RSA_BITS else None
    except (KeyError, TypeError, ValueError, TokenRefusedError):
        # A set may hold keys for other uses and users; one that cannot be read signs nothing.
        return None
    return None
