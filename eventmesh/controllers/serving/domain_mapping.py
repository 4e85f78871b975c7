"""DomainMapping: claims a domain for its namespace, and has the gateway send it to a Service.

The claim is the right: one ClusterDomainClaim a domain, of one namespace. It outlives nothing: a finalizer gives it
back, since an object of a namespace cannot own one of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.domains import public_url
from eventmesh.controllers.serving.references import References, Unresolvable
from eventmesh.controllers.serving.resources.domain import domain_claim, domain_ingress, domain_ingress_name
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_controlled_by, is_deleting, key_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import DOMAIN_CLAIM, DOMAIN_MAPPING, KINGRESS
from eventmesh.kube.status import Conditions, ConditionSet, condition, conditions_of, write_status

FINALIZER = "domainmappings.serving.knative.dev"
DOMAIN_CLAIMED = "DomainClaimed"
REFERENCE_RESOLVED = "ReferenceResolved"
INGRESS_READY = "IngressReady"
CERTIFICATE_PROVISIONED = "CertificateProvisioned"
_CONDITIONS = ConditionSet((DOMAIN_CLAIMED, REFERENCE_RESOLVED, INGRESS_READY, CERTIFICATE_PROVISIONED))
BY_NAME = "name"
BY_REFERENCE = "reference"


class DomainMappings:
    """The controller of DomainMappings."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder, settings: SettingsStore
    ) -> None:
        self._api = api
        self._clock = clock
        self._children = Children(api, recorder)
        self._settings = settings
        self._mappings = informers.of(DOMAIN_MAPPING)
        self._claims = informers.of(DOMAIN_CLAIM)
        self._ingresses = informers.of(KINGRESS)
        self._references = References(informers)
        self._mappings.add_index(BY_NAME, lambda obj: (obj["metadata"]["name"],))
        self._mappings.add_index(BY_REFERENCE, _reference_index)
        self.controller = Controller("domainmapping", self._mappings, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._ingresses)
        self.controller.watch(self._claims, self._claimants)
        for informer in self._references.informers.values():
            self.controller.watch(informer, self._referrers, settle_s=SETTLE_S)
        settings.on_change(self._settings_changed)

    async def reconcile(self, key: Key) -> None:
        """Claim the domain, find what it stands for, publish it, and tell how far that went."""
        mapping = self._mappings.get(key.name, key.namespace)
        if mapping is None:
            return
        if is_deleting(mapping):
            await self._release(mapping)
            return
        if FINALIZER not in (mapping["metadata"].get("finalizers") or ()):
            mapping = await self._set_finalizers(mapping, [*(mapping["metadata"].get("finalizers") or ()), FINALIZER])
        conditions = Conditions(_CONDITIONS, conditions_of(mapping), self._clock.now())
        status: Object = dict(mapping.get("status") or {})
        if status.get("observedGeneration") != mapping["metadata"]["generation"]:
            conditions.mark_unknown(INGRESS_READY, "IngressNotConfigured", "Ingress has not yet been reconciled.")
        self._certify(mapping, conditions)
        scheme = "https" if mapping["spec"].get("tls") else ""
        status["url"] = public_url(key.name, self._settings.current, scheme)
        status["address"] = {"url": status["url"]}
        if await self._claim(mapping, conditions):
            await self._map(mapping, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, DOMAIN_MAPPING, mapping, status)

    # -- the claim

    async def _claim(self, mapping: Object, conditions: Conditions) -> bool:
        name, namespace = mapping["metadata"]["name"], mapping["metadata"]["namespace"]
        claim = self._claims.get(name)
        if claim is None and self._settings.current.claims_domains:
            claim = await self._create_claim(mapping)
        if claim is None:
            message = (
                f'no ClusterDomainClaim found for domain "{name}" (and autocreate-cluster-domain-claims property is '
                f"not true): create one with spec.namespace {namespace}, or set the property in config-network"
            )
            conditions.mark_false(DOMAIN_CLAIMED, "DomainAlreadyClaimed", message)
            return False
        holder = claim["spec"].get("namespace")
        if holder != namespace:
            message = f'The domain name is already in use by another DomainMapping: namespace "{holder}" has claimed it'
            conditions.mark_false(DOMAIN_CLAIMED, "DomainAlreadyClaimed", message)
            # The gateway keeps a host with the oldest KIngress: ours must not keep it from who has the right to it.
            await self._withdraw(mapping)
            return False
        conditions.mark_true(DOMAIN_CLAIMED)
        return True

    async def _create_claim(self, mapping: Object) -> Object:
        try:
            return await self._api.create(DOMAIN_CLAIM, domain_claim(mapping))
        except ApiError as error:
            if not error.already_exists:
                raise
        # Made a moment ago, for this namespace or for another: the cache does not know it yet.
        return await self._api.get(DOMAIN_CLAIM, mapping["metadata"]["name"])

    async def _withdraw(self, mapping: Object) -> None:
        ingress = self._ingresses.get(domain_ingress_name(mapping), mapping["metadata"]["namespace"])
        if ingress is not None and is_controlled_by(ingress, mapping):
            await self._children.delete(KINGRESS, ingress)

    async def _release(self, mapping: Object) -> None:
        """Give the claim back, if mappings make claims here, and let the mapping go."""
        metadata = mapping["metadata"]
        finalizers = metadata.get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        claim = self._claims.get(metadata["name"])
        ours = claim is not None and claim["spec"].get("namespace") == metadata["namespace"]
        if claim is not None and ours and self._settings.current.claims_domains:
            try:
                await self._api.delete(DOMAIN_CLAIM, metadata["name"], uid=claim["metadata"]["uid"])
            except ApiError as error:
                if not error.not_found:
                    raise
        await self._set_finalizers(mapping, [name for name in finalizers if name != FINALIZER])

    async def _set_finalizers(self, mapping: Object, finalizers: list[str]) -> Object:
        metadata = mapping["metadata"]
        # With the version read: somebody else's finalizer must not be lost.
        patch = {"metadata": {"finalizers": finalizers or None, "resourceVersion": metadata["resourceVersion"]}}
        return await self._api.patch(DOMAIN_MAPPING, metadata["name"], patch, metadata["namespace"])

    # -- the way

    async def _map(self, mapping: Object, conditions: Conditions) -> None:
        settings = self._settings.current
        try:
            service = self._references.service_of(mapping["spec"]["ref"], mapping["metadata"]["namespace"])
        except Unresolvable as error:
            conditions.mark_false(REFERENCE_RESOLVED, "ResolveFailed", str(error))
            return
        conditions.mark_true(REFERENCE_RESOLVED)
        try:
            ingress = await self._children.ensure(self._ingresses, domain_ingress(mapping, service, settings), mapping)
        except NotOwned as error:
            conditions.mark_false(INGRESS_READY, "NotOwned", str(error))
            return
        ready = condition(ingress, "Ready")
        observed = (ingress.get("status") or {}).get("observedGeneration") == ingress["metadata"]["generation"]
        if ready is None or not observed:
            conditions.mark_unknown(INGRESS_READY, "IngressNotConfigured", "Ingress has not yet been reconciled.")
        else:
            conditions.mark(INGRESS_READY, ready["status"], ready.get("reason", ""), ready.get("message", ""))

    def _certify(self, mapping: Object, conditions: Conditions) -> None:
        if not mapping["spec"].get("tls"):
            conditions.mark_true(CERTIFICATE_PROVISIONED, "TLSNotEnabled", "external-domain-tls is not enabled")
        else:
            message = "TLS certificate was provided externally"
            conditions.mark_true(CERTIFICATE_PROVISIONED, "CertificateExternallyProvided", message)

    # -- who is concerned

    def _claimants(self, claim: Object) -> Iterable[Key]:
        return [key_of(mapping) for mapping in self._mappings.by_index(BY_NAME, claim["metadata"]["name"])]

    def _referrers(self, obj: Object) -> Iterable[Key]:
        return [key_of(mapping) for mapping in self._mappings.by_index(BY_REFERENCE, str(key_of(obj)))]

    def _settings_changed(self) -> None:
        for mapping in self._mappings:
            self.controller.enqueue(key_of(mapping))


def _reference_index(mapping: Object) -> tuple[str, ...]:
    reference = mapping["spec"].get("ref") or {}
    return (str(Key(reference.get("namespace", ""), reference.get("name", ""))),)
