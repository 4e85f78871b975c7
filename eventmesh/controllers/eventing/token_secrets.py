"""Tokens for what SinkBindings are about: in a Secret that the subject's pods mount, another one before the first ends.

A pod runs under an account of its own; the token is that of the binding, which its EventPolicies name.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import NotOwned
from eventmesh.controllers.serving.names import child_name
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, is_controlled_by, key_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import SECRET, SINK_BINDING
from eventmesh.kube.token_requests import request_token

LIFETIME_S: Final = 3_600
"""What is asked for, as deliveries do."""

RENEWED_S: Final = LIFETIME_S // 5
"""So long before its end a token is replaced: a kubelet takes a minute or two to bring a Secret's change into a pod."""

FILE: Final = "token"
"""The key in the Secret, and the name of the file."""

AUDIENCE, ENDS = "eventmesh.io/audience", "eventmesh.io/ends"


class TokenSecrets:
    """Makes the Secrets and keeps their tokens good."""

    def __init__(self, api: Api, informers: Informers, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._secrets = informers.of(SECRET)

    def follow(self, controller: Controller) -> None:
        """Have a binding reconciled whenever its Secret changes or goes."""
        controller.watch_controlled(self._secrets)

    async def ensure(self, binding: Object, account: str, audience: str) -> tuple[str, float]:
        """Return the name of a binding's Secret, and in how many seconds its token is to be replaced.

        Raises NotOwned when somebody else has a Secret of that name, ApiError when there is no token to be had.
        """
        key = _secret_of(binding)
        stored = self._owned(key, binding)
        left = self._left(stored, audience)
        if stored is not None and left > RENEWED_S:
            return key.name, left - RENEWED_S
        issued = await request_token(self._api, key.namespace, account, audience, LIFETIME_S)
        metadata = {
            "name": key.name,
            "namespace": key.namespace,
            "annotations": {AUDIENCE: audience, ENDS: issued.ends.isoformat()},
            "ownerReferences": [owner_reference(SINK_BINDING, binding)],
        }
        if stored is not None:
            metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
        secret = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": metadata,
            "type": "Opaque",
            "data": {FILE: base64.b64encode(issued.token.encode()).decode()},
        }
        if stored is None:
            await self._api.create(SECRET, secret, key.namespace)
        else:
            await self._api.replace(SECRET, secret)
        return key.name, max(1.0, (issued.ends - self._clock.now()).total_seconds() - RENEWED_S)

    async def withdraw(self, binding: Object) -> None:
        """Take a token back that nobody asks for any more."""
        key = _secret_of(binding)
        stored = self._secrets.get(key.name, key.namespace)
        if stored is None or not is_controlled_by(stored, binding):
            return
        try:
            await self._api.delete(SECRET, key.name, key.namespace)
        except ApiError as error:
            if not error.not_found:
                raise

    def _owned(self, key: Key, binding: Object) -> Object | None:
        stored = self._secrets.get(key.name, key.namespace)
        if stored is not None and not is_controlled_by(stored, binding):
            raise NotOwned(SECRET, key.name)
        return stored

    def _left(self, stored: Object | None, audience: str) -> float:
        """Return for how many seconds the token is good for that audience."""
        said = annotations_of(stored) if stored is not None else {}
        if said.get(AUDIENCE) != audience or FILE not in ((stored or {}).get("data") or {}):
            return 0.0
        try:
            return (datetime.fromisoformat(said[ENDS]) - self._clock.now()).total_seconds()
        except (KeyError, ValueError, TypeError):
            return 0.0


def _secret_of(binding: Object) -> Key:
    key = key_of(binding)
    return Key(key.namespace, child_name(key.name, "-oidc-token"))
