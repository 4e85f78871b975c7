"""Subscriptions: resolve subscriber, reply and dead letter sink; ready once the channel says that it serves them.

What a Subscription becomes in its channel's `spec.subscribers` is made here (`subscriber_of`) and written by the
channel's controller; the activator answers in the channel's `status.subscribers` when it has a place for it.
"""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.eventing.destinations import (
    Destinations,
    Unresolved,
    dead_letter_sink_of,
    references,
)
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.kube.api import Api, Object
from eventmesh.kube.broker_annotations import OF_SUBSCRIPTIONS
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, controller_of, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL, SUBSCRIPTION
from eventmesh.kube.status import (
    TRUE,
    Conditions,
    ConditionSet,
    condition,
    conditions_of,
    is_ready,
    write_status,
)

CONDITIONS = ConditionSet(("ReferencesResolved", "AddedToChannel", "ChannelReady", "OIDCIdentityCreated"))

_PHYSICAL = {"subscriber": "subscriberUri", "reply": "replyUri"}
_BESIDE = tuple(f"{field}{what}" for field in _PHYSICAL for what in ("Audience", "CACerts"))
_LETTERS = {"deadLetterSinkAudience": "audience", "deadLetterSinkCACerts": "CACerts"}


class Subscriptions:
    """The controller of Subscriptions."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        identities: Identities,
    ) -> None:
        self._api = api
        self._identities = identities
        self._clock = clock
        self._destinations = destinations
        self._subscriptions = informers.of(SUBSCRIPTION)
        self._channels = informers.of(CHANNEL)
        self._backing = informers.of(IN_MEMORY_CHANNEL)
        self.controller = Controller("subscription", self._subscriptions, self.reconcile, clock, recorder=recorder)
        destinations.follow(self.controller, self._subscriptions, _keys_in)
        identities.follow(self.controller, self._subscriptions)

    async def reconcile(self, key: Key) -> None:
        """Write the resolved addresses and the conditions."""
        subscription = self._subscriptions.get(key.name, key.namespace)
        if subscription is None or is_deleting(subscription):
            return
        conditions = Conditions(CONDITIONS, conditions_of(subscription), self._clock.now())
        status = await self._identities.ensure(SUBSCRIPTION, subscription, conditions)
        channel = self._channel(subscription)
        if isinstance(channel, str):
            message = f"Failed to get Spec.Channel or backing channel: {channel}"
            conditions.mark_unknown("ReferencesResolved", "ChannelReferenceFailed", message)
            conditions.mark_unknown("AddedToChannel", "ChannelReferenceFailed", message)
            conditions.mark_unknown("ChannelReady", "ChannelReferenceFailed", message)
        else:
            status["physicalSubscription"] = self._physical(subscription, channel, conditions)
            _follow(subscription, channel, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, SUBSCRIPTION, subscription, status)

    def _channel(self, subscription: Object) -> Object | str:
        """Return the channel that delivers, or why there is none."""
        reference, key = subscription["spec"]["channel"], backing_key(subscription)
        if _is_kind(reference, CHANNEL.kind):
            channel = self._channels.get(key.name, key.namespace)
            if channel is None:
                return f'channels.messaging.knative.dev "{key.name}" not found'
            if not is_ready(channel):
                return "channel is not ready."
        elif not _is_kind(reference, IN_MEMORY_CHANNEL.kind):
            return f"{reference['kind']} of {reference['apiVersion']} is no channel of this mesh"
        backing = self._backing.get(key.name, key.namespace)
        return backing if backing is not None else f'inmemorychannels.messaging.knative.dev "{key.name}" not found'

    def _physical(self, subscription: Object, channel: Object, conditions: Conditions) -> Object:
        """Mark `ReferencesResolved`; return the addresses that are known."""
        physical: Object = {}
        for field, name in _PHYSICAL.items():
            destination = subscription["spec"].get(field)
            if not destination:
                continue
            url = self._destinations.resolve(destination)
            if isinstance(url, Unresolved):
                message = f"Failed to resolve spec.{field}: {url.message}"
                conditions.mark_false("ReferencesResolved", f"{field.capitalize()}ResolveFailed", message)
                return physical
            physical[name] = url
            physical |= self._destinations.shown(field, destination)
        letters = self._dead_letters(subscription, channel)
        if isinstance(letters, Unresolved):
            conditions.mark_false("ReferencesResolved", "DeadLetterSinkResolveFailed", letters.message)
            return physical
        conditions.mark_true("ReferencesResolved")
        if not letters:
            return physical
        return physical | {"deadLetterSinkUri": letters} | self._letters_shown(subscription, channel)

    def _letters_shown(self, subscription: Object, channel: Object) -> Object:
        if sink := dead_letter_sink_of(subscription):
            return self._destinations.shown("deadLetterSink", sink)
        status = channel.get("status") or {}
        return {field: status[field] for field in _LETTERS if status.get(field)}

    def _dead_letters(self, subscription: Object, channel: Object) -> str | Unresolved:
        """Return the Subscription's own dead letter sink, else its channel's; empty when neither has one."""
        if sink := dead_letter_sink_of(subscription):
            url = self._destinations.resolve(sink)
            if isinstance(url, Unresolved):
                return Unresolved(url.reason, f"Failed to resolve spec.delivery.deadLetterSink: {url.message}")
            return url
        if not dead_letter_sink_of(channel):
            return ""
        uri: str | None = (channel.get("status") or {}).get("deadLetterSinkUri")
        problem = f"channel {channel['metadata']['name']} didn't set status.deadLetterSinkURI"
        return uri or Unresolved("DeadLetterSinkResolveFailed", problem)


def subscriber_of(subscription: Object, channel: Object) -> Object | None:
    """Return the entry of `spec.subscribers` that a Subscription stands for; None while it is not resolved."""
    metadata, status = subscription["metadata"], subscription.get("status") or {}
    resolved = (condition(subscription, "ReferencesResolved") or {}).get("status") == TRUE
    if not resolved or status.get("observedGeneration") != metadata.get("generation"):
        return None
    physical = status["physicalSubscription"]
    entry = {"uid": metadata["uid"], "generation": metadata["generation"], "name": metadata["name"]}
    entry |= {name: physical[name] for name in (*_PHYSICAL.values(), *_BESIDE) if physical.get(name)}
    if identity := status.get("auth"):
        entry["auth"] = identity
    asked = {name: said for name, said in annotations_of(subscription).items() if name in OF_SUBSCRIPTIONS}
    if asked:
        entry["annotations"] = asked
    delivery = dict(subscription["spec"].get("delivery") or channel["spec"].get("delivery") or {})
    delivery.pop("deadLetterSink", None)
    if letters := physical.get("deadLetterSinkUri"):
        beside = {name: physical[field] for field, name in _LETTERS.items() if physical.get(field)}
        delivery["deadLetterSink"] = {"uri": letters} | beside
    return entry | ({"delivery": delivery} if delivery else {})


def is_of(subscription: Object, channel: Object) -> bool:
    """Return whether a Subscription is one of this InMemoryChannel: by its name, or by that of the Channel it backs."""
    if is_deleting(subscription) or backing_key(subscription) != key_of(channel):
        return False
    if _is_kind(subscription["spec"]["channel"], IN_MEMORY_CHANNEL.kind):
        return True
    owner = controller_of(channel)
    return (
        _is_kind(subscription["spec"]["channel"], CHANNEL.kind) and owner is not None and _is_kind(owner, CHANNEL.kind)
    )


def backing_key(subscription: Object) -> Key:
    """Return the key of the InMemoryChannel that a Subscription is served by: a Channel's has the Channel's name."""
    return Key(subscription["metadata"].get("namespace") or "", subscription["spec"]["channel"].get("name", ""))


def _follow(subscription: Object, channel: Object, conditions: Conditions) -> None:
    """Mark whether the channel lists the Subscription, and whether it serves it."""
    metadata = subscription["metadata"]
    listed = _entry(channel["spec"].get("subscribers"), "generation", subscription)
    if listed is None:
        conditions.mark_unknown("AddedToChannel", "NotYetAdded", "the channel does not list the subscription yet")
    else:
        conditions.mark_true("AddedToChannel")
    served = _entry((channel.get("status") or {}).get("subscribers"), "observedGeneration", subscription)
    reason = "SubscriptionNotMarkedReadyByChannel"
    match (served or {}).get("ready"):
        case "True":
            conditions.mark_true("ChannelReady")
        case "False":
            told = (served or {}).get("message") or "Subscription marked by Channel as False"
            conditions.mark_false("ChannelReady", reason, told)
        case _:
            name = channel["metadata"]["name"]
            message = f'subscription "{metadata["name"]}" not present in channel "{name}" subscriber\'s list'
            conditions.mark_unknown("ChannelReady", reason, f"Failed to get subscription status: {message}")


def _entry(entries: list[Object] | None, generation: str, subscription: Object) -> Object | None:
    metadata = subscription["metadata"]
    wanted = (metadata["uid"], metadata.get("generation"))
    return next((entry for entry in entries or () if (entry["uid"], entry.get(generation)) == wanted), None)


def _is_kind(reference: Object, kind: str) -> bool:
    return reference.get("kind") == kind and str(reference.get("apiVersion")).startswith(f"{CHANNEL.group}/")


def _keys_in(subscription: Object) -> tuple[Key | None, ...]:
    spec = subscription["spec"]
    destinations = (spec.get("subscriber"), spec.get("reply"), dead_letter_sink_of(subscription))
    return (backing_key(subscription), *map(references, destinations))
