"""Events that come by https: the listener, its certificates, and who is let in by http beside it.

What is asked for, `transport-encryption` of the ConfigMap `config-features`, may change at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.core import Engine
from eventmesh.kube.api import Api, Object
from eventmesh.kube.eventing_features import FeatureStore, TransportEncryption
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import key_of
from eventmesh.kube.resources import SECRET
from eventmesh.kube.server_certificates import NAMESPACE, SECRETS, parse
from eventmesh.model.listener import Listener
from eventmesh.model.route import Route, RouteTable, Serve
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ServerTls, TlsCertificate
from eventmesh.transport.exchange import ExchangeHandler, Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

LISTENER: Final = "broker-https"
"""Name of the listener, and of its route table."""

_SECURED: Final = "https/"
"""Put before a handler's name it is the name of the same one without the door."""

_GATEWAY: Final = "/ns/eventmesh-system/sa/gateway"
"""How the identity of gateways ends (`xds.identity.spiffe`): they may have taken a request in clear text."""

_REFUSED: Final = (
    "events are taken in by https alone (transport-encryption: strict), or by a sidecar of the mesh: send to the https "
    "address in status.address\n"
)

_log = log.get("activator.https_entrance")


class Door:
    """Stands before a handler where requests come in by http: while encryption is asked for without exception, it lets
    in what comes under the mesh's own mTLS from a workload, and nothing else."""

    def __init__(self, handler: ExchangeHandler, features: FeatureStore) -> None:
        self._handler = handler
        self._features = features

    async def handle(self, request: Request) -> Reply:
        """Return the handler's answer; 404, which senders try again as the switch reaches everybody, where refused."""
        strict = self._features.current.transport is TransportEncryption.STRICT
        if strict and not _is_encrypted(request.peer_names):
            return Reply.text(404, _REFUSED)
        return await self._handler.handle(request)


def _is_encrypted(peer_names: list[str]) -> bool:
    return bool(peer_names) and not any(name.endswith(_GATEWAY) for name in peer_names)


class HttpsEntrance:
    """The listener as it is to be now, from the switch and the Secrets: none before these are known."""

    def __init__(self, api: Api, clock: Clock, features: FeatureStore, address: str) -> None:
        """`address` is where it listens while encryption is on."""
        # One by one, by name: the other Secrets of that namespace are none of its business, and it need not be allowed
        # to read them.
        self.informers = [
            Informer(api, SECRET, clock, namespace=NAMESPACE, field_selector=f"metadata.name={key.name}")
            for key in SECRETS.values()
        ]
        """To be run by whoever made this."""
        self._features = features
        self._address = address
        self._certificates: dict[str, TlsCertificate] = {}
        """By the name of the Secret."""
        for informer in self.informers:
            informer.add_handler(self._changed)
        self._listeners: list[Callable[[], None]] = []
        features.subscribe(self._tell)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    @property
    def is_wanted(self) -> bool:
        """Return whether events are to be taken in by https."""
        return self._features.current.transport is not TransportEncryption.DISABLED

    async def synced(self) -> None:
        """Return when the certificates that are there are known."""
        for informer in self.informers:
            await informer.synced()

    def beside(self, plain: Snapshot, listener: str) -> Snapshot:
        """Return the https listener with the routes of `listener` in `plain`; nothing while it is not to listen.

        Its routes lead to the handlers that `secured` names, which have no `Door` before them.
        """
        certificates = tuple(self._certificates[key.name] for key in SECRETS.values() if key.name in self._certificates)
        if not certificates or not self.is_wanted:
            return Snapshot(version="")
        (model,) = (one for one in plain.listeners if one.name == listener)
        (table,) = (one for one in plain.route_tables if one.name == model.route_table)
        tls = ServerTls(certificates, alpn=("h2", "http/1.1"))
        https = replace(model, name=LISTENER, address=self._address, route_table=LISTENER, tls=tls)
        return Snapshot(version="", listeners=(https,), route_tables=(_secured_routes(table),))

    def _changed(self, _old: Object | None, new: Object | None) -> None:
        if new is None:
            # A Secret that is gone is about to come anew, or nobody asks for encryption any more: what is shown holds.
            return
        key = key_of(new)
        try:
            found = parse(new)
            certificate = TlsCertificate(found.chain, found.key)
            _try(certificate)
        except ValueError as error:
            _log.error("certificate not shown, the former one stays", secret=key, reason=error)
            return
        if self._certificates.get(key.name) != certificate:
            self._certificates[key.name] = certificate
            self._tell()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()


def reachable(address: str) -> str:
    """Return the address at which this machine itself reaches a listener; empty for none."""
    host, _, port = address.rpartition(":")
    return f"{_LOOPBACK[host]}:{port}" if host in _LOOPBACK else address


_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound


def secured(name: str) -> str:
    """Return the name of a handler as https requests are led to it."""
    return f"{_SECURED}{name}"


def _secured_routes(table: RouteTable) -> RouteTable:
    def led(route: Route) -> Route:
        action = route.action
        if not isinstance(action, Serve):
            return route
        return replace(route, action=replace(action, handler=secured(action.handler)))

    hosts = (replace(host, routes=tuple(map(led, host.routes))) for host in table.virtual_hosts)
    return RouteTable(LISTENER, tuple(hosts))


def _try(certificate: TlsCertificate) -> None:
    """Raise ValueError when the engine would not take a certificate: it would refuse the others with it."""
    table = RouteTable(LISTENER, ())
    listener = Listener(LISTENER, "127.0.0.1:0", LISTENER, tls=ServerTls((certificate,)))
    Engine().apply(Snapshot(version="", listeners=(listener,), route_tables=(table,)).to_core(), 0.0)
