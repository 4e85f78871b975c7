"""The connection to NATS: made and made again, and what is told when the servers do not answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.base import log
from eventmesh.base.frozen import frozen

CONNECT_S = 3.0
"""How long a connection may take before it counts as failed; it is tried again."""

RECONNECT_S = 0.25
"""Wait before a lost connection is tried again."""

ANSWER_S = 5.0
"""How long the server may take for an entry: a slow disk takes a tenth of it."""

_log = log.get("activator.broker.jetstream")


@frozen
class JetStreamSettings:
    """Where the server is, and what it is asked for."""

    servers: tuple[str, ...]
    stream: str
    replicas: int = 1
    monitor: str = ""
    """The server's monitoring address, which alone tells whether it syncs; empty: nobody asks."""
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    credentials: Path | None = None
    """A `.creds` file of NATS."""
    tls: ssl.SSLContext | None = None


class NatsConnection:
    """One client, for as long as it lives; what it cannot do is a StoreError that says where and why."""

    def __init__(self, settings: JetStreamSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._refusal: Exception | None = None
        """What the server said last of a connection, while the client tries again."""
        self.count = 0
        """Rises with each connection: what was asked of the one before may never be answered."""
        self.where = ", ".join(server.rpartition("@")[2].rpartition("/")[2] for server in settings.servers)

    async def open(self) -> Client:
        """Return the connected client, which is made at the first call."""
        if self._client is not None and self._client.is_connected:
            return self._client
        if self._client is not None and not self._client.is_closed:
            raise StoreError(f"no connection to {self.where}")
        settings = self._settings
        client = Client()
        self._refusal = None
        options: dict[str, Any] = {
            "name": "eventmesh activator",
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_S,
            "user": settings.user,
            "password": settings.password,
            "token": settings.token,
            "user_credentials": settings.credentials and str(settings.credentials),
            "tls": settings.tls,
        }
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect(
                    servers=list(settings.servers),
                    error_cb=self._failed,
                    reconnected_cb=self._connected,
                    **{name: value for name, value in options.items() if value},
                )
        except (nats.errors.Error, OSError, TimeoutError) as error:
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await client.close()
            raise self._unanswered(self._refusal or error) from error
        self._client = client
        await self._connected()
        return client

    async def _connected(self) -> None:
        self.count += 1

    async def _failed(self, error: Exception) -> None:
        # A server that lets nobody in says why and hangs up, and the words may be lost with the connection: what it has
        # said at one attempt counts for more than how the next one broke off.
        if not (isinstance(self._refusal, nats.errors.Error) and isinstance(error, OSError)):
            self._refusal = error
        _log.debug("connection", reason=error)

    def stream(self) -> JetStreamContext:
        """Return what streams are asked by. Raises StoreError without a connection."""
        if self._client is None or not self._client.is_connected:
            # The client would keep it, and send it when nobody waits for it any more.
            raise StoreError(f"no connection to {self.where}")
        return self._client.jetstream(timeout=ANSWER_S)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """What fails inside is a StoreError that names the servers."""
        try:
            yield
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unanswered(error) from error

    def _unanswered(self, error: BaseException) -> StoreError:
        return StoreError(f"NATS at {self.where}: {str(error) or type(error).__name__}")

    async def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await self._client.close()
