"""What the broker needs to know of Brokers and Triggers, kept current from their objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from eventmesh.activator.broker.addressee import broker_key, own_key
from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.filters import Filter, compile_trigger_filter
from eventmesh.kube.api import Object
from eventmesh.kube.broker_annotations import broker_controls_of, controls_of
from eventmesh.kube.delivery_spec import parse_delivery
from eventmesh.kube.informer import Informer
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.objects import annotations_of, is_deleting, key_of
from eventmesh.kube.rpc_methods import rpc_method_of
from eventmesh.kube.trigger_brokers import broker_of
from eventmesh.model.delivery import BrokerControls, DeliveryControls, DeliveryPolicy
from eventmesh.model.listener import WireProtocol
from eventmesh.model.rpc import RpcMethod, RpcProtocol

_UNASKED = BrokerControls()

_log = log.get("activator.broker.triggers")


@frozen
class Peer:
    """Who is at the other end of an address: what is shown to it, and how it proves who it is."""

    audience: str = ""
    """What a token must be for that is shown there; empty: none is asked for."""
    authorities: str = ""
    """Who may vouch for it under https (PEM); empty: whom this machine trusts."""
    speaks: WireProtocol = WireProtocol.HTTP1
    """Inside the mesh its Service says whether it is HTTP/1 or HTTP/2."""

    @staticmethod
    def in_status(status: Object, name: str) -> Peer:
        """Return the peer that a status, or an entry of `spec.subscribers`, calls `name`."""
        return Peer(status.get(f"{name}Audience") or "", status.get(f"{name}CACerts") or "")


@frozen
class Identity:
    """Who a subscription sends as, and to whom."""

    account: str = ""
    """A service account of its namespace, while authentication is on."""
    subscriber: Peer = Peer()
    reply: Peer = Peer()
    dead_letter: Peer = Peer()


def account_of(obj: Object) -> str:
    """Return the service account that a status, or an entry of `spec.subscribers`, names."""
    return str((obj.get("auth") or {}).get("serviceAccountName") or "")


@frozen
class Subscription:
    """One Trigger, one subscriber of a channel, or the sink of a source, compiled."""

    uid: str
    namespace: str
    name: str
    broker: str
    """Key of the broker or channel whose events it gets (`addressee`)."""
    subscriber_uri: str
    passes: Filter
    policy: DeliveryPolicy
    reply_to: str = ""
    """Where replies go: the key of a broker or channel, or the URL of somebody else; empty: nobody wants them."""
    subscriber_key: str = ""
    """Key of the broker or channel that `subscriber_uri` is the address of; empty for all others."""
    prefers_reply: bool = True
    """Whether the subscriber is asked for a reply: brokers and channels ask all of theirs (data-plane.md)."""
    controls: DeliveryControls = DeliveryControls()
    identity: Identity = Identity()
    rpc: RpcMethod | None = None
    """The method that the subscriber is called by; None: events are posted."""


class TriggerSource(Protocol):
    """Where the broker learns of brokers and subscriptions."""

    def has_broker(self, broker: str) -> bool:
        """Return whether `broker` is the key of a broker or channel of ours."""
        ...

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return all subscriptions by UID."""
        ...

    def exists(self, uid: str) -> bool:
        """Return whether the object of that UID is there, be it served or not."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        ...


class KubeTriggers:
    """A `TriggerSource` from the informers of Brokers and Triggers. A Trigger counts once its subscriber is resolved
    (`status.subscriberUri`, written by the eventing controllers)."""

    def __init__(self, brokers: Informer, triggers: Informer) -> None:
        self._brokers = brokers
        self._compiled: dict[str, Subscription] = {}
        self._controls: dict[str, BrokerControls] = {}
        """Key of a broker -> what its annotations ask for, of those that ask for something."""
        self._listeners: list[Callable[[], None]] = []
        self._triggers = triggers
        triggers.add_handler(self._trigger_changed)
        brokers.add_handler(self._broker_changed)

    def has_broker(self, broker: str) -> bool:
        """Return whether the broker exists, is of our class, and is not on its way out."""
        namespace, _, name = broker.partition("/")
        obj = self._brokers.get(name, namespace)
        return obj is not None and not is_deleting(obj) and annotations_of(obj).get(CLASS_ANNOTATION) == BROKER_CLASS

    def window_s(self, broker: str) -> float:
        """Return for how long a broker knows (source, id) again; 0: not at all, or no broker of ours."""
        return self._controls.get(broker, _UNASKED).deduplicate_s

    def guessing(self) -> Mapping[str, int]:
        """Return the brokers that have functions woken on a guess, and how many each may at a time."""
        return {key: controls.prewarm for key, controls in self._controls.items() if controls.prewarm}

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return the compiled Triggers."""
        return self._compiled

    def exists(self, uid: str) -> bool:
        """Return whether a Trigger of that UID is there."""
        return any(obj["metadata"]["uid"] == uid for obj in self._triggers.list())

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    def _trigger_changed(self, old: Object | None, new: Object | None) -> None:
        uid = (new or old or {})["metadata"]["uid"]
        compiled = self._compile(new) if new is not None else None
        if compiled is None:
            self._compiled.pop(uid, None)
        else:
            self._compiled[uid] = compiled
        self._notify()

    def _broker_changed(self, old: Object | None, new: Object | None) -> None:
        self._controls.pop(str(key_of(new or old or {})), None)
        if new is not None and (controls := _controls_of(new)) != _UNASKED:
            self._controls[str(key_of(new))] = controls
        # A Trigger without a delivery block of its own follows its Broker's.
        broker = str(key_of(new)) if new is not None else ""
        for obj in self._triggers.list():
            if str(broker_of(obj)) == broker:
                self._trigger_changed(obj, obj)
        self._notify()

    def _notify(self) -> None:
        for changed in self._listeners:
            changed()

    def _compile(self, obj: Object) -> Subscription | None:
        key, spec, status = key_of(obj), obj["spec"], obj.get("status") or {}
        uri = status.get("subscriberUri")
        if not uri or is_deleting(obj):
            return None
        try:
            policy = self._policy(obj, status.get("deadLetterSinkUri") or "")
            passes = compile_trigger_filter(spec)
            controls, rpc = controls_of(obj), rpc_method_of(obj)
        except ConfigError as error:
            # Admission refuses these; one that was there before is told in its own conditions by the controller.
            _log.warning("trigger is not served", trigger=key, reason=error)
            return None
        broker = broker_key(*broker_of(obj))
        return Subscription(
            uid=obj["metadata"]["uid"],
            namespace=key.namespace,
            name=key.name,
            broker=broker,
            subscriber_uri=uri,
            passes=passes,
            policy=policy,
            reply_to=broker,
            # A broker has no methods: whoever names one there is told by the call that fails.
            subscriber_key="" if rpc else own_key(uri),
            controls=controls,
            rpc=rpc,
            identity=Identity(
                account_of(status),
                replace(Peer.in_status(status, "subscriber"), speaks=_spoken(rpc)),
                dead_letter=Peer.in_status(status, "deadLetterSink"),
            ),
        )

    def _policy(self, trigger: Object, dead_letter_uri: str) -> DeliveryPolicy:
        delivery = trigger["spec"].get("delivery")
        if delivery:
            return parse_delivery(delivery, "spec.delivery", dead_letter_uri)
        where = broker_of(trigger)
        broker = self._brokers.get(where.name, where.namespace)
        delivery = (broker or {}).get("spec", {}).get("delivery")
        if delivery:
            return parse_delivery(delivery, "spec.delivery", dead_letter_uri)
        return DeliveryPolicy(dead_letter_uri=dead_letter_uri)


def _spoken(rpc: RpcMethod | None) -> WireProtocol:
    match rpc.protocol if rpc else None:
        case RpcProtocol.GRPC:
            return WireProtocol.HTTP2
        case RpcProtocol.BOLT:
            return WireProtocol.BOLT
        case RpcProtocol.DUBBO:
            return WireProtocol.DUBBO
    return WireProtocol.HTTP1


def _controls_of(broker: Object) -> BrokerControls:
    try:
        return broker_controls_of(broker)
    except ConfigError as error:
        # Admission refuses it; what was there before goes without.
        _log.warning("annotations are not obeyed", broker=key_of(broker), reason=error)
        return _UNASKED
