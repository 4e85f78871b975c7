"""Certificates for workloads that keep their own keys: a signing request and a service account's token in, a chain out.

The wire form is Istio's (`istio.v1.auth.IstioCertificateService`, security/proto/istioca/istioca.proto), so that what
speaks it elsewhere speaks it here. What is certified is the account that the token proves, never what a request says.
No I/O but what is handed in; the port is `certificate_server`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Final, Protocol

from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.account_tokens import SUBJECT_PREFIX, TokenRefusedError
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.protobuf import WireError, delimited, fields
from eventmesh.xds.identity.authority import Authority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.requests import RequestRefusedError, SigningRequest, read_request
from eventmesh.xds.identity.spiffe import SpiffeId

AUDIENCE: Final = "eventmesh-ca"
"""Of tokens: one that was made for somebody else to see must not become a certificate in his hands."""

MIN_LIFETIME: Final = timedelta(minutes=10)
"""Of a certificate that asks for less than the usual: those who renew at half of it leave five minutes to mend what
keeps them from that, the same that clocks may differ by."""

_log = log.get("xds.certification")


class Why(Enum):
    """What a request is refused for; the words of the metric."""

    TOKEN = "token"  # noqa: S105 - a word
    """The token proves no account of this cluster, to us."""
    REQUEST = "request"
    """The signing request, or the message around it, is not one that can be signed."""
    IDENTITY = "identity"
    """It asks for an identity that the token does not prove."""
    UNAVAILABLE = "unavailable"
    """It cannot be told, or not be signed, now."""


class CertificateRefusedError(Exception):
    """Nothing is certified; the message says why and holds nothing of the token."""

    def __init__(self, why: Why, problem: str) -> None:
        super().__init__(problem)
        self.why = why


class Reviews(Protocol):
    """Tells whose token it is (`kube.token_reviews`)."""

    async def subject(self, token: str, audience: str) -> str:
        """Return the account; raises TokenRefusedError and UnavailableError."""
        ...


class Certification:
    """Answers one request after the other, and counts them."""

    def __init__(
        self,
        reviews: Reviews,
        authority: Authority,
        identities: Identities,
        metrics: Metrics,
        longest: timedelta | None = None,
    ) -> None:
        """`longest` is how long a certificate lives at most, and when nothing is asked for; None: the usual."""
        self._reviews = reviews
        self._authority = authority
        self._identities = identities
        self._longest = longest or authority.lifetime
        self._metrics = metrics

    async def answer(self, metadata: Mapping[str, str], message: bytes) -> bytes:
        """Return the IstioCertificateResponse to a request with this metadata; raises CertificateRefusedError."""
        try:
            chain = await self._certified(_token(metadata), message)
        except CertificateRefusedError as error:
            self._metrics.uncertified[error.why.value] += 1
            _log.warning("no certificate", why=error.why.value, reason=error)
            raise
        self._metrics.certified += 1
        return b"".join(delimited(1, one.encode()) for one in (*_single(chain), self._identities.bundle()))

    async def _certified(self, token: str, message: bytes) -> str:
        try:
            text, asked = _read(message)
            request = read_request(text)
            subject = await self._reviews.subject(token, AUDIENCE)
            spiffe_id = self._identity(subject)
            _require_own(request, spiffe_id)
            return (await self._authority.sign(request, spiffe_id, self._lifetime(asked))).chain
        except TokenRefusedError as error:
            raise CertificateRefusedError(Why.TOKEN, str(error)) from None
        except (RequestRefusedError, WireError) as error:
            raise CertificateRefusedError(Why.REQUEST, str(error)) from None
        except UnavailableError as error:
            raise CertificateRefusedError(Why.UNAVAILABLE, str(error)) from None

    def _identity(self, subject: str) -> SpiffeId:
        namespace, colon, account = subject.removeprefix(SUBJECT_PREFIX).partition(":")
        if not (subject.startswith(SUBJECT_PREFIX) and colon and namespace and account):
            raise TokenRefusedError(f"the bearer token is that of {subject}, who is no service account")
        return self._identities.of(namespace, account)

    def _lifetime(self, asked_s: int) -> timedelta:
        if asked_s == 0 or asked_s >= self._longest.total_seconds():
            return self._longest
        if asked_s < MIN_LIFETIME.total_seconds():
            raise RequestRefusedError(
                f"validity_duration is {asked_s} seconds; the least is {MIN_LIFETIME.total_seconds():.0f}, 0 is usual"
            )
        return timedelta(seconds=asked_s)


def _token(metadata: Mapping[str, str]) -> str:
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise CertificateRefusedError(
            Why.TOKEN, f"show a service account's token for the audience {AUDIENCE} (authorization: Bearer ...)"
        )
    return token.strip()


def _read(message: bytes) -> tuple[str, int]:
    """Return the signing request and the seconds asked for (`csr` = 1, `validity_duration` = 3)."""
    text, seconds = "", 0
    for number, value in fields(memoryview(message)):
        if number == 1 and not isinstance(value, int):
            text = bytes(value).decode("utf-8", "replace")
        if number == 3 and isinstance(value, int):
            seconds = value if value < 1 << 63 else value - (1 << 64)
    return text, seconds


def _require_own(request: SigningRequest, proved: SpiffeId) -> None:
    """Let nobody believe that he has got an identity which he has only asked for."""
    foreign = [name for name in request.ids if name != str(proved)]
    if foreign:
        raise CertificateRefusedError(
            Why.IDENTITY, f"the signing request asks for {foreign[0]}, the token is that of {proved}"
        )


def _single(chain: str) -> list[str]:
    end = "-----END CERTIFICATE-----\n"
    return [one + end for one in chain.split(end) if one.strip()]
