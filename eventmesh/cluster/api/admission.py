"""Calls the defaulting and validation that the owners of a kind registered, in the words of Knative's webhooks."""

from __future__ import annotations

from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.errors import denied
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.api.rbac.attributes import OnResource
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.kube.admission import Admission, AdmissionRequest
from eventmesh.kube.api import Object, Resource

WEBHOOKS = {
    "serving.knative.dev": "validation.webhook.serving.knative.dev",
    "autoscaling.internal.knative.dev": "validation.webhook.serving.knative.dev",
    "networking.internal.knative.dev": "validation.webhook.serving.knative.dev",
    "eventing.knative.dev": "validation.webhook.eventing.knative.dev",
    "messaging.knative.dev": "validation.webhook.eventing.knative.dev",
    "flows.knative.dev": "validation.webhook.eventing.knative.dev",
    "sources.knative.dev": "validation.webhook.eventing.knative.dev",
    "": "config.webhook.serving.knative.dev",
}
"""Group -> the name under which Knative's own webhook denies; clients show it."""


class AdmissionChain:
    """The registered admissions, by kind and version."""

    def __init__(self, authorizer: Authorizer) -> None:
        """`authorizer` says what writers may do elsewhere."""
        self._authorizer = authorizer
        self._admissions: dict[Resource, Admission] = {}

    def register(self, resource: Resource, admission: Admission) -> None:
        """Have `admission` default and check every write of `resource` from now on (not writes of its status)."""
        self._admissions[resource] = admission

    def default(self, served: Served, obj: Object, old: Object | None, user: Identity) -> Object:
        """Return `obj` with the defaults of its kind; `obj` itself when there are none."""
        admission = self._admissions.get(served.resource)
        return obj if admission is None else admission.default(obj, self._request(old, user))

    def _request(self, old: Object | None, user: Identity) -> AdmissionRequest:
        def may(verb: str, resource: Resource, namespace: str, name: str) -> bool:
            wanted = OnResource(verb, resource.group, resource.plural, namespace=namespace, name=name)
            return self._authorizer.decide(user, wanted).allowed

        return AdmissionRequest(user.name, old, may)

    def validate(self, served: Served, obj: Object, old: Object | None, user: Identity) -> None:
        """Raise the denial of the kind's webhook when its rules do not admit `obj`."""
        admission = self._admissions.get(served.resource)
        if admission is None:
            return
        problems = admission.validate(obj, self._request(old, user))
        if problems:
            group = served.resource.group
            raise denied(WEBHOOKS.get(group, f"validation.webhook.{group}"), "\n".join(map(str, problems)))
