"""Says on every Broker what a 202 is worth: where its events are kept, and which promises that engine cannot keep.

All brokers of a mesh are kept in one store (`eventmesh activator --store`). A Broker may name the one it counts on, as
Knative's brokers name theirs: `spec.config` refers to a ConfigMap with `store`. When that is another one, it is told.
"""

from __future__ import annotations

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.shares import HOUSEKEEPING
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import BROKER, CONFIG_MAP
from eventmesh.kube.status import FALSE, TRUE, UNKNOWN, Conditions, ConditionSet, conditions_of, write_status

KIND = "EventStore"
"""Of the condition. It informs, and decides no readiness."""

STORE_KEY = "store"
"""Of the ConfigMap."""


class Durability:
    """The condition `EventStore` of every Broker; where activators share a store one of them writes it."""

    def __init__(self, api: Api, brokers: Informer, store: EventStore, address: str, clock: Clock) -> None:
        """`address` is that of the store, as it was given; empty: the activator's own."""
        self._api = api
        self._brokers = brokers
        self._store = store
        self._address = address
        self._clock = clock
        self.controller = Controller("durability", brokers, self.reconcile, clock)

    def start(self) -> None:
        """Begin to tell."""
        self.controller.start()
        self._store.shares.subscribe(self._tell_all)

    def _tell_all(self) -> None:
        for broker in self._brokers.list():
            self.controller.enqueue(key_of(broker))

    async def reconcile(self, key: Key) -> None:
        """Write the condition, once the Broker's own controller has written the others."""
        broker = self._brokers.get(key.name, key.namespace)
        if broker is None or is_deleting(broker) or annotations_of(broker).get(CLASS_ANNOTATION) != BROKER_CLASS:
            return
        status = broker.get("status") or {}
        told = status.get("observedGeneration") == broker["metadata"].get("generation")
        if not told or not self._store.shares.mine(HOUSEKEEPING):
            return
        conditions = Conditions(ConditionSet(()), conditions_of(broker), self._clock.now())
        conditions.mark(KIND, *await self._judge(broker))
        own = conditions.get(KIND)
        others = [condition for condition in conditions_of(broker) if condition["type"] != KIND]
        ordered = sorted([*others, own or {}], key=lambda condition: str(condition["type"]))
        await write_status(self._api, BROKER, broker, {**status, "conditions": ordered})

    async def _judge(self, broker: Object) -> tuple[str, str, str]:
        """Return status, reason and message of the condition."""
        wanted = await self._wanted(broker)
        if wanted is not None and wanted != self._address:
            # What it names is not repeated: it may hold a secret.
            message = f"spec.config names another store; all brokers here are kept in {self._store.kept_in}"
            return FALSE, "AnotherStore", message
        if self._store.doubts:
            return UNKNOWN, "NotAllPromised", f"{self._store.kept_in}: {'; '.join(self._store.doubts)}"
        return TRUE, "Durable", f"events are kept in {self._store.kept_in}"

    async def _wanted(self, broker: Object) -> str | None:
        """Return the store that the Broker's ConfigMap names; None: it names none."""
        config = broker["spec"].get("config") or {}
        if config.get("kind") != "ConfigMap" or not config.get("name"):
            return None
        namespace = config.get("namespace") or broker["metadata"]["namespace"]
        try:
            found = await self._api.get(CONFIG_MAP, config["name"], namespace)
        except ApiError as error:
            if error.not_found:
                # Knative's own default names one that only its channels need.
                return None
            raise UnavailableError(f"ConfigMap {namespace}/{config['name']}: {error}") from error
        wanted = (found.get("data") or {}).get(STORE_KEY)
        return None if wanted is None else str(wanted).strip()
