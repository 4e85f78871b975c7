"""The certificates that brokers, channels, JobSinks and RequestReplies show under https, from the mesh's own authority.

They lie in Secrets (`kube.server_certificates`), where activators and the eventing controllers find them, and only
while `transport-encryption` asks for https. A Secret that somebody else has made, cert-manager say, is left alone.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object
from eventmesh.kube.eventing_features import FeatureStore, TransportEncryption
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIG_MAP, NAMESPACE, SECRET
from eventmesh.kube.server_certificates import AUTHORITIES, CHAIN, KEY, SECRETS, names_of, parse
from eventmesh.kube.server_certificates import NAMESPACE as HOME
from eventmesh.xds.control.certificates import TLS_SECRET
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.issuer import Identities, Renewed

_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
_OURS: Final = "eventmesh-control"

RENEW_AT: Final = "eventmesh.io/renew-at"
"""Annotation: when the certificate is to be replaced, with half its life left."""

_log = log.get("xds.control.event_certificates")


class EventCertificates:
    """Keeps those Secrets, while its controller runs."""

    def __init__(self, api: Api, informers: Informers, identities: Identities, clock: Clock, outside: str = "") -> None:
        """`outside` is a domain below which the same Services are known beside the mesh's, if any."""
        self._api = api
        self._identities = identities
        self._clock = clock
        self._outside = outside
        self._secrets = informers.of(SECRET)
        self._features = FeatureStore(informers.of(CONFIG_MAP))
        self.controller = Controller("event-certificates", informers.of(NAMESPACE), self.reconcile, clock)
        self.controller.watch(self._secrets, _home_of)
        self._features.subscribe(self._again)
        identities.listen(self._renewed, lambda _: False)

    async def reconcile(self, key: Key) -> None:
        """Write the Secrets that are missing, due, or signed by who is trusted no more."""
        if key.name != HOME or self._features.current.transport is TransportEncryption.DISABLED:
            return
        for service, secret in SECRETS.items():
            await self._ensure(service, secret)

    async def _ensure(self, service: str, key: Key) -> None:
        stored = self._secrets.get(key.name, key.namespace)
        if stored is not None and (labels_of(stored).get(_MANAGED_BY) != _OURS or is_deleting(stored)):
            return
        left_s = self._left_s(stored) if stored is not None else 0.0
        if left_s <= 0.0:
            left_s = self._left_s(await self._issue(service, key, stored))
        self.controller.enqueue_after(Key("", HOME), max(left_s, 1.0))

    async def _issue(self, service: str, key: Key, stored: Object | None) -> Object:
        name, _, namespace = service.partition(".")
        # An identity of its own: whoever reads the Secret is not taken for the activator by anybody.
        issued = self._identities.for_server(self._identities.of(namespace, name), names_of(service, self._outside))
        due = rotation.renewal(issued.issued_at, issued.expires_at, draw=0.5)
        entries = {CHAIN: issued.chain, KEY: issued.key, AUTHORITIES: self._identities.bundle()}
        secret: Object = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": {_MANAGED_BY: _OURS},
                "annotations": {RENEW_AT: due.isoformat()},
            },
            "type": TLS_SECRET,
            "data": {name: base64.b64encode(text.encode()).decode() for name, text in entries.items()},
        }
        _log.info("certificate issued", secret=key, expires=issued.expires_at.isoformat())
        if stored is None:
            return await self._api.create(SECRET, secret, key.namespace)
        secret["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
        return await self._api.replace(SECRET, secret)

    def _left_s(self, stored: Object) -> float:
        """Return for how long what is stored is good; 0: it is not."""
        try:
            authorities = parse(stored).authorities
            due = datetime.fromisoformat(annotations_of(stored)[RENEW_AT])
            left_s = (due - self._clock.now()).total_seconds()
        except (KeyError, ValueError, TypeError):
            return 0.0
        return left_s if authorities == self._identities.bundle() else 0.0

    def _renewed(self, renewed: Renewed) -> None:
        if renewed.roots:
            self._again()

    def _again(self) -> None:
        self.controller.enqueue(Key("", HOME))


def _home_of(secret: Object) -> tuple[Key, ...]:
    return (Key("", HOME),) if key_of(secret) in SECRETS.values() else ()
