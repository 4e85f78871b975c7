"""From a Destination (duck type `ref` and/or `uri`) to the URL it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urljoin, urlsplit

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.knative import service_host
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import (
    BROKER,
    CHANNEL,
    IN_MEMORY_CHANNEL,
    JOB_SINK,
    KAFKA_SINK,
    KSERVICE,
    OF_KAFKA,
    PARALLEL,
    REQUEST_REPLY,
    ROUTE,
    SEQUENCE,
    SERVICE,
)
from eventmesh.kube.status import Conditions
from eventmesh.kube.subscriber_addresses import are_certificates, can_be_certified, why_not

_CHANNELS = (CHANNEL, IN_MEMORY_CHANNEL, SEQUENCE, PARALLEL)

ADDRESSABLE = (KSERVICE, ROUTE, BROKER, *_CHANNELS, JOB_SINK, KAFKA_SINK, REQUEST_REPLY, SERVICE)
"""Kinds a reference may name. All but a plain Service say where they are in `status.addresses` or `status.address`."""


@frozen
class Unresolved:
    """Why a Destination has no URL (yet); the words go into a condition."""

    reason: str
    message: str
    permanent: bool = False
    """True: only a change of the Destination helps."""


class Destinations:
    """Resolves Destinations from the caches of addressable kinds."""

    def __init__(self, informers: Informers) -> None:
        self.informers: dict[Resource, Informer] = {
            resource: informers.of(resource, may_be_absent=resource in OF_KAFKA) for resource in ADDRESSABLE
        }

    def resolve(self, destination: Object) -> str | Unresolved:
        """Return the URL, or why there is none."""
        reference, uri = destination.get("ref"), destination.get("uri") or ""
        url = self._of_reference(reference, destination) if reference else uri
        if isinstance(url, Unresolved):
            return url
        try:
            if reference and uri:
                url = urljoin(url if url.endswith("/") else f"{url}/", uri)
            # As a whole: what stands beside a reference may begin with a host of its own.
            return self._problem(destination, urlsplit(url)) or url
        except ValueError as error:
            return Unresolved("AddressInvalid", f"{url}: {error}", permanent=True)

    def audience(self, destination: Object) -> str:
        """Return what a token must be for that is shown there: as the Destination says, else as its address does."""
        return self._said(destination, "audience")

    def authorities(self, destination: Object) -> str:
        """Return the certificates (PEM) of who vouches for a destination: as it says, else as its address does."""
        return self._said(destination, "CACerts")

    def shown(self, name: str, destination: Object) -> Object:
        """Return what a status tells of a destination beside its address: `<name>Audience` and `<name>CACerts`."""
        told = {f"{name}Audience": self.audience(destination), f"{name}CACerts": self.authorities(destination)}
        return {field: value for field, value in told.items() if value}

    def _said(self, destination: Object, field: str) -> str:
        if said := destination.get(field):
            return str(said)
        reference = destination.get("ref")
        resource = _resource_of(reference) if reference else None
        if reference is None or resource is None:
            return ""
        obj = self.informers[resource].get(reference["name"], reference["namespace"]) or {}
        return str((_address(obj) or {}).get(field) or "")

    def _problem(self, destination: Object, parts: SplitResult) -> Unresolved | None:
        """Return why nothing can be sent to an address that is known; raises ValueError for a port that is none."""
        url, host = parts.geturl(), parts.hostname or ""
        if parts.port == 0:
            raise ValueError("Port 0 is nobody's")
        if refused := why_not(host):
            return Unresolved("AddressRefused", f"{url}: {refused}", permanent=True)
        if parts.scheme != "https":
            return None
        authorities = self.authorities(destination)
        if authorities and not are_certificates(authorities):
            return Unresolved("CACertsInvalid", f"{url}: CACerts holds no certificates in PEM", permanent=True)
        if not can_be_certified(host) and not authorities:
            # Names in certificates are compared with names; a number proves nothing under public authorities.
            message = f"{url}: an https address with a number needs CACerts"
            return Unresolved("TLSNotSupported", message, permanent=True)
        return None

    def follow(
        self, controller: Controller, cache: Informer, refers_to: Callable[[Object], Iterable[Key | None]]
    ) -> None:
        """Have each object of `cache` reconciled whenever one of those changes that it refers to by `refers_to`."""

        def referrers(changed: Object) -> list[Key]:
            key = key_of(changed)
            return [key_of(obj) for obj in cache if key in refers_to(obj)]

        for informer in self.informers.values():
            controller.watch(informer, referrers)

    def _of_reference(self, reference: Object, destination: Object) -> str | Unresolved:
        resource = _resource_of(reference)
        if resource is None:
            named = f"{reference.get('kind')} of {reference.get('apiVersion')}"
            return Unresolved("NotAddressable", f"{named} is not addressable", permanent=True)
        key = Key(reference["namespace"], reference["name"])
        obj = self.informers[resource].get(key.name, key.namespace)
        if obj is None:
            return Unresolved("NotFound", f'{resource.group_resource} "{key.name}" not found')
        if resource == SERVICE:
            # Whoever names an authority of a Service wants it asked who it is (knative/pkg: resolver).
            scheme = "https" if destination.get("CACerts") else "http"
            return f"{scheme}://{service_host(key.name, key.namespace)}"
        url = (_address(obj) or {}).get("url")
        return url or Unresolved("AddressNotSet", f"{resource.kind} {key} has no address yet")


def _address(obj: Object) -> Object | None:
    """Return the address of an object that references mean: the first of several, else the only one (knative/pkg:
    resolver)."""
    status = obj.get("status") or {}
    several: list[Object] = status.get("addresses") or []
    return several[0] if several else status.get("address")


def _resource_of(reference: Object) -> Resource | None:
    wanted = (reference.get("apiVersion"), reference.get("kind"))
    return next((r for r in ADDRESSABLE if (r.api_version, r.kind) == wanted), None)


def dead_letter_sink_of(obj: Object) -> Object | None:
    """Return the dead letter sink that an object names itself."""
    sink: Object | None = (obj["spec"].get("delivery") or {}).get("deadLetterSink")
    return sink


def resolve_dead_letter_sink(destinations: Destinations, sink: Object | None, conditions: Conditions) -> Object:
    """Mark `DeadLetterSinkResolved`; return the part of the status that holds the address."""
    kind = "DeadLetterSinkResolved"
    if not sink:
        conditions.mark_true(kind, "DeadLetterSinkNotConfigured", "No dead letter sink is configured.")
        return {}
    url = destinations.resolve(sink)
    if isinstance(url, Unresolved):
        conditions.mark_false(kind, url.reason, url.message)
        return {}
    conditions.mark_true(kind)
    return {"deadLetterSinkUri": url} | destinations.shown("deadLetterSink", sink)


def references(destination: Object | None) -> Key | None:
    """Return the key of the object that a Destination refers to, or None."""
    reference = (destination or {}).get("ref")
    return Key(reference.get("namespace", ""), reference["name"]) if reference else None
