"""Tokens of service accounts, asked of the API (TokenRequest)."""

from __future__ import annotations

from datetime import datetime

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import parse_timestamp
from eventmesh.kube.api import Api
from eventmesh.kube.resources import SERVICE_ACCOUNT


@frozen
class Issued:
    """A token, and when it ends."""

    token: str
    ends: datetime

    def __repr__(self) -> str:
        # What is logged of an object must never be the secret in it.
        return f"<token until {self.ends.isoformat()}>"


async def request_token(api: Api, namespace: str, account: str, audience: str, lifetime_s: int) -> Issued:
    """Return a token of an account for one audience; the API may let it end sooner than asked. Raises ApiError."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"name": account, "namespace": namespace},
        "spec": {"audiences": [audience], "expirationSeconds": lifetime_s},
    }
    status = (await api.create(SERVICE_ACCOUNT, request, namespace, subresource="token"))["status"]
    return Issued(status["token"], parse_timestamp(status["expirationTimestamp"]))
