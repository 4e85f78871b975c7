"""SinkBindings: the subjects are told where to send, by environment variables, and told no more when the binding goes.

Deployments, Jobs, Services and Configurations may be subjects. What is written after its binding gets the variables at
once (`admission.injection`); what was there before is changed here, and rolls out like any change of its template.
"""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.controllers.children import NotOwned
from eventmesh.controllers.eventing.binding import BY_SIDECAR, TRUST_BUNDLES, bound, by_sidecar, is_subject, unbound
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.controllers.eventing.sinks import resolve_sink, watch_sinks
from eventmesh.controllers.eventing.token_secrets import TokenSecrets
from eventmesh.controllers.eventing.trust_bundles import TrustBundleCopies, is_bundle
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIG_MAP, CONFIGURATION, DEPLOYMENT, JOB, KSERVICE, SINK_BINDING
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(
    (
        "SinkBindingAvailable",
        "SinkProvided",
        "OIDCIdentityCreated",
        "OIDCTokenSecretCreated",
        "TrustBundlePropagated",
    )
)

SUBJECTS = (DEPLOYMENT, JOB, KSERVICE, CONFIGURATION)
"""Kinds that may be subjects: those whose pods are made from `spec.template` by the mesh's own controllers."""

CREATED_ONLY = (JOB,)
"""Subjects whose template never changes: they are bound when they are made, or not at all."""

FINALIZER = "sinkbindings.sources.knative.dev"

_log = log.get("controllers.eventing.sink_binding")


class SinkBindings:
    """The controller of SinkBindings."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        identities: Identities,
        bundles: TrustBundleCopies,
        *,
        through_sidecars: bool = False,
    ) -> None:
        """`through_sidecars`: subjects have no other way out than their sidecars."""
        self._bundles = bundles
        self._api = api
        self._through_sidecars = through_sidecars
        self._identities = identities
        self._tokens = TokenSecrets(api, informers, clock)
        self._clock = clock
        self._destinations = destinations
        self._bindings = informers.of(SINK_BINDING)
        self._subjects = {resource: informers.of(resource) for resource in SUBJECTS}
        self.controller = Controller("sinkbinding", self._bindings, self.reconcile, clock, recorder=recorder)
        watch_sinks(self.controller, self._bindings, destinations)
        identities.follow(self.controller, self._bindings)
        self._tokens.follow(self.controller)
        self.controller.watch(informers.of(CONFIG_MAP), self._of_bundle)
        for resource, informer in self._subjects.items():
            self.controller.watch(informer, self._of_subject(resource))

    def _of_bundle(self, config_map: Object) -> list[Key]:
        if is_bundle(config_map):
            return [key_of(binding) for binding in self._bindings]
        if self._bundles.is_in_the_way(config_map):
            return [key_of(binding) for binding in self._bindings.list(key_of(config_map).namespace)]
        return []

    def _of_subject(self, resource: Resource) -> Callable[[Object], list[Key]]:
        def keys(obj: Object) -> list[Key]:
            kind = (resource.api_version, resource.kind)
            return [key_of(binding) for binding in self._bindings if is_subject(obj, *kind, binding)]

        return keys

    async def reconcile(self, key: Key) -> None:
        """Bind the subjects and write the conditions; unbind them when the binding goes."""
        binding = self._bindings.get(key.name, key.namespace)
        if binding is None:
            return
        if is_deleting(binding):
            await self._withdraw(binding)
            return
        if FINALIZER not in (binding["metadata"].get("finalizers") or ()):
            # Seen again with it, through the watch.
            await self._set_finalizers(binding, [*(binding["metadata"].get("finalizers") or ()), FINALIZER])
            return
        conditions = Conditions(CONDITIONS, conditions_of(binding), self._clock.now())
        status = resolve_sink(self._destinations, binding, conditions)
        resolved = bool(status)
        if annotations := self._annotations(status.get("sinkUri", ""), key.namespace):
            status["annotations"] = annotations
        status |= await self._identities.ensure(SINK_BINDING, binding, conditions)
        self._judge_bundles(key.namespace, conditions)
        if not resolved:
            conditions.mark_unknown("SinkBindingAvailable", "SinkNotResolved", "waits for the sink's address")
        elif await self._ensure_token(binding, status, conditions):
            await self._bind({**binding, "status": status}, conditions)
        else:
            conditions.mark_unknown("SinkBindingAvailable", "NoToken", "waits for a token to be shown at the sink")
        status["conditions"] = conditions.result()
        await write_status(self._api, SINK_BINDING, binding, status)

    def _judge_bundles(self, namespace: str, conditions: Conditions) -> None:
        if taken := self._bundles.taken(namespace):
            conditions.mark_false("TrustBundlePropagated", "NotOwned", str(NotOwned(CONFIG_MAP, '", "'.join(taken))))
        else:
            conditions.mark_true("TrustBundlePropagated")

    def _annotations(self, sink: str, namespace: str) -> Object:
        """Return what subjects are given beside the sink's address."""
        plain = by_sidecar(sink) if self._through_sidecars else ""
        told = {BY_SIDECAR: plain, TRUST_BUNDLES: ",".join(self._bundles.copies(namespace))}
        return {name: value for name, value in told.items() if value}

    async def _ensure_token(self, binding: Object, status: Object, conditions: Conditions) -> bool:
        """Name in `status` the Secret with the token, if the sink asks for one; return whether nothing is missing."""
        account, audience = (status.get("auth") or {}).get("serviceAccountName"), status.get("sinkAudience")
        if not conditions.is_true("OIDCIdentityCreated"):
            conditions.mark_unknown("OIDCTokenSecretCreated", "NoIdentity", "waits for the account to send under")
            return False
        if not account or not audience:
            await self._tokens.withdraw(binding)
            reason = "the sink asks for no token" if account else "authentication is off"
            conditions.mark_true("OIDCTokenSecretCreated", "NoTokenNeeded", reason)
            return True
        try:
            name, renew_in_s = await self._tokens.ensure(binding, account, audience)
        except NotOwned as error:
            conditions.mark_false("OIDCTokenSecretCreated", "NotOwned", str(error))
            return False
        status["oidcTokenSecretName"] = name
        conditions.mark_true("OIDCTokenSecretCreated")
        self.controller.enqueue_after(key_of(binding), renew_in_s)
        return True

    async def _bind(self, binding: Object, conditions: Conditions) -> None:
        subject = binding["spec"]["subject"]
        resource = _resource_of(subject)
        if resource is None:
            known = ", ".join(f"{each.kind} ({each.api_version})" for each in SUBJECTS)
            message = f"{subject.get('kind')} ({subject.get('apiVersion')}) cannot be bound here; what can is {known}"
            conditions.mark_false("SinkBindingAvailable", "SubjectNotSupported", message)
            return
        found = self._subjects_of(binding, resource)
        if not found and subject.get("name"):
            message = f'{resource.group_resource} "{subject["name"]}" not found'
            conditions.mark_false("SinkBindingAvailable", "SubjectMissing", message)
            return
        if resource in CREATED_ONLY:
            _mark_created(found, binding, conditions)
            return
        for obj in found:
            try:
                await self._write(resource, obj, bound(obj, binding))
            except ApiError as error:
                if error.conflict or error.not_found:
                    raise
                conditions.mark_false("SinkBindingAvailable", "SubjectUnavailable", error.message)
                return
        conditions.mark_true("SinkBindingAvailable")

    async def _withdraw(self, binding: Object) -> None:
        """Take the variables out of the subjects, then let the binding go."""
        finalizers = binding["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        resource = _resource_of(binding["spec"]["subject"])
        if resource is not None and resource not in CREATED_ONLY:
            for obj in self._subjects_of(binding, resource):
                if not is_deleting(obj):
                    await self._unbind(resource, obj)
        await self._set_finalizers(binding, [name for name in finalizers if name != FINALIZER])

    async def _unbind(self, resource: Resource, obj: Object) -> None:
        try:
            await self._write(resource, obj, unbound(obj))
        except ApiError as error:
            if error.conflict or error.not_found:
                raise
            # Its own rules forbid the change (a Service that names its revision): the binding must go all the same.
            _log.warning("subject keeps its variables", subject=key_of(obj), kind=resource.kind, reason=error.message)

    def _subjects_of(self, binding: Object, resource: Resource) -> list[Object]:
        kind = (resource.api_version, resource.kind)
        there = self._subjects[resource].list(binding["metadata"]["namespace"])
        return [obj for obj in there if is_subject(obj, *kind, binding)]

    async def _write(self, resource: Resource, stored: Object, wanted: Object) -> None:
        if wanted is not stored:
            await self._api.replace(resource, wanted)

    async def _set_finalizers(self, binding: Object, finalizers: list[str]) -> None:
        metadata = binding["metadata"]
        patch = {"metadata": {"finalizers": finalizers or None, "resourceVersion": metadata["resourceVersion"]}}
        await self._api.patch(SINK_BINDING, metadata["name"], patch, metadata["namespace"])


def _mark_created(found: list[Object], binding: Object, conditions: Conditions) -> None:
    """Mark whether subjects that cannot be changed are bound; of those that are only selected it is too late to ask."""
    late = [obj for obj in found if bound(obj, binding) is not obj]
    if late and binding["spec"]["subject"].get("name"):
        message = f"{key_of(late[0]).name} was made before its binding, and its template is immutable"
        conditions.mark_false("SinkBindingAvailable", "SubjectUnavailable", message)
    else:
        conditions.mark_true("SinkBindingAvailable")


def _resource_of(subject: Object) -> Resource | None:
    named = (subject.get("apiVersion"), subject.get("kind"))
    return next((resource for resource in SUBJECTS if (resource.api_version, resource.kind) == named), None)
