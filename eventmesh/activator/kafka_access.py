"""From a KafkaSource or KafkaSink to a connection: the Secrets it names, and what is told when Kafka lets nobody in.

aiokafka is imported with the first of these objects, and not before.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventmesh.base.errors import ConfigError, MeshError, UnavailableError
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.kafka_access import KafkaLogin
from eventmesh.kube.resources import SECRET

if TYPE_CHECKING:
    from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings


class KafkaProblem(MeshError):
    """Kafka cannot be worked with, in words for the author of an object; to be tried again after a while."""

    def __init__(self, reason: str, problem: str, *, connected: bool = False) -> None:
        super().__init__(problem)
        self.reason = reason
        """One word for machines."""
        self.connected = connected
        """Whether the servers had answered."""


class RecordTooLong(KafkaProblem):
    """Kafka takes no record so long, now or later; the sender gets a 413."""

    def __init__(self, topic: str) -> None:
        words = f"the event is longer than topic {topic} takes (its max.message.bytes)"
        super().__init__("RecordTooLong", words, connected=True)


async def secrets_of(api: Api, namespace: str, names: Sequence[str]) -> dict[str, Object]:
    """Return the Secrets that are there, by name; raises KafkaProblem when the API cannot be asked."""
    found = {}
    for name in names:
        try:
            found[name] = await api.get(SECRET, name, namespace)
        except ApiError as error:
            if not error.not_found:
                raise KafkaProblem("SecretNotRead", f'secret "{name}": {error.message}') from error
        except UnavailableError as error:
            raise KafkaProblem("SecretNotRead", f'secret "{name}": {error}') from error
    return found


def settings_of(servers: tuple[str, ...], topic: str, login: KafkaLogin) -> KafkaSettings:
    """Return what clients connect by; raises KafkaProblem when this machine or the login does not allow it."""
    try:
        from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings
    except ImportError as error:
        words = f"Kafka needs {error.name or 'aiokafka'}: pip install 'eventmesh[kafka]'"
        raise KafkaProblem("NotInstalled", words) from error
    try:
        tls = tls_of(login)
    except ConfigError as error:
        raise KafkaProblem("SecretInvalid", str(error)) from error
    return KafkaSettings(servers, topic, user=login.user, password=login.password, mechanism=login.mechanism, tls=tls)


def tls_of(login: KafkaLogin) -> ssl.SSLContext | None:
    """Return how TLS is spoken, None: not at all. Raises ConfigError for what is no certificate or no key of it."""
    if not login.tls:
        return None
    try:
        context = ssl.create_default_context(cadata=login.authorities or None)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError("CA certificate", f"holds no certificates in PEM: {error}") from error
    if login.certificate:
        # The library reads files only, and a key belongs on no disk.
        descriptor = os.memfd_create("eventmesh-kafka")
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{login.certificate}\n{login.key}\n".encode())
            file.flush()
            try:
                # A key under a password is none here: without one to try, the library would ask at the terminal.
                context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
            except (ssl.SSLError, OSError) as error:
                raise ConfigError("client certificate", f"cannot be used with its key: {error}") from error
    return context
