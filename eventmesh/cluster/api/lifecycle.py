"""What the control plane of a real cluster does on its own: namespaces fill and empty, dependents follow owners.

One task follows every change in order and hands it to the collector and to the keepers here.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.log_rate import LogRate
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.collector import GarbageCollector
from eventmesh.cluster.api.definitions import CLEANUP_FINALIZER
from eventmesh.cluster.api.deletion import DeleteOptions, Deleter
from eventmesh.cluster.api.identity import ADMIN_GROUPS
from eventmesh.cluster.api.rbac.aggregation import Aggregation
from eventmesh.cluster.api.registry import NAMESPACES, Registry
from eventmesh.cluster.api.structural import clone, clone_object
from eventmesh.cluster.api.writing import WriteOptions
from eventmesh.cluster.store.history import StorageError
from eventmesh.cluster.store.store import EVERY_KIND, Change, ChangeType, Key, WatchOverflowError
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.objects import is_deleting
from eventmesh.kube.resources import CLUSTER_ROLE, CONFIG_MAP, CRD, EVENT, NAMESPACE, SERVICE_ACCOUNT

_log = log.get("cluster.lifecycle")

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
EVENTS = "events"
EVENT_KEPT = timedelta(hours=1)
"""The API server's default time to live of Events."""
EVENT_SWEEP_S = 60.0
ROOT_CERTIFICATE = "kube-root-ca.crt"
"""The ConfigMap of every namespace with what the API's certificate is verified by, as a cluster has it."""
_ABOUT_ROOT_CERTIFICATE = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using "
    "internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes clusters."
}
RETRY_S = 5.0
"""A full disk is emptied by hand; this often is soon enough to notice."""
_AS_KEEPER = WriteOptions(user="system:kube-controller-manager", groups=ADMIN_GROUPS)


class Lifecycle:
    """Runs the collector, the namespaces' lives, the clean-up after CRDs and the ageing of Events."""

    def __init__(self, registry: Registry, deleter: Deleter, clock: Clock) -> None:
        self._registry = registry
        self._deleter = deleter
        self._clock = clock
        self._told = LogRate(clock)
        self._collector = GarbageCollector(registry, deleter)
        self._aggregation = Aggregation(registry, _AS_KEEPER)
        self._authority = ""
        self.is_in_step = False
        """Whether every change so far has been followed."""

    async def run(self) -> None:
        """Follow every change until cancelled."""
        while True:
            watch = self._registry.store.watch(EVERY_KIND)
            try:
                self._take_in()
                self.is_in_step = True
                while True:
                    self.observe(await watch.next())
            except WatchOverflowError as error:
                _log.warning("fell behind, looking at everything again", reason=error)
            except StorageError as error:
                self.is_in_step = False
                if self._told.allows():
                    _log.error("cannot write, looking at everything again later", reason=error, after_s=RETRY_S)
                await self._clock.sleep(RETRY_S)
            finally:
                watch.close()
                self.is_in_step = False

    def observe(self, change: Change) -> None:
        """Do what follows from one change."""
        self._collector.observe(change)
        key = change.key
        if change.type is ChangeType.DELETED:
            self._after_removal(key)
        else:
            self._keep(key.kind, change.object)
        if key.name == ROOT_CERTIFICATE and key.kind == CONFIG_MAP.plural:
            self._keep_root_certificate(key.namespace)
        if key.kind == CLUSTER_ROLE.group_resource:
            self._aggregation.aggregate()

    def _take_in(self) -> None:
        store = self._registry.store
        kinds = list(store.kinds())
        keys = [(kind, obj) for kind in kinds for obj in store.list(kind)]
        for kind, obj in keys:
            self._collector.adopt(_key(kind, obj), obj)
        for kind, obj in keys:
            self._collector.examine(_key(kind, obj))
            self._collector.continue_deletion(_key(kind, obj))
            self._keep(kind, obj)
        self._aggregation.aggregate()

    def _keep(self, kind: str, obj: Object) -> None:
        try:
            if kind == NAMESPACES:
                self._keep_namespace(obj)
            elif kind == DEFINITIONS:
                self._clean_definition(obj)
        except ApiError as error:
            # One object that cannot be kept must not end the keeping of all others.
            _log.error("not kept", kind=kind, name=obj["metadata"]["name"], reason=error.message)

    # -- namespaces

    def _keep_namespace(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        if "deletionTimestamp" in namespace["metadata"]:
            self._empty_namespace(name)
            return
        accounts = self._registry.catalog.of(SERVICE_ACCOUNT)
        if accounts is not None and self._registry.store.get(Key(accounts.kind_key, name, "default")) is None:
            self._registry.create(accounts, {"metadata": {"name": "default"}}, name, _AS_KEEPER)
        self._keep_root_certificate(name)

    async def publish(self, authority: str) -> None:
        """Keep `authority`, certificates in PEM, in every namespace from now on; returns once it is in each."""
        self._authority = authority
        while True:
            try:
                for namespace in self._registry.store.list(NAMESPACES):
                    self._keep(NAMESPACES, namespace)
            except StorageError as error:
                # The store itself tells of it.
                _log.debug("root certificate not published", reason=error)
                await self._clock.sleep(RETRY_S)
            else:
                return

    def _keep_root_certificate(self, namespace: str) -> None:
        """Make the ConfigMap again when somebody has changed or deleted it; pods of the namespace rely on it."""
        store, config_maps = self._registry.store, self._registry.catalog.of(CONFIG_MAP)
        home = store.get(Key(NAMESPACES, "", namespace))
        if not self._authority or config_maps is None or home is None or is_deleting(home.object):
            return
        data = {"ca.crt": self._authority}
        found = store.get(Key(config_maps.kind_key, namespace, ROOT_CERTIFICATE))
        if found is None:
            metadata = {"name": ROOT_CERTIFICATE, "annotations": dict(_ABOUT_ROOT_CERTIFICATE)}
            self._registry.create(config_maps, {"metadata": metadata, "data": data}, namespace, _AS_KEEPER)
        elif found.object.get("data") != data:
            changed = {**clone_object(found.object), "data": data}
            self._registry.update(config_maps, changed, ROOT_CERTIFICATE, namespace, _AS_KEEPER)

    def _empty_namespace(self, name: str) -> None:
        store = self._registry.store
        remaining: list[tuple[Served, Object]] = []
        for kind in list(store.kinds()):
            served = self._registry.catalog.by_kind_key(kind)
            if served is None or not served.resource.namespaced:
                continue
            remaining += [(served, obj) for obj in store.list(kind, name) if self._delete(served, obj)]
        namespaces = self._registry.catalog.of(NAMESPACE)
        if namespaces is None:
            return
        if remaining:
            self._tell_remaining(namespaces, name, remaining)
        else:
            finalize_namespace(self._registry, namespaces, name, [])

    def _tell_remaining(self, served: Served, name: str, remaining: list[tuple[Served, Object]]) -> None:
        """Say in the namespace's status what it waits for: a stuck finalizer is found by reading it."""
        current = self._registry.load(served, name, "").object
        told = remaining_conditions([(kind.resource, obj) for kind, obj in remaining])
        known = {item["type"]: item for item in (current.get("status") or {}).get("conditions") or ()}
        if all(known.get(item["type"], {}).get("message") == item["message"] for item in told):
            return
        now = self._registry.now()
        merged = {**known, **{item["type"]: {**item, "lastTransitionTime": now} for item in told}}
        changed = clone_object(current)
        changed["status"] = {**(current.get("status") or {}), "conditions": list(merged.values())}
        self._registry.update(served, changed, name, "", _AS_KEEPER, status=True)

    def _delete(self, served: Served, obj: Object) -> bool:
        """Delete `obj` unless that has begun; return whether it is still there."""
        meta = obj["metadata"]
        if "deletionTimestamp" in meta:
            return True
        return not self._deleter.delete(served, meta["name"], meta.get("namespace", ""), DeleteOptions()).gone

    def _after_removal(self, key: Key) -> None:
        store = self._registry.store
        if key.namespace:
            namespace = store.get(Key(NAMESPACES, "", key.namespace))
            if namespace is not None and "deletionTimestamp" in namespace.object["metadata"]:
                self._keep(NAMESPACES, namespace.object)
        definition = store.get(Key(DEFINITIONS, "", key.kind))
        if definition is not None:
            self._keep(DEFINITIONS, definition.object)

    # -- custom resource definitions

    def _clean_definition(self, definition: Object) -> None:
        """Delete the objects of a CRD that is being deleted, then let it go."""
        meta = definition["metadata"]
        if "deletionTimestamp" not in meta or CLEANUP_FINALIZER not in (meta.get("finalizers") or ()):
            return
        served = self._registry.catalog.by_kind_key(meta["name"])
        remaining = 0
        if served is not None:
            for obj in self._registry.store.list(served.kind_key):
                remaining += self._delete(served, obj)
        definitions = self._registry.catalog.of(CRD)
        if remaining or definitions is None:
            return
        changed = clone(definition)
        changed["metadata"]["finalizers"].remove(CLEANUP_FINALIZER)
        self._registry.update(definitions, changed, meta["name"], "", _AS_KEEPER)

    # -- events

    async def age_events(self) -> None:
        """Delete Events that are older than an hour, every minute until cancelled."""
        while True:
            await self._clock.sleep(EVENT_SWEEP_S)
            try:
                self.sweep_events(self._clock.now() - EVENT_KEPT)
            except StorageError as error:
                # The store itself tells of it.
                _log.debug("events not swept", reason=error)

    def sweep_events(self, before: datetime) -> None:
        """Delete the Events last seen before that time."""
        events = self._registry.catalog.of(EVENT)
        if events is None:
            return
        for event in self._registry.store.list(EVENTS):
            stamp = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            try:
                seen = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
            except ValueError:
                seen = before - EVENT_KEPT
            if seen < before:
                meta = event["metadata"]
                self._deleter.delete(events, meta["name"], meta["namespace"], DeleteOptions())


def finalize_namespace(registry: Registry, served: Served, name: str, finalizers: list[str]) -> Object:
    """Set the finalizers in a namespace's spec (its `finalize` subresource); the last one lets it go."""
    current = registry.load(served, name, "")
    obj: Object = clone(current.object)
    obj["spec"] = {"finalizers": finalizers} if finalizers else {}
    registry.commit(served, obj, current)
    return obj


def remaining_conditions(remaining: list[tuple[Resource, Object]]) -> list[Object]:
    """Return what a namespace on its way out says of the objects that are still in it, in the words of Kubernetes."""
    kinds = Counter(f"{resource.plural}.{resource.group}" for resource, _ in remaining)
    held = Counter(name for _, obj in remaining for name in obj["metadata"].get("finalizers") or ())
    conditions: list[Object] = [
        {
            "type": "NamespaceContentRemaining",
            "status": "True",
            "reason": "SomeResourcesRemain",
            "message": "Some resources are remaining: "
            + ", ".join(f"{kind} has {count} resource instances" for kind, count in sorted(kinds.items())),
        }
    ]
    if held:
        listed = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(held.items()))
        conditions.append(
            {
                "type": "NamespaceFinalizersRemaining",
                "status": "True",
                "reason": "SomeFinalizersRemain",
                "message": f"Some content in the namespace has finalizers remaining: {listed}",
            }
        )
    return conditions


def _key(kind: str, obj: Object) -> Key:
    return Key(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
