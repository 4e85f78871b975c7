"""A data plane's own certificate: its service account's token exchanged for one, at the start and at half its life.

The key is made beside this process (`xds.identity.new_key`) and goes nowhere. Whom to trust comes with the first answer
and over SDS from then on. Loaded by data planes whose bootstrap asks for it, and by no other.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import first_of
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.tls import TlsCertificate
from eventmesh.transport.exchange import TEXT, Reply
from eventmesh.transport.grpc_call import GrpcCall
from eventmesh.xds.bootstrap import Bootstrap
from eventmesh.xds.client.certificate_life import not_after
from eventmesh.xds.client.channel import way
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.identity import OWN_SECRET, ROOTS_SECRET, TokenIdentity
from eventmesh.xds.translate.tls import Secret, Secrets, Validation

if TYPE_CHECKING:
    from eventmesh.core._core import Request
    from eventmesh.dataplane.admin import Admin

METHOD: Final = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_MESSAGES: Final = "istio.v1.auth"

TABLE: Final = "eventmesh.certificates"

MAX_TOKEN_BYTES: Final = 16_384
"""What servers take of one header; a projected token has about 1,000."""

MAX_ANSWER_BYTES: Final = 262_144
"""A chain and the roots; even ten certificates of 4,096 bits each are 20 KiB."""

ANSWER_WITHIN_S: Final = 20.0
"""Of the authority and of the process that makes the key: both take milliseconds, and there is always another try."""

RETRY_FIRST_S: Final = 0.1
RETRY_CAP_S: Final = 10.0
"""A function is not ready before it has a certificate; ten thousand that wait ask a thousand times a second at most."""

RENEW_AT: Final = 0.5
JITTER: Final = 0.1
"""Parts of a certificate's life, as control renews (`xds.identity.rotation`)."""

RENEW_FLOOR_S: Final = 1.0
"""Whatever an authority answers, and whoever asks for it, the authority is not asked more often than this."""

RENEW_PAGE: Final = "renew_certificate"

_SUBJECT: Final = re.compile(r"system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)")

_log = log.get("xds.client.identity")


@frozen
class Obtained:
    """A certificate with its key, and the roots that came with it."""

    certificate: TlsCertificate
    roots: str
    renew_at: float
    """On the monotonic clock."""

    @property
    def secrets(self) -> Secrets:
        """Return them as the resources that listeners and clusters name."""
        return {
            OWN_SECRET: Secret(certificate=self.certificate),
            ROOTS_SECRET: Secret(validation=Validation(self.roots)),
        }


class WorkloadIdentity:
    """Keeps the certificate of one process."""

    own: Final = frozenset({OWN_SECRET})
    """Secrets that no control plane is asked for."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        source: TokenIdentity,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._bootstrap = bootstrap
        self._source = source
        self._clock = clock
        self._draw = draw
        self._first: Obtained | None = None
        self._asked = asyncio.Event()

    def offer(self, pages: Admin) -> None:
        """Have `POST /renew_certificate` of the admin port replace the certificate now, as after a theft."""
        pages.add(RENEW_PAGE, "replace this process's certificate now", self)

    async def handle(self, request: Request) -> Reply:
        """Answer that page: 200 when a new certificate will be asked for, not when there is one."""
        if request.method != "POST":
            return Reply(405, (TEXT, ("allow", "POST")), f"/{RENEW_PAGE} takes POST\n".encode())
        self.renew()
        return Reply.text(200, "OK\n")

    def renew(self) -> None:
        """Have the certificate replaced now; asked again before that is done, it is replaced once more."""
        self._asked.set()

    async def begin(self) -> Bootstrap:
        """Return the bootstrap with a certificate in it, as soon as there is one: it is asked for until there is."""
        self._first = await self._obtain(self._bootstrap.resources.secrets)
        resources = self._bootstrap.resources
        resources = replace(resources, secrets={**resources.secrets, **self._first.secrets})
        snapshot = resources.snapshot(self._bootstrap.snapshot.version)
        return replace(self._bootstrap, resources=resources, snapshot=snapshot)

    async def run(self, known: Callable[[], Secrets], bring: Callable[[Secrets], Awaitable[None]]) -> None:
        """Hand each new certificate to `bring`, until cancelled; `known` returns whom to trust by then."""
        obtained = self._first
        assert obtained is not None  # noqa: S101 - nothing runs before `begin` has returned
        while True:
            due_s = max(0.0, obtained.renew_at - self._clock.monotonic())
            await first_of(self._clock.sleep(due_s), self._asked.wait())
            self._asked.clear()
            obtained = await self._obtain(known())
            await bring({OWN_SECRET: obtained.secrets[OWN_SECRET]})
            _log.info("certificate renewed", next_s=round(obtained.renew_at - self._clock.monotonic()))
            # However often somebody asks for it.
            await self._clock.sleep(RENEW_FLOOR_S)

    async def _obtain(self, secrets: Secrets) -> Obtained:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while True:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    return await self._exchange(secrets)
            except TimeoutError:
                why = f"no answer within {ANSWER_WITHIN_S:g} s"
            except MeshError as error:
                why = str(error)
            wait_s = backoff.next_s()
            _log.warning("no certificate", cluster=self._source.cluster, why=why, retry_s=round(wait_s, 2))
            await self._clock.sleep(wait_s)

    async def _exchange(self, secrets: Secrets) -> Obtained:
        """Return a certificate of a new key; raises MeshError."""
        token = _token(self._source.token_file)
        key, request = await _new_key(_spiffe_id(token, self._source.trust_domain))
        message = write_wire(f"{_MESSAGES}.IstioCertificateRequest", {"csr": request})
        answer = await self._call(secrets, token, message)
        response = read_wire(message_type(f"{_MESSAGES}.IstioCertificateResponse"), answer, "answer", [])
        chain = response.texts("cert_chain")
        if len(chain) < 2:
            raise UnavailableError(
                f"the authority answers {len(chain)} certificates; a chain and its root are expected"
            )
        return Obtained(TlsCertificate("".join(chain[:-1]), key), chain[-1], self._renewal(chain[0]))

    def _renewal(self, certificate: str) -> float:
        try:
            lives_s = (not_after(certificate) - self._clock.now()).total_seconds()
        except ValueError as error:
            raise UnavailableError(f"the authority answers {error}") from None
        after_s = max(RENEW_FLOOR_S, lives_s * (RENEW_AT + (2 * self._draw() - 1) * JITTER))
        return self._clock.monotonic() + after_s

    async def _call(self, secrets: Secrets, token: str, message: bytes) -> bytes:
        # An engine of its own: the first call comes before there is any other, and of later ones there are two a day.
        resource = next(one for one in self._bootstrap.resources.clusters if one.cluster.name == self._source.cluster)
        cluster = resource.resolve({}, secrets)
        if cluster is None:
            raise UnavailableError(f"cluster {self._source.cluster}: whom to trust is not known yet")
        own = replace(way(TABLE, cluster.name), clusters=(cluster,))
        plane = DataPlane(self._clock, {}, own=own)
        await plane.start()
        try:
            metadata = (("authorization", f"Bearer {token}"),)
            authority = cluster.endpoints[0].address
            call = GrpcCall.open(plane.caller, TABLE, authority, METHOD, metadata, max_message_bytes=MAX_ANSWER_BYTES)
            await call.send(message, last=True)
            answer = await call.receive()
        finally:
            await plane.stop()
        if answer is None:
            raise UnavailableError("the authority answers nothing")
        return answer


async def begin(
    bootstrap: Bootstrap, clock: Clock, ended: Coroutine[object, object, object]
) -> tuple[Bootstrap, WorkloadIdentity] | None:
    """Return a bootstrap that asks for an identity with that identity in it; None when `ended` returns before."""
    source = bootstrap.identity
    assert source is not None  # noqa: S101 - the caller has looked
    identity = WorkloadIdentity(bootstrap, source, clock)
    found: list[Bootstrap] = []

    async def obtain() -> None:
        found.append(await identity.begin())

    await first_of(obtain(), ended)
    return (found[0], identity) if found else None


def _token(file: str) -> str:
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise UnavailableError(f"the token {file} cannot be read: {error.strerror}") from None
    if len(data) > MAX_TOKEN_BYTES:
        raise UnavailableError(f"the token {file} is longer than {MAX_TOKEN_BYTES} bytes")
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise UnavailableError(f"the token {file} is not ASCII") from None


def _spiffe_id(token: str, trust_domain: str) -> str:
    """Return the id of the account that a token says it is of; the authority looks whether that is true."""
    parts = token.split(".")
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        found = _SUBJECT.fullmatch(claims["sub"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error, RecursionError):
        found = None
    if found is None:
        raise UnavailableError("the token is no service account's")
    return f"spiffe://{trust_domain}/ns/{found[1]}/sa/{found[2]}"


async def _new_key(spiffe_id: str) -> tuple[str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "eventmesh.xds.identity.new_key", spiffe_id),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        # A container may be full of processes, or of memory, for a while.
        raise UnavailableError(f"no key was made: {error.strerror}") from None
    try:
        told, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    try:
        made = json.loads(told)
        return made["key"], made["request"]
    except (ValueError, KeyError):
        last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UnavailableError(f"no key was made: {last}") from None
