"""Tokens that callers must bear (RFC 7519), in the terms of Envoy's filter jwt_authn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from eventmesh.model.match import RouteMatch, TextMatch

NAMESPACE = "envoy.filters.http.jwt_authn"
"""Under which payloads are noted, for rules to look at."""


@frozen
class RemoteKeys:
    """Where a key set is fetched: when the first token needs it, and again when it has grown old."""

    cluster: str
    authority: str
    path: str
    timeout_s: float
    cache_s: float = 600.0
    background: bool = False
    """Old keys stay in force while new ones are fetched; else requests wait for them."""
    retry_s: float = 1.0
    """After a failure nobody asks again for so long."""


@frozen
class JwtProvider:
    """Whose tokens are taken, where they lie in a request, and what is made of them."""

    name: str
    issuer: str = ""
    """`iss`; empty: any."""
    audiences: tuple[str, ...] = ()
    """One of them must be in `aud`; none: any."""
    subject: TextMatch | None = None
    must_end: bool = False
    """Tokens without `exp` are refused."""
    max_lifetime_s: float = 0.0
    """From `iat` (else `nbf`) to `exp`; 0: any."""
    clock_skew_s: int = 60
    keys: str = ""
    """The key set as JSON; empty: `remote`."""
    remote: RemoteKeys | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Headers, each with what stands before the token. Nothing said of headers, params and cookies means
    `Authorization: Bearer` and the parameter `access_token`."""
    params: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    forward: bool = False
    """The token is sent on."""
    payload_header: str = ""
    """Header that is given the payload in Base64; whatever a caller writes there is taken away."""
    padded: bool = False
    claim_headers: tuple[tuple[str, str], ...] = ()
    """Headers that are given claims: header, and the way to the claim by dots."""
    payload_key: str = ""
    """Key under which the payload is noted in `NAMESPACE`."""
    header_key: str = ""
    split_claims: tuple[str, ...] = ()
    """Claims that are noted as lists of their words."""


@frozen
class TokenOf(Tagged):
    """A token of a provider; all that lie where it has them must be good."""

    provider: str
    audiences: tuple[str, ...] | None = None
    """In place of the provider's."""


@frozen
class OneRequired(Tagged):
    """One of these."""

    of: tuple[Requirement, ...]


@frozen
class AllRequired(Tagged):
    """All of these."""

    of: tuple[Requirement, ...]


@frozen
class MayBeMissing(Tagged):
    """None; but one that is there, of whichever provider, must be good."""


@frozen
class MayFail(Tagged):
    """None; one that is good is noted."""


Requirement = TokenOf | OneRequired | AllRequired | MayBeMissing | MayFail


@frozen
class JwtRule:
    """What is asked of requests that match; None: nothing."""

    match: RouteMatch
    requires: Requirement | None


@frozen
class Jwt(Tagged):
    """Tokens: the first rule that matches says which; who bears none that is good is answered 401, or 403 if it is for
    others."""

    providers: tuple[JwtProvider, ...] = ()
    rules: tuple[JwtRule, ...] = ()
    named: tuple[tuple[str, Requirement], ...] = ()
    """What routes may ask for by name."""
    bypass_preflight: bool = False
    """Preflights of browsers, which bear no token, are let through."""


@frozen
class Named(Tagged):
    """Of a route: what its listener's `Jwt` has under this name, in place of its rules."""

    requirement: str
