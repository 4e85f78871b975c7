"""Sequences and Parallels: both are plans of channels and Subscriptions; this makes a plan true and follows it.

What a flow looks like is pure and stands in `sequence` and `parallel`.
"""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base.clock import Clock
from eventmesh.base.errors import TemporaryError
from eventmesh.base.frozen import frozen
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import Key, is_controlled_by, is_deleting, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL, SUBSCRIPTION
from eventmesh.kube.status import UNKNOWN, Conditions, ConditionSet, condition, conditions_of, is_ready, write_status

CONDITIONS = ConditionSet(("ChannelsReady", "SubscriptionsReady", "Addressable", "EventPoliciesReady"))

CHANNEL_KINDS = (IN_MEMORY_CHANNEL, CHANNEL)
"""Kinds that a flow's channels may be of."""

_API_VERSION = IN_MEMORY_CHANNEL.api_version
"""Whatever version of ours a template names: channels are made in the version that is stored."""

GONE_SOON_S = 0.2
"""Wait before a Subscription that must go first, because its channel has changed, is made again."""

LOOK_AGAIN_S = 2.0
"""Wait before a name that somebody else holds is tried again; it may be what an earlier form of the flow left."""


@frozen
class Plan:
    """The objects of one flow, as they should be; the first channel is where its events come in."""

    channels: tuple[Object, ...]
    subscriptions: tuple[Object, ...]


StatusOf = Callable[[list[Object], list[Object]], Object]
"""Shows the stored channels and Subscriptions of a plan, in its order, in the status of the flow."""


class Flows:
    """The controller of one kind of flow."""

    def __init__(
        self,
        resource: Resource,
        plan: Callable[[Object], Plan],
        status_of: StatusOf,
        api: Api,
        informers: Informers,
        clock: Clock,
        recorder: EventRecorder,
        policies: AppliedPolicies,
    ) -> None:
        self._resource = resource
        self._policies = policies
        self._plan = plan
        self._status_of = status_of
        self._api = api
        self._clock = clock
        self._flows = informers.of(resource)
        self._channels = {kind: informers.of(kind) for kind in CHANNEL_KINDS}
        self._subscriptions = informers.of(SUBSCRIPTION)
        self._children = Children(api, recorder)
        self.controller = Controller(resource.kind.lower(), self._flows, self.reconcile, clock, recorder=recorder)
        for informer in (*self._channels.values(), self._subscriptions):
            self.controller.watch_controlled(informer)
        policies.follow(self.controller, self._flows)

    async def reconcile(self, key: Key) -> None:
        """Make channels and Subscriptions, remove those that are no longer wanted, write the status."""
        flow = self._flows.get(key.name, key.namespace)
        if flow is None or is_deleting(flow):
            return
        conditions = Conditions(CONDITIONS, conditions_of(flow), self._clock.now())
        status: Object = {}
        kind = _channel_kind(flow)
        if kind is None:
            template = flow["spec"]["channelTemplate"]
            message = f"nobody here makes channels of kind {template['kind']} ({template['apiVersion']})"
            conditions.mark_false("ChannelsReady", "ChannelsNotReady", message)
        else:
            try:
                status = await self._make(flow, self._plan(flow), self._channels[kind], conditions)
            except NotOwned as error:
                conditions.mark_false("ChannelsReady", "NotOwned", str(error))
                self.controller.enqueue_after(key, LOOK_AGAIN_S)
            except ApiError as error:
                if error.conflict or error.not_found:
                    raise
                conditions.mark_false("ChannelsReady", "ChannelsNotReady", error.message)
        status |= self._policies.mark(conditions, (self._resource, flow))
        status["conditions"] = conditions.result()
        await write_status(self._api, self._resource, flow, status)

    async def _make(self, flow: Object, plan: Plan, cache: Informer, conditions: Conditions) -> Object:
        await self._remove_others(flow, plan, cache.resource)
        kept = ("subscribers",)
        annotations = ("messaging.knative.dev/subscribable",)
        channels = [
            await self._children.ensure(
                cache, self._owned(flow, wanted), flow, kept_spec=kept, kept_annotations=annotations
            )
            for wanted in plan.channels
        ]
        subscriptions = [await self._subscription(flow, self._owned(flow, wanted)) for wanted in plan.subscriptions]
        _mark(conditions, "ChannelsReady", "Channels are not ready yet, or there are none", channels)
        _mark(conditions, "SubscriptionsReady", "Subscriptions are not ready yet, or there are none", subscriptions)
        status = self._status_of(channels, subscriptions)
        if accounts := _accounts(subscriptions):
            status["auth"] = {"serviceAccountNames": accounts}
        entrance = channels[0].get("status") or {}
        if entrance.get("address"):
            conditions.mark_true("Addressable")
            status |= {name: entrance[name] for name in ("address", "addresses") if name in entrance}
        else:
            conditions.mark_unknown("Addressable", "emptyAddress", "addressable is nil")
        return status

    async def _subscription(self, flow: Object, wanted: Object) -> Object:
        metadata = wanted["metadata"]
        stored = self._subscriptions.get(metadata["name"], metadata["namespace"])
        moved = stored is not None and stored["spec"].get("channel") != wanted["spec"]["channel"]
        if stored is not None and moved and is_controlled_by(stored, flow):
            # The channel of a Subscription may not change: another one takes its place.
            await self._children.delete(SUBSCRIPTION, stored)
            raise TemporaryError(f"Subscription {metadata['name']} is made anew", GONE_SOON_S)
        return await self._children.ensure(self._subscriptions, wanted, flow, exact=True)

    async def _remove_others(self, flow: Object, plan: Plan, kind: Resource) -> None:
        """Delete what only an earlier form of the flow needed; first of all, because it may hold a name."""
        wanted = {(kind, made["metadata"]["name"]) for made in plan.channels}
        wanted |= {(SUBSCRIPTION, made["metadata"]["name"]) for made in plan.subscriptions}
        for resource, cache in {SUBSCRIPTION: self._subscriptions, **self._channels}.items():
            for obj in cache.list(flow["metadata"]["namespace"]):
                left_over = (resource, obj["metadata"]["name"]) not in wanted and not is_deleting(obj)
                if left_over and is_controlled_by(obj, flow):
                    await self._children.delete(resource, obj)

    def _owned(self, flow: Object, wanted: Object) -> Object:
        reference = owner_reference(self._resource, flow)
        metadata = {**wanted["metadata"], "namespace": flow["metadata"]["namespace"], "ownerReferences": [reference]}
        return {**wanted, "metadata": metadata}


def reference_to(flow: Object, channel: str) -> Object:
    """Return the reference to a channel of a flow, as it stands in `spec.channel` and in destinations."""
    template = flow["spec"]["channelTemplate"]
    return {"apiVersion": _API_VERSION, "kind": template["kind"], "name": channel}


def destination_of(flow: Object, channel: str) -> Object:
    """Return the destination that a channel of a flow is."""
    return {"ref": {**reference_to(flow, channel), "namespace": flow["metadata"]["namespace"]}}


def channel_named(flow: Object, name: str) -> Object:
    """Return a channel of a flow, made from its template."""
    template = flow["spec"]["channelTemplate"]
    spec = dict(template.get("spec") or {})
    return {"apiVersion": _API_VERSION, "kind": template["kind"], "metadata": {"name": name}, "spec": spec}


def subscription_named(name: str, channel: Object, subscriber: Object, **more: Object | None) -> Object:
    """Return a Subscription; of `more` (`reply`, `delivery`) counts what is not None."""
    spec = {"channel": channel, "subscriber": subscriber, **{field: value for field, value in more.items() if value}}
    return {
        "apiVersion": SUBSCRIPTION.api_version,
        "kind": SUBSCRIPTION.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def shown(field: str, obj: Object) -> Object:
    """Return what the status of a flow tells of one of its objects: `{field: reference, ready: condition}`."""
    metadata = obj["metadata"]
    reference = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    ready = condition(obj, "Ready") or {
        "type": "Ready",
        "status": UNKNOWN,
        "reason": "NoReady",
        "message": f"{obj['kind']} does not have Ready condition",
    }
    return {field: {**reference, "name": metadata["name"], "namespace": metadata["namespace"]}, "ready": ready}


def _mark(conditions: Conditions, kind: str, message: str, objects: list[Object]) -> None:
    if objects and all(map(is_ready, objects)):
        conditions.mark_true(kind)
    else:
        conditions.mark_unknown(kind, f"{kind.removesuffix('Ready')}NotReady", message)


def _accounts(subscriptions: list[Object]) -> list[str]:
    """Return the service accounts that a flow's Subscriptions send under."""
    identities = ((made.get("status") or {}).get("auth") or {} for made in subscriptions)
    return [name for name in (identity.get("serviceAccountName") for identity in identities) if name]


def _channel_kind(flow: Object) -> Resource | None:
    template = flow["spec"]["channelTemplate"]
    named = (template["apiVersion"].partition("/")[0], template["kind"])
    return next((kind for kind in CHANNEL_KINDS if (kind.group, kind.kind) == named), None)
