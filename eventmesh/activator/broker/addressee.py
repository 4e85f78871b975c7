"""Who a request is for: brokers are named by the path, channels by a host of their own (or by the dispatcher's paths).

Within this process each goes by a key, `namespace/name` for a broker, `namespace/channel:name` for a channel; the store
keeps events by it. A colon is in no name of Kubernetes, so that no broker can have a channel's key.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from eventmesh.base.errors import MeshError
from eventmesh.kube.knative import BROKER_INGRESS, CHANNEL_DISPATCHER, CHANNEL_SUFFIX, CLUSTER_DOMAIN

_CHANNEL: Final = "channel:"
_INSIDE = ("", "svc", f"svc.{CLUSTER_DOMAIN}")
"""What may follow a Service's name and namespace in a host of the mesh."""


class Unaddressed(MeshError):
    """A request names neither a broker nor a channel; `status` is the answer."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


def broker_key(namespace: str, name: str) -> str:
    """Return the key of a broker."""
    return f"{namespace}/{name}"


def channel_key(namespace: str, name: str) -> str:
    """Return the key of a channel."""
    return f"{namespace}/{_CHANNEL}{name}"


def is_broker(key: str) -> bool:
    """Return whether `key` is a broker's; channels and sources have a colon in theirs."""
    return ":" not in key


def channel_of(key: str) -> tuple[str, str] | None:
    """Return namespace and name of the channel that `key` stands for; None: it is a broker's."""
    namespace, _, name = key.partition("/")
    return (namespace, name.removeprefix(_CHANNEL)) if name.startswith(_CHANNEL) else None


def addressee(authority: str, path: str) -> str:
    """Return the key of what a request to this host and path is for; raises Unaddressed."""
    host = authority.lower()
    parts = [part for part in path.partition("?")[0].split("/") if part]
    # Every event comes by here, and most of them are a broker's: its path says all.
    if CHANNEL_SUFFIX in host:
        service, namespace, rest = _split(host)
        if service.endswith(CHANNEL_SUFFIX) and rest in _INSIDE:
            if parts:
                raise Unaddressed(404, f"path {path} is not /, where the channel takes events in")
            return channel_key(namespace, service.removesuffix(CHANNEL_SUFFIX))
    of_channels = host.startswith(CHANNEL_DISPATCHER) and ".".join(_split(host)[:2]) == CHANNEL_DISPATCHER
    kind = "channel" if of_channels else "broker"
    if not parts:
        raise Unaddressed(404, f"send events to /<namespace>/<{kind}>")
    if len(parts) != 2:
        raise Unaddressed(400, f"path {path} is not /<namespace>/<{kind}>")
    return channel_key(*parts) if of_channels else broker_key(*parts)


def own_key(url: str) -> str:
    """Return the key of the broker or channel that `url` is the address of inside the mesh; empty for all others."""
    parts = urlsplit(url)
    service, namespace, rest = _split(parts.netloc)
    if rest not in _INSIDE:
        return ""
    if f"{service}.{namespace}" not in (BROKER_INGRESS, CHANNEL_DISPATCHER) and not service.endswith(CHANNEL_SUFFIX):
        return ""
    try:
        return addressee(parts.netloc, parts.path)
    except Unaddressed:
        return ""


def _split(authority: str) -> tuple[str, str, str]:
    host = authority.rpartition("@")[2].partition(":")[0].lower().rstrip(".")
    service, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    return service, namespace, domain
