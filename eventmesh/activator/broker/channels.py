"""What is delivered of channels: each entry of an InMemoryChannel's `spec.subscribers` is a subscription.

The entries are Knative's duck type Subscribable, written by the eventing controllers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eventmesh.activator.broker.addressee import channel_key, channel_of, own_key
from eventmesh.activator.broker.triggers import Identity, Peer, Subscription, account_of
from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.kube.api import Object
from eventmesh.kube.broker_annotations import subscription_controls_of
from eventmesh.kube.delivery_spec import parse_delivery
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.model.delivery import DeliveryPolicy

_EVERYTHING = compile_trigger_filter({})

_log = log.get("activator.broker.channels")


def subscribers_of(channel: Object) -> list[Object]:
    """Return the entries that a channel lists."""
    return (channel.get("spec") or {}).get("subscribers") or []


def compile_subscriber(channel: Object, entry: Object) -> Subscription:
    """Return one entry, compiled; raises ConfigError when its delivery block or an annotation is wrong.

    Without a delivery block it is tried as often as a broker would: what the channel accepted is to arrive.
    """
    key, delivery = key_of(channel), entry.get("delivery")
    policy = DeliveryPolicy()
    letters_sink = (delivery or {}).get("deadLetterSink") or {}
    if delivery:
        policy = parse_delivery(delivery, "delivery", letters_sink.get("uri") or "")
    subscriber, reply = entry.get("subscriberUri") or "", entry.get("replyUri") or ""
    # Without a subscriber the event itself goes where replies would.
    uri, reply = (subscriber, reply) if subscriber else (reply, "")
    return Subscription(
        uid=entry["uid"],
        namespace=key.namespace,
        name=entry.get("name") or entry["uid"],
        broker=channel_key(key.namespace, key.name),
        subscriber_uri=uri,
        passes=_EVERYTHING,
        policy=policy,
        reply_to=own_key(reply) or reply,
        subscriber_key=own_key(uri),
        controls=subscription_controls_of({"metadata": {"annotations": entry.get("annotations") or {}}}),
        identity=Identity(
            account_of(entry),
            Peer.in_status(entry, "subscriber" if subscriber else "reply"),
            Peer.in_status(entry, "reply"),
            Peer(letters_sink.get("audience") or "", letters_sink.get("CACerts") or ""),
        ),
    )


class KubeChannels:
    """A `TriggerSource` from the informer of InMemoryChannels."""

    def __init__(self, channels: Informer) -> None:
        self._channels = channels
        self._compiled: dict[Key, dict[str, Subscription]] = {}
        self._all: dict[str, Subscription] = {}
        self._listeners: list[Callable[[], None]] = []
        channels.add_handler(self._changed)

    def has_broker(self, broker: str) -> bool:
        """Return whether `broker` is the key of a channel that is there, and not on its way out."""
        named = channel_of(broker)
        channel = self._channels.get(named[1], named[0]) if named else None
        return channel is not None and not is_deleting(channel)

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return what can be delivered, by UID of the Subscription."""
        return self._all

    def exists(self, uid: str) -> bool:
        """Return whether a channel lists that UID."""
        return any(entry["uid"] == uid for channel in self._channels for entry in subscribers_of(channel))

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        channel = new or old or {}
        compiled = {} if new is None or is_deleting(new) else _compile(new)
        if self._compiled.get(key_of(channel), {}) == compiled:
            # A change of its status, which this process writes itself, is none of the dispatcher's business.
            return
        self._compiled[key_of(channel)] = compiled
        self._all = {uid: made for each in self._compiled.values() for uid, made in each.items()}
        for changed in self._listeners:
            changed()


def _compile(channel: Object) -> dict[str, Subscription]:
    compiled = {}
    for entry in subscribers_of(channel):
        try:
            compiled[entry["uid"]] = compile_subscriber(channel, entry)
        except ConfigError as error:
            # Told in the channel's status as well, and from there in the Subscription's.
            _log.warning("subscription is not served", channel=key_of(channel), uid=entry["uid"], reason=error)
    return compiled
