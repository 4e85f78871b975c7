"""Policies of access as control sees them. Their rules are Envoy's already, as documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key

Labels = Mapping[str, str]


def selects(selector: Labels, labels: Labels) -> bool:
    """Tell whether a workload with these labels is meant; an empty selector means all of the namespace."""
    return selector.items() <= labels.items()


class Action(Enum):
    """What becomes of requests that a policy means."""

    CUSTOM = "CUSTOM"
    """An extension provider is asked."""
    DENY = "DENY"
    ALLOW = "ALLOW"
    """They may go on, and of all others none may that no policy of this action means."""


@frozen
class AuthorizationPolicy:
    """What some callers may do, or may not, or are asked about."""

    key: Key
    selector: Labels = field(hash=False)
    action: Action
    rules: tuple[Object, ...] = field(hash=False)
    """As `envoy.config.rbac.v3.Policy`; none: nobody is meant."""
    provider: str = ""
    """Of CUSTOM: who is asked."""


@frozen
class TokenIssuer:
    """Somebody whose tokens are looked at."""

    terms: Object = field(hash=False)
    """As `envoy.extensions.filters.http.jwt_authn.v3.JwtProvider`; without keys when they are to be fetched."""
    keys_at: str = ""
    """Where they are."""
    timeout_s: float = 0.0
    """Seconds that fetching them may take."""

    @property
    def name(self) -> str:
        """Return what tokens call it."""
        issuer: str = self.terms["issuer"]
        return issuer


@frozen
class RequestAuthentication:
    """Whose tokens are looked at."""

    key: Key
    selector: Labels = field(hash=False)
    issuers: tuple[TokenIssuer, ...] = field(hash=False)


@frozen
class ExtensionProvider:
    """An authorization service that policies may name."""

    name: str
    service: Key
    port: int
    speaks_grpc: bool
    """It answers `envoy.service.auth.v3`; else plain HTTP."""
    host: str = ""
    timeout: str = ""
    """As protobuf's JSON writes a duration."""
    by: Object = field(default_factory=dict, hash=False)
    """How it is asked by HTTP, as `ext_authz.v3.HttpService` without the address."""
    terms: Object = field(default_factory=dict, hash=False)
    """The rest of `ext_authz.v3.ExtAuthz`."""


@frozen
class PythonFilter:
    """A function in Python that workloads ask about each request, once policies have let it in."""

    key: Key
    selector: Labels = field(hash=False)
    config: Object = field(hash=False)
    """As `eventmesh.extensions.filters.http.python_filter.v3.PythonFilter`."""
    priority: int = 0
    """Higher ones are asked first."""


Policy = AuthorizationPolicy | RequestAuthentication | PythonFilter
