"""gRPC's side of identities: who is at the other end of an ADS connection, how control shows who it is, and how it
ends the connection."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from eventmesh.xds.control.scope import ForeignIdentityError
from eventmesh.xds.identity.issuer import Identities, Renewed
from eventmesh.xds.identity.spiffe import SCHEME, SpiffeId


class ShownCredentials:
    """Shows control's present certificate, at each handshake anew."""

    def __init__(self, identities: Identities, *, demanding: bool) -> None:
        """`demanding`: who connects must show a certificate of one of the roots trusted now."""
        self._identities = identities
        self._newer: grpc.ServerCertificateConfiguration | None = None
        own = identities.parts.control
        identities.listen(self._renewed, lambda wanted: wanted == own)
        self.grpc: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._take,  # type: ignore[arg-type]  # None is allowed by its documentation, not by its stub
            require_client_authentication=demanding,
        )

    def _renewed(self, renewed: Renewed) -> None:
        if renewed.roots or self._identities.parts.control in renewed.identities:
            self._newer = self._configuration()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        own = self._identities.current(self._identities.parts.control)
        pair = (own.key.encode(), own.chain.encode())
        roots = self._identities.bundle().encode()
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)

    def _take(self) -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this at each handshake, on a thread of its own; None: what it has is the newest.
        newer, self._newer = self._newer, None
        return newer


def peer_identity(context: grpc.aio.ServicerContext[Any, Any]) -> SpiffeId | None:
    """Return what the client's certificate proves; None: it has come without TLS.

    Raises ForeignIdentityError for a certificate that does not bear exactly one SPIFFE id.
    """
    shown = context.auth_context()
    if "x509_subject_alternative_name" not in shown:
        return None
    names = [name.decode("utf-8", "replace") for name in shown["x509_subject_alternative_name"]]
    ids = [name for name in names if name.startswith(SCHEME)]
    if len(ids) != 1:
        raise ForeignIdentityError(f"the certificate bears {len(ids)} SPIFFE ids; a workload's bears one")
    try:
        return SpiffeId.parse(ids[0])
    except ValueError as error:
        raise ForeignIdentityError(str(error)) from None


def disconnect(peer: str) -> None:
    """Shut down the connection of `peer`, as `context.peer()` names it; nothing happens when it has gone already.

    gRPC's own interface has no way to give up a call whose message is not read: a status queues behind it, and its
    bytes stay for as long as the connection does.
    """
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # It is not connected, or closed since it was listed.
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as duplicate:
                if _named(duplicate.getpeername()) == peer:
                    duplicate.shutdown(socket.SHUT_RDWR)


def _named(address: object) -> str:
    match address:
        case (str(host), int(port)):
            return f"ipv4:{host}:{port}"
        case (str(host), int(port), _, _) if host.startswith("::ffff:"):
            # gRPC listens on sockets of IPv6 for both.
            return f"ipv4:{host.removeprefix('::ffff:')}:{port}"
        case (str(host), int(port), _, _):
            return f"ipv6:%5B{host}%5D:{port}"
    return ""
