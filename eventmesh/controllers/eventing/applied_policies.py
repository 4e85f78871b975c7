"""Which EventPolicies hold for an addressable object, told in its status (Knative's AppliedEventPoliciesStatus).

The activator enforces the same ones, from the same rules (`kube.event_policies`).
"""

from __future__ import annotations

from eventmesh.kube.api import Object
from eventmesh.kube.event_policies import Named, is_about
from eventmesh.kube.eventing_features import AUTHENTICATION, FeatureStore
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import EVENT_POLICY
from eventmesh.kube.status import Conditions, is_ready

CONDITION = "EventPoliciesReady"


class AppliedPolicies:
    """The policies of all objects."""

    def __init__(self, informers: Informers, features: FeatureStore) -> None:
        self._policies = informers.of(EVENT_POLICY)
        self._features = features

    def follow(self, controller: Controller, cache: Informer) -> None:
        """Have the objects of `cache` reconciled whenever a policy of their namespace, or a switch, changes."""

        def in_namespace(policy: Object) -> list[Key]:
            return [key_of(obj) for obj in cache.list(policy["metadata"]["namespace"])]

        controller.watch(self._policies, in_namespace)

        def all_of_them() -> None:
            for obj in cache:
                controller.enqueue(key_of(obj))

        self._features.subscribe(all_of_them)

    def mark(self, conditions: Conditions, *fronts: Named) -> Object:
        """Mark `EventPoliciesReady` of what takes events in for `fronts`; return the part of the status that lists the
        policies."""
        features = self._features.current
        mine = [policy for policy in self._policies if any(is_about(policy, *front) for front in fronts)]
        if not mine:
            if features.authentication:
                message = f'Default authz mode is "{features.authorization.value}"'
                conditions.mark_true(CONDITION, "DefaultAuthorizationMode", message)
            else:
                message = f'Feature "{AUTHENTICATION}" must be enabled to support Authorization'
                conditions.mark_true(CONDITION, "OIDCDisabled", message)
            return {}
        names = sorted(policy["metadata"]["name"] for policy in mine)
        unready = sorted(policy["metadata"]["name"] for policy in mine if not is_ready(policy))
        if unready:
            message = f"event policies {', '.join(unready)} are not ready"
            conditions.mark_false(CONDITION, "EventPoliciesNotReady", message)
        else:
            conditions.mark_true(CONDITION)
        applied = [{"apiVersion": EVENT_POLICY.api_version, "name": name} for name in names if name not in unready]
        return {"policies": applied} if applied else {}
