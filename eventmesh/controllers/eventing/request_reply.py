"""RequestReplies: the address and the conditions. The activator asks and waits (`activator.request_reply`)."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.addresses import Addresses, Entrance
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.names import request_reply_url
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION, REQUEST_REPLY_INGRESS
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.request_reply import parse_request_reply
from eventmesh.kube.resources import BROKER, REQUEST_REPLY
from eventmesh.kube.status import UNKNOWN, Conditions, ConditionSet, condition, conditions_of, write_status

CONDITIONS = ConditionSet(("TriggersReady", "BrokerReady", "Addressable", "EventPoliciesReady"))

_ENTRANCE = Entrance(REQUEST_REPLY_INGRESS)


class RequestReplies:
    """The controller of RequestReplies."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        recorder: EventRecorder,
        policies: AppliedPolicies,
        addresses: Addresses,
    ) -> None:
        self._api = api
        self._addresses = addresses
        self._policies = policies
        self._clock = clock
        self._replies = informers.of(REQUEST_REPLY)
        self._brokers = informers.of(BROKER)
        self.controller = Controller("requestreply", self._replies, self.reconcile, clock, recorder=recorder)
        self.controller.watch(self._brokers, self._of_broker)
        policies.follow(self.controller, self._replies)
        addresses.follow(self.controller, self._replies, _ENTRANCE)

    def _of_broker(self, broker: Object) -> list[Key]:
        key = key_of(broker)
        mine = (obj for obj in self._replies.list(key.namespace) if _broker_name(obj) == key.name)
        return [key_of(obj) for obj in mine]

    async def reconcile(self, key: Key) -> None:
        """Write address and conditions."""
        obj = self._replies.get(key.name, key.namespace)
        if obj is None or is_deleting(obj):
            return
        conditions = Conditions(CONDITIONS, conditions_of(obj), self._clock.now())
        note = "spec.delivery has no effect" if (obj.get("spec") or {}).get("delivery") else ""
        conditions.mark_true("TriggersReady", "NoTriggerNeeded", note)
        self._follow_broker(obj, conditions)
        status = self._policies.mark(conditions, (REQUEST_REPLY, obj))
        plain = request_reply_url(key.namespace, key.name)
        status |= self._addresses.mark(conditions, REQUEST_REPLY, obj, plain, _ENTRANCE)
        status["conditions"] = conditions.result()
        await write_status(self._api, REQUEST_REPLY, obj, status)

    def _follow_broker(self, obj: Object, conditions: Conditions) -> None:
        try:
            named = parse_request_reply(obj).broker
        except ConfigError as error:
            # Admission refuses it; this tells of one that was stored before.
            conditions.mark_false("BrokerReady", "SpecInvalid", str(error))
            return
        broker = self._brokers.get(named.name, named.namespace)
        if broker is None:
            conditions.mark_false("BrokerReady", "BrokerDoesNotExist", f'Broker "{named.name}" does not exist')
        elif annotations_of(broker).get(CLASS_ANNOTATION) != BROKER_CLASS:
            message = f'Broker "{named.name}" is not of class {BROKER_CLASS}'
            conditions.mark_false("BrokerReady", "BrokerClassNotSupported", message)
        else:
            ready = condition(broker, "Ready") or {"status": UNKNOWN}
            conditions.mark("BrokerReady", ready["status"], ready.get("reason", ""), ready.get("message", ""))


def _broker_name(obj: Object) -> str:
    return str(((obj.get("spec") or {}).get("brokerRef") or {}).get("name") or "")
