"""Where an object takes events in, as its status tells: by http, by https or by both, with the authorities to believe.

After knative/eventing (pkg/reconciler/broker, inmemorychannel, jobsink): https addresses are paths of a Service of
`knative-eventing`, and stand first.
"""

from __future__ import annotations

from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.event_policies import audience_of
from eventmesh.kube.eventing_features import CONFIG, FeatureStore, TransportEncryption
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.knative import BROKER_INGRESS, CHANNEL_DISPATCHER
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import SECRET
from eventmesh.kube.server_certificates import SECRETS, host_of, parse
from eventmesh.kube.status import Conditions

CONDITION: Final = "Addressable"

EXTERNAL: Final = "external"
"""Name of the address that holds outside the mesh."""


@frozen
class Entrance:
    """Where objects of one kind take events in."""

    service: str
    """Name and namespace of the Service that https addresses are paths of (`kube.server_certificates`)."""
    outside: str = ""
    """URL at which it can be reached from outside the mesh, if it can."""
    outside_secured: str = ""
    """The same under https, with the certificate of the Service."""


BROKERS: Final = Entrance(BROKER_INGRESS)
CHANNELS: Final = Entrance(CHANNEL_DISPATCHER)
"""Where these are found that can be reached from inside the mesh alone."""


class Addresses:
    """Writes the addresses of all kinds."""

    def __init__(self, informers: Informers, features: FeatureStore) -> None:
        self._features = features
        self._secrets = informers.of(SECRET)

    def follow(self, controller: Controller, cache: Informer, entrance: Entrance) -> None:
        """Have the objects of `cache` reconciled whenever their Service's certificate changes, or a switch does."""

        def under_it(secret: Object) -> list[Key]:
            return [key_of(obj) for obj in cache] if key_of(secret) == SECRETS[entrance.service] else []

        def all_of_them() -> None:
            for obj in cache:
                controller.enqueue(key_of(obj))

        controller.watch(self._secrets, under_it)
        self._features.subscribe(all_of_them)

    def mark(self, conditions: Conditions, resource: Resource, obj: Object, plain: str, entrance: Entrance) -> Object:
        """Mark `Addressable`; return the part of the status that holds the addresses. `plain` is the one of http."""
        key, features = key_of(obj), self._features.current
        audience = {"audience": audience_of(resource, key)} if features.authentication else {}
        path = f"/{key.namespace}/{key.name}"
        http = {"name": "http", "url": plain, **audience}
        if features.transport is TransportEncryption.DISABLED:
            self._mark_addressable(conditions)
            return _told(http, [http, *_outside(entrance.outside, path, http)] if entrance.outside else [])
        strict = features.transport is TransportEncryption.STRICT
        try:
            authorities = self._authorities(entrance.service)
        except ValueError as error:
            conditions.mark_false(CONDITION, "CertificateNotFound", f"{features.transport.value} https: {error}")
            return {} if strict else {"address": http}
        self._mark_addressable(conditions)
        https = {
            "name": "https",
            "url": f"https://{host_of(entrance.service)}{path}",
            "CACerts": authorities,
        } | audience
        if not strict:
            return _told(http, [https, http, *_outside(entrance.outside, path, http)])
        plainly = entrance.outside if entrance.outside.startswith("https://") else ""
        outside = _outside(entrance.outside_secured, path, https) or _outside(plainly, path, {"name": "", **audience})
        return _told(https, [https, *outside])

    def _authorities(self, service: str) -> str:
        key = SECRETS[service]
        secret = self._secrets.get(key.name, key.namespace)
        if secret is None:
            raise ValueError(f"Secret {key}, the certificate to show, is not there")
        try:
            return parse(secret).authorities
        except ValueError as error:
            raise ValueError(f"Secret {key}: {error}") from None

    def _mark_addressable(self, conditions: Conditions) -> None:
        """Mark `Addressable`, and say there which switches do not hold for the address: who set one may count on it."""
        in_vain = ", ".join(self._features.current.without_effect)
        message = f"ConfigMap {CONFIG} asks for what is not done here: {in_vain}" if in_vain else ""
        conditions.mark_true(CONDITION, "FeatureWithoutEffect" if in_vain else "", message)


def _told(address: Object, addresses: list[Object]) -> Object:
    return {"address": address, "addresses": addresses} if addresses else {"address": address}


def _outside(url: str, path: str, like: Object) -> list[Object]:
    return [{**like, "name": EXTERNAL, "url": f"{url}{path}"}] if url else []
