"""Policies of access as control sees them. Their rules are Envoy's already, as documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key

Labels = Mapping[str, str]


def selects(selector: Labels, labels: Labels) -> bool:
    """Tell whether a workload with these labels is meant; an empty selector means all of the namespace."""
    return selector.items() <= labels.items()


@dataclass(frozen=True, slots=True)
class AuthorizationPolicy:
    """What some callers may do, or may not."""

    key: Key
    selector: Labels = field(hash=False)
    denies: bool
    rules: tuple[Object, ...] = field(hash=False)
    """As `envoy.config.rbac.v3.Policy`; none: nobody is meant."""


@dataclass(frozen=True, slots=True)
class RequestAuthentication:
    """Whose tokens are looked at."""

    key: Key
    selector: Labels = field(hash=False)
    providers: tuple[Object, ...] = field(hash=False)
    """As `envoy.extensions.filters.http.jwt_authn.v3.JwtProvider`."""


Policy = AuthorizationPolicy | RequestAuthentication
