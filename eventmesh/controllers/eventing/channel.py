"""Channels: each makes the channel of the kind its template names, and shows that one's address and state."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.destinations import dead_letter_sink_of
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL
from eventmesh.kube.status import UNKNOWN, Conditions, ConditionSet, condition, conditions_of, write_status

CONDITIONS = ConditionSet(("BackingChannelReady", "Addressable", "DeadLetterSinkResolved", "EventPoliciesReady"))

_SHOWN = ("address", "addresses", "subscribers", "deadLetterSinkUri")
"""What a Channel shows of the status of the one behind it."""


class Channels:
    """The controller of Channels."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder, policies: AppliedPolicies
    ) -> None:
        self._api = api
        self._policies = policies
        self._clock = clock
        self._channels = informers.of(CHANNEL)
        self._backing = informers.of(IN_MEMORY_CHANNEL)
        self._children = Children(api, recorder)
        self.controller = Controller("channel", self._channels, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._backing)
        policies.follow(self.controller, self._channels)

    async def reconcile(self, key: Key) -> None:
        """Make the backing channel, write address and conditions."""
        channel = self._channels.get(key.name, key.namespace)
        if channel is None or is_deleting(channel):
            return
        conditions = Conditions(CONDITIONS, conditions_of(channel), self._clock.now())
        status = await self._follow_backing(channel, conditions)
        status |= self._policies.mark(conditions, (CHANNEL, channel))
        if not status.get("address"):
            conditions.mark_false("Addressable", "EmptyHostname", "hostname is the empty string")
        else:
            conditions.mark_true("Addressable")
        status["conditions"] = conditions.result()
        await write_status(self._api, CHANNEL, channel, status)

    async def _follow_backing(self, channel: Object, conditions: Conditions) -> Object:
        """Mark what the backing channel says of itself; return what of its status is shown."""
        template = channel["spec"]["channelTemplate"]
        group = template["apiVersion"].partition("/")[0]
        if (group, template["kind"]) != (IN_MEMORY_CHANNEL.group, IN_MEMORY_CHANNEL.kind):
            message = f"nobody here makes channels of kind {template['kind']} ({template['apiVersion']}): use {_OURS}"
            conditions.mark_false("BackingChannelReady", "ChannelFailure", message)
            conditions.mark_unknown("DeadLetterSinkResolved")
            return {}
        try:
            backing = await self._children.ensure(
                self._backing, backing_of(channel), channel, kept_spec=("subscribers",), kept_annotations=_ANNOTATIONS
            )
        except NotOwned as error:
            conditions.mark_false("BackingChannelReady", "ChannelFailure", str(error))
            conditions.mark_unknown("DeadLetterSinkResolved")
            return {}
        ready = condition(backing, "Ready") or {
            "status": UNKNOWN,
            "reason": "BackingChannelNotConfigured",
            "message": "BackingChannel has not yet been reconciled.",
        }
        conditions.mark("BackingChannelReady", ready["status"], ready.get("reason", ""), ready.get("message", ""))
        shown = backing.get("status") or {}
        self._dead_letter_sink(channel, shown, conditions)
        reference = {"apiVersion": IN_MEMORY_CHANNEL.api_version, "kind": IN_MEMORY_CHANNEL.kind}
        key = key_of(channel)
        return {
            "channel": {**reference, "name": key.name, "namespace": key.namespace},
            **{name: shown[name] for name in _SHOWN if name in shown},
        }

    def _dead_letter_sink(self, channel: Object, shown: Object, conditions: Conditions) -> None:
        kind = "DeadLetterSinkResolved"
        if not dead_letter_sink_of(channel):
            conditions.mark_true(kind, "DeadLetterSinkNotConfigured", "No dead letter sink is configured.")
        elif shown.get("deadLetterSinkUri"):
            conditions.mark_true(kind)
        else:
            message = f"Backing Channel {channel['metadata']['name']} didn't set status.deadLetterSinkURI"
            conditions.mark_false(kind, "DeadLetterSinkNotResolved", message)


_OURS = f"{IN_MEMORY_CHANNEL.kind} of {IN_MEMORY_CHANNEL.api_version}"
_ANNOTATIONS = ("messaging.knative.dev/subscribable",)


def backing_of(channel: Object) -> Object:
    """Return the channel behind a Channel, named as it is."""
    key, spec = key_of(channel), channel["spec"]
    made = dict(spec["channelTemplate"].get("spec") or {})
    if spec.get("delivery"):
        made["delivery"] = spec["delivery"]
    return {
        "apiVersion": IN_MEMORY_CHANNEL.api_version,
        "kind": IN_MEMORY_CHANNEL.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "ownerReferences": [owner_reference(CHANNEL, channel)],
        },
        "spec": made,
    }
