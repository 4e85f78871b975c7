"""SPIFFE ids as Istio forms them: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from eventmesh.base.frozen import frozen

SCHEME: Final = "spiffe://"

MAX_CHARS: Final = 2048
"""Of a whole id (SPIFFE-ID §2.3); checked before it is taken apart."""

_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_FORM: Final = re.compile(r"spiffe://([a-z0-9._-]{1,255})/ns/([a-z0-9.-]{1,253})/sa/([a-z0-9.-]{1,253})")

SYSTEM_NAMESPACE: Final = "eventmesh-system"


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """A service account of one mesh."""

    trust_domain: str
    namespace: str
    account: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.account}"

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Return the id that `text` spells; raises ValueError for any other URI."""
        found = _FORM.fullmatch(text) if len(text) <= MAX_CHARS else None
        if found is None:
            raise ValueError(f"{text[:MAX_CHARS]!r} is no spiffe://<trust domain>/ns/<namespace>/sa/<account>")
        return cls(*found.groups())


def check_trust_domain(text: str) -> str:
    """Return `text` when it can name a trust domain; raises ValueError."""
    if _TRUST_DOMAIN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no trust domain: lower-case letters, digits, '.', '-' and '_', at most 255")
    return text


@frozen
class MeshParts:
    """The identities of the mesh's own components, in the accounts that their Deployments run under."""

    gateway: SpiffeId
    activator: SpiffeId
    control: SpiffeId

    @classmethod
    def of(cls, trust_domain: str) -> MeshParts:
        """Return those of a trust domain."""
        return cls(
            gateway=SpiffeId(trust_domain, SYSTEM_NAMESPACE, "gateway"),
            activator=SpiffeId(trust_domain, "knative-serving", "activator"),
            control=SpiffeId(trust_domain, SYSTEM_NAMESPACE, "control"),
        )
