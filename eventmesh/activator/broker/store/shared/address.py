"""Where a shared store is, as people write it: one address, with what the engine has to know behind a question mark.

    nats://HOST:PORT[,HOST:PORT...][/STREAM][?monitor=URL&replicas=3&user=NAME&password-file=FILE&ca=FILE...]
    kafka://HOST:PORT[,HOST:PORT...][/TOPIC][?replicas=3&user=NAME&password-file=FILE&mechanism=PLAIN&ca=FILE...]

Secrets are in files, as Kubernetes mounts them: an address is seen by everybody who lists the processes of a machine.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from eventmesh.activator.broker.store.shared.journal import Journal
from eventmesh.base.errors import ConfigError

DEFAULT_NAME = "eventmesh"
"""Of the stream or topic: one mesh a server, or name another."""

MAX_REPLICAS = 5
"""As many as JetStream keeps of a stream; more of a topic would have each 202 wait for four servers."""

MAX_SECRET_BYTES = 64 << 10
"""Of a file with a password or a token: more is another file."""

FIELD = "store"

MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
"""Of SASL, that Kafka knows a password by; the first is used when none is named."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OF_ALL = ("replicas", "user", "password-file", "ca", "certificate", "key")
_OF_NATS = ("monitor", *_OF_ALL, "token-file", "credentials")
_OF_KAFKA = (*_OF_ALL, "mechanism")
_TOGETHER = (("user", "password-file"), ("password-file", "user"), ("certificate", "key"), ("key", "certificate"))


def journal_at(address: str) -> Journal:
    """Return the journal at an address; it connects when it is opened. Raises ConfigError."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ConfigError(FIELD, f"is no address: {error}") from None
    if parts.scheme not in _ENGINES:
        raise ConfigError(
            FIELD,
            f"{address!r} names no engine; known are nats://, tls:// (NATS over TLS), kafka:// and kafka+ssl:// (Kafka "
            "over TLS)",
        )
    return _ENGINES[parts.scheme](parts)


def _jetstream(parts: SplitResult) -> Journal:
    try:
        from eventmesh.activator.broker.store.shared.jetstream import JetStreamJournal
        from eventmesh.activator.broker.store.shared.nats_connection import JetStreamSettings
    except ImportError as error:
        raise ConfigError(FIELD, f"NATS needs {error.name or 'nats-py'}: pip install 'eventmesh[nats]'") from error
    options = _options(parts, _OF_NATS)
    return JetStreamJournal(
        JetStreamSettings(
            servers=tuple(f"{parts.scheme}://{place}" for place in _servers(parts)),
            stream=_name(parts),
            replicas=_replicas(options),
            monitor=_monitor(options),
            user=options.get("user", ""),
            password=_secret(options, "password-file"),
            token=_secret(options, "token-file"),
            credentials=_credentials(options),
            tls=_tls(parts, options),
        )
    )


def _kafka(parts: SplitResult) -> Journal:
    try:
        from eventmesh.activator.broker.store.shared.kafka import KafkaJournal
        from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings
    except ImportError as error:
        raise ConfigError(FIELD, f"Kafka needs {error.name or 'aiokafka'}: pip install 'eventmesh[kafka]'") from error
    options = _options(parts, _OF_KAFKA)
    return KafkaJournal(
        KafkaSettings(
            servers=_servers(parts),
            topic=_name(parts),
            replicas=_replicas(options),
            user=options.get("user", ""),
            password=_secret(options, "password-file"),
            mechanism=_mechanism(options),
            tls=_tls(parts, options),
        )
    )


_ENGINES: Mapping[str, Callable[[SplitResult], Journal]] = {
    "nats": _jetstream,
    "tls": _jetstream,
    "kafka": _kafka,
    "kafka+ssl": _kafka,
}
_OVER_TLS = ("tls", "kafka+ssl")


def _options(parts: SplitResult, known: tuple[str, ...]) -> Mapping[str, str]:
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name, value in found.items():
        if name not in known:
            raise ConfigError(f"{FIELD}.{name}", f"unknown; known are {', '.join(known)}")
        if not value:
            # A variable of a template that was not set; an empty user would be let in as nobody.
            raise ConfigError(f"{FIELD}.{name}", "is empty: give a value, or leave it out")
    for one, other in _TOGETHER:
        if one in found and other not in found:
            raise ConfigError(f"{FIELD}.{one}", f"goes together with {other}: give both, or neither")
    return found


def _mechanism(options: Mapping[str, str]) -> str:
    mechanism = options.get("mechanism", MECHANISMS[0])
    if mechanism not in MECHANISMS:
        raise ConfigError(f"{FIELD}.mechanism", f"{mechanism!r} is none of {', '.join(MECHANISMS)}")
    if "mechanism" in options and "user" not in options:
        raise ConfigError(f"{FIELD}.mechanism", "goes together with user: give both, or neither")
    return mechanism


def _servers(parts: SplitResult) -> tuple[str, ...]:
    if "@" in parts.netloc:
        raise ConfigError(FIELD, "a secret in an address is seen by others: name files with user= and password-file=")
    servers = []
    for place in parts.netloc.split(","):
        host, _, port = place.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
            raise ConfigError(FIELD, f"{place!r} is no HOST:PORT")
        servers.append(place)
    return tuple(servers)


def _name(parts: SplitResult) -> str:
    name = parts.path.strip("/") or DEFAULT_NAME
    if not _NAME.fullmatch(name):
        raise ConfigError(
            FIELD, f"{name!r} is no name of a stream or topic: letters, digits, - and _, up to 64 of them"
        )
    return name


def _replicas(options: Mapping[str, str]) -> int:
    text = options.get("replicas", "1")
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MAX_REPLICAS:
        raise ConfigError(f"{FIELD}.replicas", f"{text!r} is not between 1 and {MAX_REPLICAS}")
    return int(text)


def _monitor(options: Mapping[str, str]) -> str:
    monitor = options.get("monitor", "")
    if monitor and urlsplit(monitor).scheme not in ("http", "https"):
        raise ConfigError(f"{FIELD}.monitor", f"{monitor!r} is no http:// or https:// address")
    return monitor


def _file(options: Mapping[str, str], name: str) -> Path | None:
    if name not in options:
        return None
    text = options[name]
    path = Path(text)
    if not path.is_file():
        raise ConfigError(f"{FIELD}.{name}", f"there is no file {text!r}")
    return path


def _secret(options: Mapping[str, str], name: str) -> str:
    path = _file(options, name)
    return "" if path is None else _content(path, name)


def _credentials(options: Mapping[str, str]) -> Path | None:
    """Return the file of NATS's credentials; the client reads it at each connection."""
    path = _file(options, "credentials")
    if path is not None:
        content = _content(path, "credentials")
        for part in ("NATS USER JWT", "USER NKEY SEED"):
            if f"BEGIN {part}" not in content:
                raise ConfigError(f"{FIELD}.credentials", f"{path} has no {part}: it is a file as `nsc` writes it")
        if find_spec("nkeys") is None:
            raise ConfigError(f"{FIELD}.credentials", "signing needs nkeys: pip install 'eventmesh[nats]'")
    return path


def _content(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{FIELD}.{name}", f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigError(f"{FIELD}.{name}", f"{path} has more than {MAX_SECRET_BYTES} bytes: no secret is so long")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise ConfigError(f"{FIELD}.{name}", f"{path} holds no text")
    return secret


def _tls(parts: SplitResult, options: Mapping[str, str]) -> ssl.SSLContext | None:
    ca, certificate, key = (_file(options, name) for name in ("ca", "certificate", "key"))
    if parts.scheme not in _OVER_TLS and not (ca or certificate):
        return None
    try:
        context = ssl.create_default_context(cafile=ca and str(ca))
        if certificate and key:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{FIELD}.ca, .certificate or .key", f"cannot be used: {error}") from error
    return context
