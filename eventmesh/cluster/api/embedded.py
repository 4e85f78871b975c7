"""The whole embedded API without its port: store, catalog, registry, lifecycle, first objects."""

from __future__ import annotations

from pathlib import Path

from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.admission import AdmissionChain
from eventmesh.cluster.api.builtin.kinds import BUILTIN_KINDS
from eventmesh.cluster.api.builtin.podspec import NODE_NAME
from eventmesh.cluster.api.builtin.strategies import strategies
from eventmesh.cluster.api.catalog import Catalog
from eventmesh.cluster.api.definitions import DefinitionStrategy
from eventmesh.cluster.api.deletion import Deleter
from eventmesh.cluster.api.identity import Authenticator
from eventmesh.cluster.api.inprocess import InProcessApi
from eventmesh.cluster.api.lifecycle import DEFINITIONS, Lifecycle
from eventmesh.cluster.api.manifests import apply_absent, apply_objects
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.cluster.api.rbac.bindings import Bindings
from eventmesh.cluster.api.rbac.defaults import DEFAULT_BINDINGS, DEFAULT_ROLES
from eventmesh.cluster.api.rbac.strategies import BindingStrategy, RoleStrategy
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.reviews import Reviews
from eventmesh.cluster.api.shipped import install_shipped
from eventmesh.cluster.api.tokens import ISSUER, TokenIssuer
from eventmesh.cluster.store.store import Key, Store
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.manifests import read_manifests
from eventmesh.kube.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, SERVICE_ACCOUNT

FIRST_NAMESPACES = ("default", "kube-system", "kube-public")
CONTROLLER_USER = "system:serviceaccount:knative-serving:controller"
"""Who our controllers are to admission: Knative's own lets only this user skip some rules."""
SHARE_AFTER_S = 30.0
"""By then a mesh with many functions has started, and what it does next is to wait."""
SHARED_IN_A_TURN = 50
"""Objects, for some two milliseconds."""
SIGNING_KEY = "service-account.key"
"""The file, beside the objects, that signs service account tokens."""


class EmbeddedApi:
    """The API of one local cluster. Between `start` and `stop` it also does what a control plane does on its own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.clock = clock
        self.store = store
        self.catalog = Catalog(BUILTIN_KINDS)
        definitions = DefinitionStrategy(self.catalog)
        for stored in store.list(DEFINITIONS):
            definitions.stored(stored)
        bindings = Bindings(store)
        self.authorizer = Authorizer(bindings)
        self.admission = AdmissionChain(self.authorizer)
        rules = {**strategies(self._account), DEFINITIONS: definitions}
        for role in (ROLE, CLUSTER_ROLE):
            rules[role.group_resource] = RoleStrategy(role, bindings, self.authorizer)
        for binding in (ROLE_BINDING, CLUSTER_ROLE_BINDING):
            rules[binding.group_resource] = BindingStrategy(binding, bindings, self.authorizer)
        self.registry = Registry(store, self.catalog, clock, rules, self.admission)
        self.deleter = Deleter(self.registry, clock)
        self.tokens = TokenIssuer(store.directory / SIGNING_KEY, store, clock)
        self.authenticator = Authenticator(self.tokens, ISSUER)
        self.reviews = Reviews(self.authenticator, self.authorizer)
        self._lifecycle = Lifecycle(self.registry, self.deleter, clock)
        self._tasks = TaskGroup("cluster.api")

    def in_process(self, user: str = CONTROLLER_USER) -> InProcessApi:
        """Return the API for controllers of this process, who act as `user`."""
        return InProcessApi(self.registry, self.deleter, user, self.tokens, self.reviews)

    def apply(self, manifests: Path) -> list[tuple[Resource, Object]]:
        """Create or update every object in the YAML files under `manifests`, CRDs first; return them."""
        return apply_objects(self.registry, read_manifests(manifests))

    def _account(self, namespace: str, name: str) -> Object | None:
        found = self.store.get(Key(SERVICE_ACCOUNT.plural, namespace, name))
        return None if found is None else found.object

    @property
    def is_in_step(self) -> bool:
        """Return whether what follows from changes is done as they come."""
        return self._lifecycle.is_in_step

    def publish_authority(self, ca_pem: bytes) -> None:
        """Keep what the API's certificate is verified by in every namespace, for pods to mount; after `start`."""
        self._tasks.spawn("authority", self._lifecycle.publish(ca_pem.decode()))

    async def start(self) -> None:
        """Create what every cluster has, Knative's kinds among it, and begin to follow changes."""
        apply_objects(self.registry, [_namespace(name) for name in FIRST_NAMESPACES] + [_node()])
        apply_absent(self.registry, [*DEFAULT_ROLES, *DEFAULT_BINDINGS])
        install_shipped(self.registry)
        self._tasks.spawn("lifecycle", self._lifecycle.run())
        self._tasks.spawn("events", self._lifecycle.age_events())
        self._tasks.spawn("store", self.store.maintain())
        self._tasks.spawn("sharing", self._share_sets())

    async def _share_sets(self) -> None:
        """Let the objects that were there at the start share what is equal in them, once nobody waits for a start."""
        await self.clock.sleep(SHARE_AFTER_S)
        for kind in list(self.store.kinds()):
            for number, obj in enumerate(self.store.list(kind)):
                self.registry.shared_sets.take(obj)
                if number % SHARED_IN_A_TURN == 0:
                    await self.clock.sleep(0)

    async def stop(self) -> None:
        """Stop following changes; the store stays open."""
        await self._tasks.stop()


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _node() -> Object:
    """Return the one node; how the machine stands is told by the runtime."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE_NAME,
            "labels": {"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux"},
        },
    }
