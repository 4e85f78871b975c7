"""InMemoryChannels: an address of their own, and the list of subscribers that the activator serves.

The name is Knative's, for the sake of manifests; events wait in the broker's store, on disk. The list of subscribers is
made from Subscriptions here, in one place, so that no Subscription has to be removed from it by a finalizer.
"""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.eventing.addresses import Addresses, Entrance
from eventmesh.controllers.eventing.applied_policies import AppliedPolicies
from eventmesh.controllers.eventing.destinations import (
    Destinations,
    dead_letter_sink_of,
    references,
    resolve_dead_letter_sink,
)
from eventmesh.controllers.eventing.names import (
    CHANNEL_LABEL,
    DISPATCHER_HOST,
    ROLE_LABEL,
    channel_service,
    channel_url,
)
from eventmesh.controllers.eventing.subscription import backing_key, is_of, subscriber_of
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.event_policies import fronts_of
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL, PARALLEL, SEQUENCE, SERVICE, SUBSCRIPTION
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(
    (
        "ServiceReady",
        "EndpointsReady",
        "Addressable",
        "ChannelServiceReady",
        "DeadLetterSinkResolved",
        "EventPoliciesReady",
    )
)


class InMemoryChannels:
    """The controller of InMemoryChannels."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        policies: AppliedPolicies,
        addresses: Addresses,
        entrance: Entrance,
    ) -> None:
        self._api = api
        self._addresses = addresses
        self._entrance = entrance
        self._clock = clock
        self._destinations = destinations
        self._policies = policies
        self._fronts = {resource: informers.of(resource) for resource in (CHANNEL, SEQUENCE, PARALLEL)}
        self._channels = informers.of(IN_MEMORY_CHANNEL)
        self._subscriptions = informers.of(SUBSCRIPTION)
        self._services = informers.of(SERVICE)
        self._children = Children(api, recorder)
        self.controller = Controller("inmemorychannel", self._channels, self.reconcile, clock, recorder=recorder)
        self.controller.watch(self._subscriptions, lambda subscription: [backing_key(subscription)])
        self.controller.watch_controlled(self._services)
        destinations.follow(self.controller, self._channels, lambda obj: [references(dead_letter_sink_of(obj))])
        policies.follow(self.controller, self._channels)
        addresses.follow(self.controller, self._channels, entrance)

    async def reconcile(self, key: Key) -> None:
        """Make the Service, write subscribers, address and conditions."""
        channel = self._channels.get(key.name, key.namespace)
        if channel is None or is_deleting(channel):
            return
        conditions = Conditions(CONDITIONS, conditions_of(channel), self._clock.now())
        for kind in ("ServiceReady", "EndpointsReady", "DispatcherReady"):
            conditions.mark_true(kind)
        await self._service(channel, conditions)
        plain = channel_url(key.namespace, key.name)
        status = self._addresses.mark(conditions, IN_MEMORY_CHANNEL, channel, plain, self._entrance)
        status |= self._policies.mark(conditions, *fronts_of(channel, self._find))
        status |= resolve_dead_letter_sink(self._destinations, dead_letter_sink_of(channel), conditions)
        # Who is served is the activator's to say.
        if served := (channel.get("status") or {}).get("subscribers"):
            status["subscribers"] = served
        status["conditions"] = conditions.result()
        channel = await self._with_subscribers(channel)
        await write_status(self._api, IN_MEMORY_CHANNEL, channel, status)

    async def _service(self, channel: Object, conditions: Conditions) -> None:
        try:
            await self._children.ensure(self._services, service_for(channel), channel)
        except NotOwned as error:
            conditions.mark_false("ChannelServiceReady", "ChannelServiceFailed", str(error))
        except ApiError as error:
            if error.reason != "Invalid":
                raise
            # A name that is too long for a Service: only its author can help.
            conditions.mark_false("ChannelServiceReady", "ChannelServiceFailed", error.message)
        else:
            conditions.mark_true("ChannelServiceReady")

    async def _with_subscribers(self, channel: Object) -> Object:
        listed = channel["spec"].get("subscribers") or []
        known = {entry["uid"]: entry for entry in listed}
        mine = [s for s in self._subscriptions.list(channel["metadata"]["namespace"]) if is_of(s, channel)]
        # One that leads nowhere for the moment stays as it was: it keeps its place among the events.
        entries = (subscriber_of(s, channel) or known.get(s["metadata"]["uid"]) for s in mine)
        wanted = sorted((entry for entry in entries if entry), key=lambda entry: (entry["name"], entry["uid"]))
        if wanted == listed:
            return channel
        return await self._api.replace(
            IN_MEMORY_CHANNEL, {**channel, "spec": {**channel["spec"], "subscribers": wanted}}
        )

    def _find(self, resource: Resource, key: Key) -> Object | None:
        return self._fronts[resource].get(key.name, key.namespace)


def service_for(channel: Object) -> Object:
    """Return the Service that gives a channel its host; it leads to the dispatcher of all channels."""
    key = key_of(channel)
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": channel_service(key.name),
            "namespace": key.namespace,
            "labels": {CHANNEL_LABEL: key.name, ROLE_LABEL: "in-memory-channel"},
            "ownerReferences": [owner_reference(IN_MEMORY_CHANNEL, channel)],
        },
        "spec": {
            "type": "ExternalName",
            "externalName": DISPATCHER_HOST,
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    }
