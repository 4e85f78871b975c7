"""The port at which workloads exchange their service account's token for a certificate, over TLS.

It is a port of its own: who comes here has no certificate to show yet, and the token must not travel in clear text.
"""

from __future__ import annotations

import asyncio
from typing import Final

from eventmesh.base.clock import Clock, SystemClock
from eventmesh.protocols.grpc import CallFailed, Code
from eventmesh.transport.grpc_service import GrpcService, ServedCall
from eventmesh.xds.control.certification import CertificateRefusedError, Certification, Why
from eventmesh.xds.control.ports import GrpcPorts, Port
from eventmesh.xds.identity.issuer import Identities

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
METHOD: Final = "CreateCertificate"

MAX_MESSAGE_BYTES: Final = 65_536
"""A signing request is 1 to 2 KiB; Istio's agents add a few fields of metadata."""

MAX_CALLS: Final = 256
"""At a time: each waits for one question to the API. One more is answered RESOURCE_EXHAUSTED, and agents try again.
A call that has not brought its message yet is none of them: anybody could have opened it."""

MESSAGE_S: Final = 10.0
"""How long a call may take to bring its message: TLS is up by then, and the message is one packet or two."""

_FINISH_S: Final = 1.0
"""What a signature and an answer take; who is cut off asks another replica."""

_CODES: Final = {
    Why.TOKEN: Code.UNAUTHENTICATED,
    Why.REQUEST: Code.INVALID_ARGUMENT,
    Why.IDENTITY: Code.PERMISSION_DENIED,
    Why.UNAVAILABLE: Code.UNAVAILABLE,
}


class CertificateServer:
    """Serves a `Certification` to whoever trusts one of the mesh's roots."""

    def __init__(
        self,
        certification: Certification,
        identities: Identities,
        clock: Clock | None = None,
        message_s: float = MESSAGE_S,
    ) -> None:
        """`message_s` is how long a call may take to bring its message."""
        self._message_s = message_s
        self._certification = certification
        self._calls = 0
        service = GrpcService({f"/{SERVICE}/{METHOD}": self._create}, MAX_MESSAGE_BYTES)
        self._ports = GrpcPorts(service, clock or SystemClock(), "the certificate port", identities)

    async def start(self, address: str) -> int:
        """Listen on `host:port` (port 0: any free one) and return the port; UnavailableError when it is taken."""
        (port,) = await self._ports.start(Port(address, is_secured=True))
        return port

    async def stop(self) -> None:
        """Answer what has been asked, and close the port."""
        await self._ports.stop(_FINISH_S)

    async def _create(self, call: ServedCall) -> None:
        message = await self._message(call)
        if self._calls >= MAX_CALLS:
            raise CallFailed(Code.RESOURCE_EXHAUSTED, f"{MAX_CALLS} calls wait for their answer; try again")
        self._calls += 1
        try:
            await call.send(await self._certification.answer(call.metadata, message))
        except CertificateRefusedError as error:
            raise CallFailed(_CODES[error.why], str(error)) from error
        finally:
            self._calls -= 1

    async def _message(self, call: ServedCall) -> bytes:
        try:
            async with asyncio.timeout(self._message_s):
                message = await call.receive()
        except TimeoutError:
            raise CallFailed(Code.DEADLINE_EXCEEDED, f"no message within {self._message_s:g} s") from None
        if message is None:
            raise CallFailed(Code.INVALID_ARGUMENT, "the call carries no message")
        return message
