"""ContainerSources: a Deployment of the author's template, and a SinkBinding that tells it where to send."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.eventing.binding import bound
from eventmesh.controllers.serving.names import child_name
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONTAINER_SOURCE, DEPLOYMENT, SINK_BINDING
from eventmesh.kube.status import UNKNOWN, Conditions, ConditionSet, condition, conditions_of, write_status

CONDITIONS = ConditionSet(("SinkBindingReady", "ReceiveAdapterReady"))


class ContainerSources:
    """The controller of ContainerSources."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._sources = informers.of(CONTAINER_SOURCE)
        self._bindings = informers.of(SINK_BINDING)
        self._deployments = informers.of(DEPLOYMENT)
        self._children = Children(api, recorder)
        self.controller = Controller("containersource", self._sources, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._bindings)
        self.controller.watch_controlled(self._deployments)

    async def reconcile(self, key: Key) -> None:
        """Make binding and Deployment, write the conditions."""
        source = self._sources.get(key.name, key.namespace)
        if source is None or is_deleting(source):
            return
        conditions = Conditions(CONDITIONS, conditions_of(source), self._clock.now())
        status: Object = {}
        try:
            binding = await self._children.ensure(self._bindings, binding_of(source), source, exact=True)
            told = binding.get("status") or {}
            status |= {field: told[field] for field in _OF_BINDING if told.get(field)}
            _follow(conditions, "SinkBindingReady", condition(binding, "Ready"))
            await self._deploy(source, binding, conditions)
        except NotOwned as error:
            conditions.mark_false("ReceiveAdapterReady", "NotOwned", str(error))
        status["conditions"] = conditions.result()
        await write_status(self._api, CONTAINER_SOURCE, source, status)

    async def _deploy(self, source: Object, binding: Object, conditions: Conditions) -> None:
        if not (binding.get("status") or {}).get("sinkUri"):
            # A container that starts without knowing its sink would only fail.
            conditions.mark_unknown("ReceiveAdapterReady", "SinkNotResolved", "waits for the sink's address")
            return
        try:
            deployment = await self._children.ensure(
                self._deployments, bound(deployment_of(source), binding), source, kept_annotations=_ROLLOUT
            )
        except ApiError as error:
            if error.reason != "Invalid":
                raise
            conditions.mark_false("ReceiveAdapterReady", "DeploymentInvalid", error.message)
            return
        available = condition(deployment, "Available") or {
            "status": UNKNOWN,
            "reason": "DeploymentUnavailable",
            "message": f"The Deployment '{deployment['metadata']['name']}' is unavailable.",
        }
        _follow(conditions, "ReceiveAdapterReady", available)


_OF_BINDING = ("sinkUri", "sinkAudience", "sinkCACerts", "auth")
"""What a binding's status says of its source too."""

_ROLLOUT = ("deployment.kubernetes.io/revision",)


def binding_of(source: Object) -> Object:
    """Return the SinkBinding of a source."""
    key, spec = key_of(source), source["spec"]
    subject = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "namespace": key.namespace,
        "name": child_name(key.name, "-deployment"),
    }
    shared = {field: spec[field] for field in ("sink", "ceOverrides") if field in spec}
    return {
        "apiVersion": SINK_BINDING.api_version,
        "kind": SINK_BINDING.kind,
        "metadata": {
            "name": child_name(key.name, "-sinkbinding"),
            "namespace": key.namespace,
            "ownerReferences": [owner_reference(CONTAINER_SOURCE, source)],
        },
        "spec": {**shared, "subject": subject},
    }


def deployment_of(source: Object) -> Object:
    """Return the Deployment of a source, not yet bound."""
    key, template = key_of(source), source["spec"].get("template") or {}
    labels = {
        "sources.knative.dev/source": "container-source-controller",
        "sources.knative.dev/containerSource": key.name,
    }
    metadata = template.get("metadata") or {}
    all_labels = {**(metadata.get("labels") or {}), **labels}
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {
            "name": child_name(key.name, "-deployment"),
            "namespace": key.namespace,
            "labels": all_labels,
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner_reference(CONTAINER_SOURCE, source)],
        },
        "spec": {
            # The labels of the author may change, and a selector may not.
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {**metadata, "labels": all_labels}},
        },
    }


def _follow(conditions: Conditions, kind: str, followed: Object | None) -> None:
    told = followed or {"status": UNKNOWN}
    conditions.mark(kind, told["status"], told.get("reason", ""), told.get("message", ""))
