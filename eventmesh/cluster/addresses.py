"""Where the parts of one local mesh listen: the usual addresses, or free ones beside another mesh."""

from __future__ import annotations

import errno
import random
import socket
from typing import Final

from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.kube.knative import BROKER_INGRESS, CHANNEL_DISPATCHER

LOOPBACK: Final = "127.0.0.1"
DOMAIN: Final = "localhost"
"""Names below it mean this machine to curl and to browsers, without any DNS (RFC 6761 6.3)."""
ADS_PORT: Final = 18000
CONTROL_ADMIN_PORT: Final = 18001
ADS_SECURED_PORT: Final = 18002
AUTOSCALER_PORT: Final = 18080
ACTIVATOR_HOST: Final = "127.0.0.2"
ACTIVATOR_PORT: Final = 8012
BROKER_PORT: Final = 8080
GATEWAY_TLS_PORT: Final = 8443
BROKER_TLS_PORT: Final = 8444
"""Knative's 8443 is the gateway's here; at an address that names below `localhost` mean."""
GATEWAY_ADMIN_PORT: Final = 15000
ACTIVATOR_ADMIN_PORT: Final = 15001

_FIRST_SPARE_PORT: Final = 10_000
_LAST_PORT: Final = 65_535
_DRAWS: Final = 100
"""On a machine where a hundred random ports are all taken something else is wrong."""


@frozen
class Addresses:
    """`host:port` of everything that one mesh listens on."""

    api: str
    gateway: str
    """For requests from outside."""
    gateway_tls: str
    """The same under TLS, for hosts that have a certificate."""
    gateway_local: str
    """For requests that a cluster-local host may answer."""
    gateway_admin: str
    ads: str
    """For clients that have no identity: foreign ones."""
    ads_secured: str
    """Under mTLS, for the mesh's own data planes."""
    control_admin: str
    autoscaler: str
    activator: str
    """For requests whose function is at zero."""
    broker: str
    """For events."""
    broker_tls: str
    """For events that come by https, while they may."""
    activator_admin: str

    @property
    def events_url(self) -> str:
        """Return where brokers take events in from outside: add `/NAMESPACE/BROKER`."""
        return f"http://{BROKER_INGRESS}.{DOMAIN}:{self.gateway_port}"

    @property
    def channels_url(self) -> str:
        """Return where channels take events in from outside: add `/NAMESPACE/CHANNEL`."""
        return f"http://{CHANNEL_DISPATCHER}.{DOMAIN}:{self.gateway_port}"

    def secured_url(self, service: str) -> str:
        """Return where a Service of the activator takes events in from outside by https: add `/NAMESPACE/NAME`."""
        return f"https://{service}.{DOMAIN}:{port_of(self.broker_tls)}"

    @property
    def gateway_port(self) -> int:
        """Return the port that belongs into the URLs of functions."""
        return port_of(self.gateway)


class Holds:
    """Sockets at ports that were drawn: nobody else draws one of them, or is given it, while they are open.

    They do not listen. Who sets SO_REUSEADDR, as every server of ours does, can listen beside them (socket(7)), at once
    or when a part is started again.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def take(self, port: int) -> bool:
        """Hold a port; return whether it was free."""
        held = socket.socket()
        try:
            # Without SO_REUSEADDR: another's hold must not let this one pass. With it from then on, for its owner.
            held.bind((LOOPBACK, port))
        except OSError as error:
            held.close()
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sockets.append(held)
        return True

    def close(self) -> None:
        """Let all of them go."""
        for held in self._sockets:
            held.close()
        self._sockets.clear()


def choose(api_port: int, gateway_port: int, spare_host: str, holds: Holds) -> Addresses:
    """Return the addresses of a mesh about to start; port 0 means any free one.

    The ports a person names must be free (UnavailableError names the flag); for those that only the mesh's own parts
    use, a free port takes the place of one that is taken. `spare_host` is the activator's address beside another mesh.
    With `api_port` 0 nothing has its usual address: such meshes are started side by side, in the same moment, and one
    must not find free what the other is about to take. For the same reason `holds` keeps what was drawn: until all
    parts listen at the least, which takes seconds.
    """
    api = _wanted(api_port, "--port", holds)
    gateway = _wanted(gateway_port, "--gateway-port", holds)
    taken = {api, gateway}
    usual = api_port != 0
    activator_host = ACTIVATOR_HOST
    if not (usual and _is_free(ACTIVATOR_HOST, ACTIVATOR_PORT) and _is_free(ACTIVATOR_HOST, BROKER_PORT)):
        activator_host = spare_host
    return Addresses(
        api=_at(LOOPBACK, api),
        gateway=_at(LOOPBACK, gateway),
        gateway_tls=_at(LOOPBACK, _preferred(GATEWAY_TLS_PORT if gateway_port else 0, taken, holds)),
        gateway_local=_at(LOOPBACK, _preferred(gateway + 1 if gateway_port else 0, taken, holds)),
        gateway_admin=_at(LOOPBACK, _preferred(GATEWAY_ADMIN_PORT if usual else 0, taken, holds)),
        ads=_at(LOOPBACK, _preferred(ADS_PORT if usual else 0, taken, holds)),
        ads_secured=_at(LOOPBACK, _preferred(ADS_SECURED_PORT if usual else 0, taken, holds)),
        control_admin=_at(LOOPBACK, _preferred(CONTROL_ADMIN_PORT if usual else 0, taken, holds)),
        autoscaler=_at(LOOPBACK, _preferred(AUTOSCALER_PORT if usual else 0, taken, holds)),
        activator=_at(activator_host, ACTIVATOR_PORT),
        broker=_at(activator_host, BROKER_PORT),
        broker_tls=_at(LOOPBACK, _preferred(BROKER_TLS_PORT if gateway_port else 0, taken, holds)),
        activator_admin=_at(LOOPBACK, _preferred(ACTIVATOR_ADMIN_PORT if usual else 0, taken, holds)),
    )


def port_of(address: str) -> int:
    """Return the port of `host:port`."""
    return int(address.rpartition(":")[2])


def _wanted(port: int, flag: str, holds: Holds) -> int:
    if port == 0:
        return _any_port(holds)
    if not _is_free(LOOPBACK, port):
        raise UnavailableError(
            f"{flag} {port}: {LOOPBACK}:{port} is in use; stop what holds it, or choose another port"
        )
    return port


def _preferred(port: int, taken: set[int], holds: Holds) -> int:
    chosen = port if port and port not in taken and _is_free(LOOPBACK, port) else _any_port(holds)
    taken.add(chosen)
    return chosen


def _at(host: str, port: int) -> str:
    return f"{host}:{port}"


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _any_port(holds: Holds) -> int:
    """Return a free port, held from now on, below those that the kernel gives to outgoing connections."""
    for port in random.sample(range(_FIRST_SPARE_PORT, _first_ephemeral_port()), _DRAWS):
        if holds.take(port):
            return port
    raise UnavailableError(f"no free port on {LOOPBACK} among {_DRAWS} drawn from {_FIRST_SPARE_PORT} upwards")


def _first_ephemeral_port() -> int:
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first = int(file.read().split()[0])
    # An administrator may have widened the range downwards; then there is nothing safer than the whole of it.
    return first if first > 2 * _FIRST_SPARE_PORT else _LAST_PORT
