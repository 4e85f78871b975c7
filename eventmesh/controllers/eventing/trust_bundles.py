"""Trust bundles for what SinkBindings are about: copies in their namespaces, because pods mount what lies beside them.

The bundles themselves are ConfigMaps of `knative-eventing` (`kube.trust_bundles`), and activators read those. After
knative/eventing: pkg/eventingtls/trust_bundle.go, whose names of copies, volume and path these are.
"""

from __future__ import annotations

from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.controllers.serving.names import child_name
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIG_MAP, NAMESPACE, SINK_BINDING
from eventmesh.kube.server_certificates import NAMESPACE as HOME
from eventmesh.kube.subscriber_addresses import are_certificates
from eventmesh.kube.trust_bundles import LABEL, entries

COPY: Final = "eventmesh.io/copied-from"
"""Label of a copy: the namespace of its original. What has it is ours to change and to delete."""

_CONTENT: Final = ("data", "binaryData")


def copy_name(bundle: str) -> str:
    """Return the name of a bundle's copies (kmeta.ChildName)."""
    return child_name(bundle, "kne-bundle")


def is_bundle(config_map: Object) -> bool:
    """Return whether a ConfigMap is a trust bundle, and no copy of one."""
    return key_of(config_map).namespace == HOME and labels_of(config_map).get(LABEL) == "true"


class TrustBundleCopies:
    """Keeps the copies, and tells who wrote a bundle what is wrong with it."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._recorder = recorder
        self._namespaces = informers.of(NAMESPACE)
        self._bindings = informers.of(SINK_BINDING)
        self._maps = informers.of(CONFIG_MAP)
        self.controller = Controller("trust-bundles", self._namespaces, self.reconcile, clock)
        self.controller.watch(self._bindings, lambda binding: [Key("", key_of(binding).namespace)])
        self.controller.watch(self._maps, self._concerned)
        self._maps.add_handler(self._judge_later)
        self._unjudged: list[Object] = []

    def bundles(self) -> list[Object]:
        """Return the bundles there are, in the order of their names."""
        return sorted(filter(is_bundle, self._maps.list(HOME)), key=key_of)

    def copies(self, namespace: str) -> list[str]:
        """Return the names of the copies that a namespace with a binding has, without those whose name is taken."""
        return [name for name in self._names() if not self._is_taken(name, namespace)]

    def taken(self, namespace: str) -> list[str]:
        """Return the names that copies in this namespace cannot have, because ConfigMaps of somebody else do."""
        return [name for name in self._names() if self._is_taken(name, namespace)]

    def is_in_the_way(self, config_map: Object) -> bool:
        """Return whether a ConfigMap of somebody else has the name of a copy."""
        return COPY not in labels_of(config_map) and key_of(config_map).name in self._names()

    def _names(self) -> list[str]:
        return [copy_name(key_of(bundle).name) for bundle in self.bundles()]

    def _is_taken(self, name: str, namespace: str) -> bool:
        stored = self._maps.get(name, namespace)
        return stored is not None and COPY not in labels_of(stored)

    def _concerned(self, config_map: Object) -> list[Key]:
        if not is_bundle(config_map):
            ours = COPY in labels_of(config_map) or self.is_in_the_way(config_map)
            return [Key("", key_of(config_map).namespace)] if ours else []
        return [Key("", namespace) for namespace in {HOME, *(key_of(binding).namespace for binding in self._bindings)}]

    def _judge_later(self, old: Object | None, new: Object | None) -> None:
        if new is not None and is_bundle(new) and (old is None or _content(old) != _content(new)):
            self._unjudged.append(new)

    async def reconcile(self, key: Key) -> None:
        """Make the copies of one namespace what the bundles are; take away those that nobody needs."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or is_deleting(namespace):
            return
        if key.name == HOME:
            await self._judge()
        bound = any(not is_deleting(binding) for binding in self._bindings.list(key.name))
        wanted = {copy_name(key_of(bundle).name): bundle for bundle in self.bundles()} if bound else {}
        for stored in self._maps.list(key.name):
            if COPY in labels_of(stored) and key_of(stored).name not in wanted:
                await self._api.delete(CONFIG_MAP, key_of(stored).name, key.name, uid=stored["metadata"]["uid"])
        for name, bundle in wanted.items():
            await self._copy(bundle, name, key.name)

    async def _copy(self, bundle: Object, name: str, namespace: str) -> None:
        stored = self._maps.get(name, namespace)
        if stored is None:
            metadata = {"name": name, "namespace": namespace, "labels": {LABEL: "true", COPY: HOME}}
            await self._api.create(CONFIG_MAP, {"metadata": metadata, **_content(bundle)}, namespace)
        elif COPY in labels_of(stored) and _content(stored) != _content(bundle):
            kept = {field: value for field, value in stored.items() if field not in _CONTENT}
            await self._api.replace(CONFIG_MAP, {**kept, **_content(bundle)})

    async def _judge(self) -> None:
        """Tell of each bundle that has changed which of its entries are left out."""
        unjudged, self._unjudged = self._unjudged, []
        for bundle in unjudged:
            wrong = [name for name, text in entries(bundle) if not are_certificates(text)]
            if wrong:
                message = f"no certificates in PEM, left out: {', '.join(wrong)}"
                await self._recorder.record(bundle, EventKind.WARNING, "TrustBundleInvalid", message)


def _content(config_map: Object) -> Object:
    return {field: config_map[field] for field in _CONTENT if config_map.get(field)}
