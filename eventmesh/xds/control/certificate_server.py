"""The port at which workloads exchange their service account's token for a certificate, over TLS.

It is a port of its own: who comes here has no certificate to show yet, and the token must not travel in clear text.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
import grpc.aio

from eventmesh.base.errors import UnavailableError
from eventmesh.xds.control.certification import CertificateRefusedError, Certification, Why
from eventmesh.xds.control.peers import ShownCredentials
from eventmesh.xds.control.server import require_free
from eventmesh.xds.identity.issuer import Identities

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
METHOD: Final = "CreateCertificate"

MAX_MESSAGE_BYTES: Final = 65_536
"""A signing request is 1 to 2 KiB; Istio's agents add a few fields of metadata."""

MAX_CALLS: Final = 256
"""At a time: each waits for one question to the API. One more is answered RESOURCE_EXHAUSTED, and agents try again."""

_STOP_GRACE_S: Final = 1.0
"""What a signature and an answer take; who is cut off asks another replica."""

_CODES: Final = {
    Why.TOKEN: grpc.StatusCode.UNAUTHENTICATED,
    Why.REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    Why.IDENTITY: grpc.StatusCode.PERMISSION_DENIED,
    Why.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class CertificateServer:
    """Serves a `Certification` to whoever trusts one of the mesh's roots."""

    def __init__(self, certification: Certification, identities: Identities) -> None:
        self._certification = certification
        self._identities = identities
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str) -> int:
        """Listen on `host:port` (port 0: any free one) and return the port; UnavailableError when it is taken."""
        require_free(address, "the certificate port")
        server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._create)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        try:
            port = server.add_secure_port(address, ShownCredentials(self._identities, demanding=False).grpc)
        except RuntimeError as error:
            raise UnavailableError(f"the certificate port cannot listen on {address}: {error}") from error
        await server.start()
        self._server = server
        return port

    async def stop(self) -> None:
        """Answer what has been asked, and close the port."""
        if self._server is not None:
            await self._server.stop(_STOP_GRACE_S)
            self._server = None

    async def _create(self, message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            return await self._certification.answer(metadata, message)
        except CertificateRefusedError as error:
            await context.abort(_CODES[error.why], str(error))
