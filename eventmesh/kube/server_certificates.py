"""The certificates that brokers, channels, sinks and RequestReplies show under https: Secrets of `knative-eventing`.

Names and entries are Knative's (knative/eventing: pkg/eventingtls), so that what cert-manager keeps for Knative serves
here as well. Where nobody else does, control writes them (`xds.control.event_certificates`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.knative import (
    BROKER_INGRESS,
    CHANNEL_DISPATCHER,
    CLUSTER_DOMAIN,
    JOB_SINK_INGRESS,
    KAFKA_SINK_INGRESS,
    REQUEST_REPLY_INGRESS,
)
from eventmesh.kube.objects import Key
from eventmesh.kube.subscriber_addresses import are_certificates

NAMESPACE: Final = "knative-eventing"

SECRETS: Final[Mapping[str, Key]] = {
    service: Key(NAMESPACE, name)
    for service, name in (
        (BROKER_INGRESS, "mt-broker-ingress-server-tls"),
        (CHANNEL_DISPATCHER, "imc-dispatcher-server-tls"),
        (JOB_SINK_INGRESS, "job-sink-server-tls"),
        (KAFKA_SINK_INGRESS, "kafka-sink-ingress-server-tls"),
        (REQUEST_REPLY_INGRESS, "request-reply-server-tls"),
    )
}
"""Name and namespace of a Service -> the Secret with the certificate for its names."""

CHAIN, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
"""Entries of such a Secret."""


@frozen
class ServerCertificate:
    """A chain, its key, and who vouches for it; all PEM. The key is in no `repr`."""

    chain: str
    key: str = field(repr=False)
    authorities: str


def parse(secret: Object) -> ServerCertificate:
    """Return what a Secret holds; raises ValueError naming the entry that is missing or is none."""
    data = secret.get("data") or {}
    chain, key, authorities = (_entry(data, name) for name in (CHAIN, KEY, AUTHORITIES))
    for name, text in ((CHAIN, chain), (AUTHORITIES, authorities)):
        if not are_certificates(text):
            raise ValueError(f"data[{name!r}]: holds no certificates in PEM")
    return ServerCertificate(chain, key, authorities)


def host_of(service: str) -> str:
    """Return the host by which a Service, given by name and namespace, is addressed inside the mesh."""
    return f"{service}.svc.{CLUSTER_DOMAIN}"


def is_own_host(host: str) -> bool:
    """Return whether `host` is one at which events are taken in under https."""
    return host in _OWN


def names_of(service: str, outside: str) -> tuple[str, ...]:
    """Return the names that the certificate of a Service is to bear; `outside` is a domain beside the mesh's, or ''."""
    names = (host_of(service), f"{service}.svc", service)
    return (*names, f"{service}.{outside}") if outside else names


def _entry(data: Mapping[str, str], name: str) -> str:
    try:
        text = base64.b64decode(data.get(name) or "", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise ValueError(f"data[{name!r}]: is not base64 of PEM") from None
    if not text:
        raise ValueError(f"data[{name!r}]: missing")
    return text


_OWN: Final = frozenset(host for service in SECRETS for host in (host_of(service), f"{service}.svc"))
