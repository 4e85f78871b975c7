"""The service accounts that triggers, subscriptions and sources send under, while authentication is on."""

from __future__ import annotations

from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.names import child_name
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.eventing_features import AUTHENTICATION, FeatureStore
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import key_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import SERVICE_ACCOUNT
from eventmesh.kube.status import Conditions

CONDITION = "OIDCIdentityCreated"


class Identities:
    """Makes the accounts, and says in the status of their owners which they are."""

    def __init__(self, api: Api, informers: Informers, features: FeatureStore) -> None:
        self._accounts = informers.of(SERVICE_ACCOUNT)
        self._children = Children(api)
        self._features = features

    def follow(self, controller: Controller, cache: Informer) -> None:
        """Have the objects of `cache` reconciled whenever their account, or the switch, changes."""
        controller.watch_controlled(self._accounts)

        def all_of_them() -> None:
            for obj in cache:
                controller.enqueue(key_of(obj))

        self._features.subscribe(all_of_them)

    async def ensure(self, resource: Resource, owner: Object, conditions: Conditions) -> Object:
        """Mark `OIDCIdentityCreated`; return the part of the status that names the account."""
        if not self._features.current.authentication:
            conditions.mark_true(CONDITION, f"{AUTHENTICATION} feature disabled")
            return {}
        account = account_for(resource, owner)
        try:
            await self._children.ensure(self._accounts, account, owner)
        except NotOwned as error:
            conditions.mark_false(CONDITION, "Unable to resolve service account for OIDC authentication", str(error))
            return {}
        conditions.mark_true(CONDITION)
        return {"auth": {"serviceAccountName": account["metadata"]["name"]}}


def account_for(resource: Resource, owner: Object) -> Object:
    """Return the service account of `owner`, named as Knative does (pkg/auth/serviceaccount.go)."""
    key = key_of(owner)
    return {
        "apiVersion": SERVICE_ACCOUNT.api_version,
        "kind": SERVICE_ACCOUNT.kind,
        "metadata": {
            "name": child_name(key.name, f"oidc-{resource.group}-{resource.kind}").lower(),
            "namespace": key.namespace,
            "ownerReferences": [owner_reference(resource, owner, block_owner_deletion=False)],
            "annotations": {
                "description": f'Service Account for OIDC Authentication for {resource.kind} "{key.name}"',
            },
        },
    }
