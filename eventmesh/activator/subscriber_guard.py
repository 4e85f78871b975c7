"""What is not dialled for a subscriber, whatever its name means: metadata services, the mesh's own control ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.kube.subscriber_addresses import is_loopback, why_not
from eventmesh.transport.address import InetAddress, parse_address

SIDECAR_ADMIN_PORT: Final = 8022
"""Where a sidecar listens for orders; on a pod's own address, which is a loopback one where pods are processes."""

_log = log.get("activator.subscriber_guard")


class RefusedAddress(OSError):
    """An address that is not dialled; the message says why."""


class SubscriberGuard:
    """Looks at each address that is about to be dialled, after its name was looked up."""

    def __init__(self, is_guarded: Callable[[str], bool], control: Callable[[], Iterable[str]]) -> None:
        """`is_guarded` tells of a cluster whether others than the operator chose where it leads; `control` yields
        `host:port` of ports that take orders from whoever reaches them."""
        self._is_guarded = is_guarded
        self._control = control
        self._told: set[str] = set()

    def check(self, cluster: str, address: InetAddress) -> None:
        """Return when `address` may be dialled for `cluster`; raises RefusedAddress."""
        if not self._is_guarded(cluster):
            return
        why = why_not(address.host) or self._why_not_port(address)
        if not why:
            return
        if cluster not in self._told:
            # Once for each subscriber: as many as there are, and not as often as it is tried.
            self._told.add(cluster)
            _log.warning("subscriber not dialled", subscriber=cluster, address=address, reason=why)
        raise RefusedAddress(f"{address} is not dialled: {why}")

    def _why_not_port(self, address: InetAddress) -> str:
        here = is_loopback(address.host)
        if here and address.port == SIDECAR_ADMIN_PORT:
            return "it is the admin port of a sidecar"
        for text in self._control():
            try:
                control = parse_address(text)
            except ConfigError:
                continue
            if not isinstance(control, InetAddress) or control.port != address.port:
                continue
            if control.host == address.host or (here and (is_loopback(control.host) or why_not(control.host))):
                return "it is a control port of the mesh"
        return ""
