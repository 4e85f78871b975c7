"""Signing requests (PKCS 10, RFC 2986): somebody who keeps a key asks for a certificate of it. Pure."""

from __future__ import annotations

from typing import Final, TypeGuard

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from eventmesh.base.frozen import frozen
from eventmesh.base.x509 import PublicKey
from eventmesh.xds.identity.spiffe import SCHEME

MAX_REQUEST_CHARS: Final = 16_384
"""Of one request (PEM); checked before it is decoded. One for a key of 4,096 bits has less than 2,000."""

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 4096
"""The least that is safe (NIST SP 800-131A), and the most that anybody asks for: each bit more costs everybody whom the
certificate is shown to."""

_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
"""What every TLS library at the other end can check."""

_USUAL: Final = (
    x509.SubjectAlternativeName,
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectKeyIdentifier,
)
"""Extensions of requests for certificates of TLS."""

_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""The library has an error of its own for each way to be no request."""


class RequestRefusedError(ValueError):
    """What was sent is no request that can be signed; the message says why."""


@frozen
class SigningRequest:
    """A request whose signature proves that whoever made it has the key."""

    pem: str
    """What has been read and nothing else, whatever stood around it: others are to read the same."""
    key: PublicKey
    ids: tuple[str, ...]
    """The SPIFFE ids that it asks for, unchecked: what is certified is what the asker has proved to be."""
    more: tuple[str, ...] = ()
    """What else it asks for, in words. We certify none of it; others might, who sign what a request says."""


def read_request(text: str) -> SigningRequest:
    """Return the signing request in `text` (PEM); raises RequestRefusedError."""
    if len(text) > MAX_REQUEST_CHARS:
        raise RequestRefusedError(f"the signing request has {len(text)} characters, more than {MAX_REQUEST_CHARS}")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        names = _names(request)
        more = (*_more_names(names), *_subject(request), *_more_extensions(request))
        is_signed = request.is_signature_valid
        key = request.public_key()
    except _UNREADABLE as error:
        raise RequestRefusedError("the signing request is no PKCS 10 request in PEM") from error
    if not is_signed:
        raise RequestRefusedError("the signing request is not signed by the key it is about")
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    return SigningRequest(pem, _accepted(key), tuple(name.value for name in names if _is_id(name)), more)


def _names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _is_id(name: x509.GeneralName) -> TypeGuard[x509.UniformResourceIdentifier]:
    return isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(SCHEME)


def _more_names(names: list[x509.GeneralName]) -> list[str]:
    return [f"the name {name.value}" for name in names if not _is_id(name)]


def _subject(request: x509.CertificateSigningRequest) -> list[str]:
    # Istio's agents write an organization without letters.
    words = [attribute.rfc4514_string() for attribute in request.subject if attribute.value]
    return [f"the subject {','.join(words)}"] if words else []


def _more_extensions(request: x509.CertificateSigningRequest) -> list[str]:
    found = []
    for extension in request.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                found.append("to sign others")
            case x509.KeyUsage() as usage if usage.key_cert_sign or usage.crl_sign:
                found.append("to sign others")
            case value if not isinstance(value, _USUAL):
                found.append(f"the extension {extension.oid.dotted_string}")
    return found


def _accepted(key: object) -> PublicKey:
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, _CURVES):
            return key
        case rsa.RSAPublicKey() if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            return key
    raise RequestRefusedError(
        f"the key of the signing request is of another kind than P-256, P-384 and RSA of {MIN_RSA_BITS} to "
        f"{MAX_RSA_BITS} bits"
    )
