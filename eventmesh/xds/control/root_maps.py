"""The roots to trust, as a ConfigMap in every namespace: what a workload that has no certificate yet knows control by.

Istio does the same (`istio-ca-root-cert`). It holds certificates alone, and a kubelet mounts it beside the token.
"""

from __future__ import annotations

from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIG_MAP, NAMESPACE
from eventmesh.xds.identity.issuer import Identities, Renewed

NAME: Final = "eventmesh-ca-root-cert"
ENTRY: Final = "root-cert.pem"


class RootMaps:
    """Keeps the ConfigMaps true, while its controller runs."""

    def __init__(self, api: Api, informers: Informers, identities: Identities, clock: Clock) -> None:
        self._api = api
        self._identities = identities
        self._namespaces = informers.of(NAMESPACE)
        self._maps = informers.of(CONFIG_MAP)
        self.controller = Controller("root-maps", self._namespaces, self.reconcile, clock)
        self.controller.watch(self._maps, _namespace_of)
        identities.listen(self._renewed, lambda _: False)

    async def reconcile(self, key: Key) -> None:
        """Write the ConfigMap of the namespace `key`, if it differs."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or is_deleting(namespace):
            return
        data = {ENTRY: self._identities.bundle()}
        stored = self._maps.get(NAME, key.name)
        if stored is None:
            made = {"metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "eventmesh"}}, "data": data}
            await self._api.create(CONFIG_MAP, made, key.name)
        elif stored.get("data") != data:
            await self._api.replace(CONFIG_MAP, {**stored, "data": data})

    def _renewed(self, renewed: Renewed) -> None:
        if renewed.roots:
            for namespace in self._namespaces:
                self.controller.enqueue(key_of(namespace))


def _namespace_of(obj: Object) -> tuple[Key, ...]:
    key = key_of(obj)
    return (Key("", key.namespace),) if key.name == NAME else ()
