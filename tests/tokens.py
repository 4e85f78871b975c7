"""Tokens and key sets as an issuer makes them, with keys that are drawn once for the whole run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: dict[str, ec.EllipticCurve] = {"256": ec.SECP256R1(), "384": ec.SECP384R1()}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def key(algorithm: str, name: str = "") -> PrivateKey:
    """Return the private key called `name` for an algorithm; RSA's serve all of its algorithms."""
    match algorithm[:2]:
        case "RS" | "PS":
            return key("rsa", name)
        case "rs":
            return rsa.generate_private_key(65537, 2048)
        case "ES":
            return ec.generate_private_key(_CURVES[algorithm[2:]])
    return ed25519.Ed25519PrivateKey.generate()


def encoded(data: bytes) -> str:
    """Return Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, size: int = 0) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def public(algorithm: str, name: str = "", **members: str) -> dict[str, str]:
    """Return the public key as a member of a key set."""
    found = key(algorithm, name).public_key()
    match found:
        case rsa.RSAPublicKey():
            numbers = found.public_numbers()
            return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e), **members}
        case ec.EllipticCurvePublicKey():
            point, size = found.public_numbers(), found.key_size // 8
            curve = f"P-{found.key_size}"
            return {"kty": "EC", "crv": curve, "x": _number(point.x, size), "y": _number(point.y, size), **members}
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": encoded(found.public_bytes_raw()), **members}
    raise AssertionError(algorithm)


def key_set(*algorithms: str, name: str = "") -> str:
    """Return a key set whose members are called like their algorithms."""
    members = (public(algorithm, name, kid=algorithm, alg=algorithm) for algorithm in algorithms or ALGORITHMS)
    return json.dumps({"keys": list(members)})


def token(
    claims: Mapping[str, Any], algorithm: str = "ES256", *, name: str = "", header: Mapping[str, Any] | None = None
) -> str:
    """Return a signed token. `header`: in place of the algorithm and the key's name."""
    head = {"alg": algorithm, "kid": algorithm, "typ": "JWT"} if header is None else header
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{encoded(sign(signed.encode(), algorithm, name))}"


def sign(data: bytes, algorithm: str, name: str = "") -> bytes:
    """Return the signature of `data` by the key called `name`."""
    private = key(algorithm, name)
    match private:
        case rsa.RSAPrivateKey():
            digest = _HASHES[algorithm[2:]]
            salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return private.sign(data, salted if algorithm[0] == "P" else padding.PKCS1v15(), digest)
        case ec.EllipticCurvePrivateKey():
            size = private.key_size // 8
            pair = decode_dss_signature(private.sign(data, ec.ECDSA(_HASHES[algorithm[2:]])))
            return b"".join(part.to_bytes(size, "big") for part in pair)
        case ed25519.Ed25519PrivateKey():
            return private.sign(data)
