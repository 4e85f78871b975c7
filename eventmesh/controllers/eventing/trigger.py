"""Triggers: resolve subscriber and dead letter sink, follow the broker, tell in conditions what is missing."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.controllers.eventing.dependency import Dependencies
from eventmesh.controllers.eventing.destinations import (
    Destinations,
    Unresolved,
    dead_letter_sink_of,
    references,
    resolve_dead_letter_sink,
)
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.controllers.eventing.methods import OfferedMethods
from eventmesh.kube.api import Api, Object
from eventmesh.kube.eventing_features import CROSS_NAMESPACE, FeatureStore
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import BROKER, TRIGGER
from eventmesh.kube.rpc_methods import SIGNATURE, rpc_method_of, signature_text
from eventmesh.kube.status import UNKNOWN, Conditions, ConditionSet, condition, conditions_of, write_status
from eventmesh.kube.trigger_brokers import broker_of, is_elsewhere
from eventmesh.model.rpc import Signature

CONDITIONS = ConditionSet(
    (
        "BrokerReady",
        "SubscriptionReady",
        "DependencyReady",
        "SubscriberResolved",
        "DeadLetterSinkResolved",
        "OIDCIdentityCreated",
    )
)


class Triggers:
    """The controller of Triggers."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        identities: Identities,
        features: FeatureStore,
    ) -> None:
        self._api = api
        self._features = features
        self._identities = identities
        self._clock = clock
        self._destinations = destinations
        self._triggers = informers.of(TRIGGER)
        self._brokers = informers.of(BROKER)
        self.controller = Controller("trigger", self._triggers, self.reconcile, clock, recorder=recorder)
        self.controller.watch(self._brokers, self._of_broker)
        destinations.follow(self.controller, self._triggers, _refers_to)
        identities.follow(self.controller, self._triggers)
        self._dependencies = Dependencies(informers)
        self._dependencies.follow(self.controller, self._triggers)
        self._methods = OfferedMethods(informers)
        self.controller.watch(self._methods.interfaces, self._of_interface)

    def _of_broker(self, broker: Object) -> list[Key]:
        key = key_of(broker)
        return [key_of(trigger) for trigger in self._triggers if broker_of(trigger) == key]

    def _of_interface(self, interface: Object) -> list[Key]:
        service = Key(
            key_of(interface).namespace, ((interface.get("spec") or {}).get("targetRef") or {}).get("name", "")
        )
        return [key_of(t) for t in self._triggers if references(t["spec"].get("subscriber")) == service]

    async def reconcile(self, key: Key) -> None:
        """Write the resolved addresses and the conditions."""
        trigger = self._triggers.get(key.name, key.namespace)
        if trigger is None or is_deleting(trigger):
            return
        where = broker_of(trigger)
        broker = self._brokers.get(where.name, where.namespace)
        if broker is not None and annotations_of(broker).get(CLASS_ANNOTATION) != BROKER_CLASS:
            return
        conditions = Conditions(CONDITIONS, conditions_of(trigger), self._clock.now())
        if is_elsewhere(trigger) and not self._features.current.cross_namespace:
            # Without an address nothing is delivered; what waits, waits.
            message = f"Broker {where} is of another namespace, and {CROSS_NAMESPACE} is not enabled"
            conditions.mark_false("BrokerReady", "CrossNamespaceDisabled", message)
            status: Object = {}
        else:
            self._follow_broker(where, broker, conditions)
            status = self._subscriber(trigger, conditions) | self._dead_letter_sink(trigger, broker, conditions)
        self._dependencies.mark(trigger, conditions)
        status |= await self._identities.ensure(TRIGGER, trigger, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, TRIGGER, trigger, status)

    def _follow_broker(self, where: Key, broker: Object | None, conditions: Conditions) -> None:
        if broker is None:
            conditions.mark_false("BrokerReady", "BrokerDoesNotExist", f'Broker "{where.name}" does not exist')
            return
        ready = condition(broker, "Ready") or {"status": UNKNOWN}
        conditions.mark("BrokerReady", ready["status"], ready.get("reason", ""), ready.get("message", ""))

    def _subscriber(self, trigger: Object, conditions: Conditions) -> Object:
        try:
            compile_trigger_filter(trigger["spec"])
        except ConfigError as error:
            # Admission refuses such a filter; this tells of one that was stored before the rule was there.
            conditions.mark_false("SubscriptionReady", "FilterInvalid", str(error))
            return {}
        url = self._destinations.resolve(trigger["spec"]["subscriber"])
        if isinstance(url, Unresolved):
            conditions.mark_false("SubscriberResolved", url.reason, url.message)
            conditions.mark_unknown("SubscriptionReady", "SubscriberNotResolved", "waits for the subscriber's address")
            return {}
        conditions.mark_true("SubscriberResolved")
        method = self._method(trigger)
        if isinstance(method, Unresolved):
            conditions.mark_false("SubscriptionReady", method.reason, method.message)
            return {}
        conditions.mark_true("SubscriptionReady")
        shown = self._destinations.shown("subscriber", trigger["spec"]["subscriber"])
        return {"subscriberUri": url, **method} | shown

    def _method(self, trigger: Object) -> Object | Unresolved:
        """Return what the status tells the broker of the method that is called."""
        try:
            method = rpc_method_of(trigger)
        except ConfigError as error:
            return Unresolved("MethodInvalid", str(error), permanent=True)
        signature = self._methods.signature(trigger["spec"]["subscriber"], method) if method else None
        if isinstance(signature, Signature):
            return {"annotations": {SIGNATURE: signature_text(signature)}}
        return signature or {}

    def _dead_letter_sink(self, trigger: Object, broker: Object | None, conditions: Conditions) -> Object:
        """The Trigger's own delivery block hides its Broker's as a whole (data-plane.md)."""
        if trigger["spec"].get("delivery"):
            sink = dead_letter_sink_of(trigger)
        else:
            sink = dead_letter_sink_of(broker) if broker is not None else None
        return resolve_dead_letter_sink(self._destinations, sink, conditions)


def _refers_to(trigger: Object) -> tuple[Key | None, ...]:
    return references(trigger["spec"].get("subscriber")), references(dead_letter_sink_of(trigger))
