"""EventPolicies: whom they admit, resolved to the subjects of tokens. The activator enforces them."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.event_policies import subject_of
from eventmesh.kube.eventing_features import AUTHENTICATION, FeatureStore
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import (
    API_SERVER_SOURCE,
    EVENT_POLICY,
    KAFKA_SOURCE,
    OF_KAFKA,
    PARALLEL,
    PING_SOURCE,
    SEQUENCE,
    SUBSCRIPTION,
    TRIGGER,
)
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("AuthenticationEnabled", "SubjectsResolved"))

SENDERS = (TRIGGER, SUBSCRIPTION, PING_SOURCE, API_SERVER_SOURCE, KAFKA_SOURCE, SEQUENCE, PARALLEL)
"""Kinds with an identity, which a policy may name as its origin; those of a flow are its Subscriptions'."""


class EventPolicies:
    """The controller of EventPolicies."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder, features: FeatureStore
    ) -> None:
        self._api = api
        self._clock = clock
        self._features = features
        self._policies = informers.of(EVENT_POLICY)
        self._senders = {resource: informers.of(resource, may_be_absent=resource in OF_KAFKA) for resource in SENDERS}
        self.controller = Controller("eventpolicy", self._policies, self.reconcile, clock, recorder=recorder)
        for informer in self._senders.values():
            self.controller.watch(informer, self._that_name)
        features.subscribe(self._all)

    def _that_name(self, sender: Object) -> list[Key]:
        key = key_of(sender)
        return [key_of(policy) for policy in self._policies if key in map(_key_in, _origins(policy))]

    def _all(self) -> None:
        for policy in self._policies:
            self.controller.enqueue(key_of(policy))

    async def reconcile(self, key: Key) -> None:
        """Write subjects and conditions."""
        policy = self._policies.get(key.name, key.namespace)
        if policy is None or is_deleting(policy):
            return
        conditions = Conditions(CONDITIONS, conditions_of(policy), self._clock.now())
        status: Object = {}
        if self._features.current.authentication:
            conditions.mark_true("AuthenticationEnabled")
            status = self._subjects(policy, conditions)
        else:
            message = f'Feature "{AUTHENTICATION}" must be enabled to support Authorization'
            conditions.mark_false("AuthenticationEnabled", "OIDCAuthenticationDisabled", message)
            conditions.mark_unknown("SubjectsResolved")
        status["conditions"] = conditions.result()
        await write_status(self._api, EVENT_POLICY, policy, status)

    def _subjects(self, policy: Object, conditions: Conditions) -> Object:
        subjects: list[str] = []
        for origin in _origins(policy):
            found = [str(origin["sub"])] if origin.get("sub") else self._of_reference(origin["ref"])
            if isinstance(found, str):
                conditions.mark_false("SubjectsResolved", "SubjectsNotResolved", found)
                return {}
            subjects += found
        conditions.mark_true("SubjectsResolved")
        return {"from": subjects} if subjects else {}

    def _of_reference(self, reference: Object) -> list[str] | str:
        """Return the subjects of what a reference names, or why it has none."""
        resource = _resource_of(reference)
        named = f"{reference.get('kind')} {reference.get('namespace')}/{reference.get('name')}"
        if resource is None:
            known = ", ".join(sender.kind for sender in SENDERS)
            return f"{named}: has no identity of its own; name its service account in sub, or one of {known}"
        sender = self._senders[resource].get(reference["name"], reference["namespace"])
        if sender is None:
            return f"{named}: not found"
        identity = (sender.get("status") or {}).get("auth") or {}
        accounts = [*(identity.get("serviceAccountNames") or ()), identity.get("serviceAccountName")]
        subjects = [subject_of(reference["namespace"], account) for account in accounts if account]
        return subjects or f"{named}: has no identity yet"


def _origins(policy: Object) -> list[Object]:
    return (policy.get("spec") or {}).get("from") or []


def _key_in(origin: Object) -> Key | None:
    reference = origin.get("ref")
    return Key(reference.get("namespace", ""), reference["name"]) if reference else None


def _resource_of(reference: Object) -> Resource | None:
    group = str(reference.get("apiVersion")).rpartition("/")[0]
    return next((known for known in SENDERS if (known.group, known.kind) == (group, reference.get("kind"))), None)
