"""Who makes a request: proved by a certificate, or by a bearer token, the administrator's or a service account's."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Final, Protocol

from eventmesh.base.frozen import frozen
from eventmesh.kube.account_tokens import AUTHENTICATED, TokenRefusedError
from eventmesh.kube.api import Object

ADMIN_USER: Final = "kubernetes-admin"
MASTERS: Final = "system:masters"
"""Who is in it may do everything, whatever roles say."""
ANONYMOUS: Final = "system:anonymous"
UNAUTHENTICATED: Final = "system:unauthenticated"
"""The group of who is not known, as AUTHENTICATED is that of everybody else."""
ADMIN_GROUPS: Final = (MASTERS, AUTHENTICATED)


@frozen
class Identity:
    """A user, in the terms of `authentication.k8s.io` UserInfo."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def user_info(self) -> Object:
        """Return it as reviews show it."""
        info: Object = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            info["uid"] = self.uid
        if self.extra:
            info["extra"] = {name: list(values) for name, values in self.extra.items()}
        return info


def holder_of(certificate: Mapping[str, Any]) -> Identity | None:
    """Return whose a verified client certificate is (as `ssl` gives it): CN is the user, every O a group."""
    names: list[tuple[str, str]] = [pair for part in certificate.get("subject", ()) for pair in part]
    user = next((value for name, value in names if name == "commonName"), "")
    groups = tuple(value for name, value in names if name == "organizationName")
    return Identity(user, (*groups, AUTHENTICATED)) if user else None


class Recognises(Protocol):
    """Whoever knows the bearers of tokens."""

    def identify(self, token: str, audiences: tuple[str, ...] = ...) -> tuple[Identity, tuple[str, ...]]:
        """Return the bearer, and for which of `audiences` the token is; raises TokenRefusedError."""
        ...


class Authenticator:
    """Knows bearers by their tokens: that of the administrator, once it is told, and service accounts'."""

    def __init__(self, accounts: Recognises, own_audience: str) -> None:
        self._accounts = accounts
        self._own_audience = own_audience
        self._admin_token = b""

    def admit_admin(self, token: str) -> None:
        """Take `token` for the administrator's from now on."""
        self._admin_token = token.encode()

    def identify(self, token: str, audiences: tuple[str, ...] = ()) -> tuple[Identity, tuple[str, ...]]:
        """Return who bears `token`, and for which of `audiences` (empty: this API); raises TokenRefusedError."""
        wanted = audiences or (self._own_audience,)
        # Bytes that are no text reach us so from a header.
        if self._admin_token and hmac.compare_digest(token.encode(errors="surrogateescape"), self._admin_token):
            if self._own_audience not in wanted:
                raise TokenRefusedError(f"it is for another audience than {', '.join(sorted(wanted))}")
            return Identity(ADMIN_USER, ADMIN_GROUPS), (self._own_audience,)
        return self._accounts.identify(token, wanted)
