"""How a KafkaSource or KafkaSink reaches its servers: addresses, and what it shows to be let in, from Secrets.

After eventing-kafka-broker: `net` of a source names keys of Secrets one by one (apis/bindings/v1), `auth.secret` of a
sink one Secret with keys of fixed names (control-plane/pkg/security). Nothing here speaks to Kafka.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.subscriber_addresses import why_not

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""Of SASL; the first when none is named. Knative knows OAUTHBEARER as well, with token providers of one cloud."""

PROTOCOLS: Final = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL")

MAX_SERVERS: Final = 32
"""Most servers of one object: each is tried in turn before it is told that nobody answers."""


_PORT = re.compile("[0-9]{1,5}")

_OF_SINK: Final = ("protocol", "sasl.mechanism", "user", "password", "ca.crt", "user.crt", "user.key", "user.skip")
"""Keys of the Secret of a KafkaSink; others that lie beside them, such as key stores, are no text."""


@frozen
class KafkaLogin:
    """What servers are shown; certificates and keys in PEM."""

    user: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = MECHANISMS[0]
    tls: bool = False
    authorities: str = ""
    """Who may vouch for a server; empty: whom this machine trusts."""
    certificate: str = ""
    key: str = field(default="", repr=False)


@frozen
class SecretKey:
    """One value in one Secret of the object's namespace."""

    path: str
    """Of the field that names it."""
    secret: str
    key: str


@frozen
class KafkaNet:
    """The `net` of a KafkaSource: which values of which Secrets let it in."""

    user: SecretKey | None = None
    password: SecretKey | None = None
    mechanism: SecretKey | None = None
    tls: bool = False
    authorities: SecretKey | None = None
    certificate: SecretKey | None = None
    key: SecretKey | None = None

    def secrets(self) -> list[str]:
        """Return the names of the Secrets that are needed."""
        keys = (self.user, self.password, self.mechanism, self.authorities, self.certificate, self.key)
        return sorted({found.secret for found in keys if found is not None})

    def login(self, secrets: Mapping[str, Object]) -> KafkaLogin:
        """Return what the Secrets, by name, say; raises ConfigError with the field whose value is not there."""
        mechanism = _of_key(secrets, self.mechanism) or MECHANISMS[0]
        if mechanism not in MECHANISMS:
            raise ConfigError(
                "net.sasl.type", f"SASL mechanism {mechanism!r} is not supported: use {', '.join(MECHANISMS)}"
            )
        return KafkaLogin(
            user=_of_key(secrets, self.user),
            password=_of_key(secrets, self.password),
            mechanism=mechanism,
            tls=self.tls,
            authorities=_of_key(secrets, self.authorities),
            certificate=_of_key(secrets, self.certificate),
            key=_of_key(secrets, self.key),
        )


def parse_servers(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return `bootstrapServers`, each HOST:PORT; raises ConfigError with the path below `spec`."""
    told = spec.get("bootstrapServers")
    if not isinstance(told, list) or not told:
        raise ConfigError("bootstrapServers", "missing field(s)")
    # Several in one entry, as other clients of Kafka write them, are several.
    servers = [(number, place.strip()) for number, entry in enumerate(told) for place in str(entry).split(",")]
    if len(servers) > MAX_SERVERS:
        raise ConfigError("bootstrapServers", f"has {len(servers)} entries, more than {MAX_SERVERS}")
    for number, place in servers:
        host, _, port = place.rpartition(":")
        if not host or _PORT.fullmatch(port) is None or not 0 < int(port) < 65_536:
            raise ConfigError(f"bootstrapServers[{number}]", f"invalid value: {place}: is no HOST:PORT")
        if refused := why_not(host.removeprefix("[").removesuffix("]")):
            raise ConfigError(f"bootstrapServers[{number}]", f"invalid value: {place}: {refused}")
    return tuple(place for _, place in servers)


def parse_net(spec: Mapping[str, Any]) -> KafkaNet:
    """Return what `net` says; raises ConfigError with the path of the field at fault, below `spec`."""
    net = spec.get("net") or {}
    sasl, tls = net.get("sasl") or {}, net.get("tls") or {}
    user = password = mechanism = authorities = certificate = key = None
    if sasl.get("enable"):
        user = _required(sasl.get("user"), "net.sasl.user")
        password = _required(sasl.get("password"), "net.sasl.password")
        mechanism = _key(sasl.get("type"), "net.sasl.type")
    if tls.get("enable"):
        authorities = _key(tls.get("caCert"), "net.tls.caCert")
        certificate, key = _key(tls.get("cert"), "net.tls.cert"), _key(tls.get("key"), "net.tls.key")
        if (certificate is None) != (key is None):
            raise ConfigError("net.tls.cert, net.tls.key", "expected both or neither, got one")
    return KafkaNet(user, password, mechanism, bool(tls.get("enable")), authorities, certificate, key)


def login_of_secret(secret: Object) -> KafkaLogin:
    """Return what the Secret of a KafkaSink says; raises ConfigError with the key at fault, in Knative's words."""
    data = secret.get("data") or {}
    values = {name: _decoded(data[name], name) for name in _OF_SINK if data.get(name)}
    protocol = values.get("protocol", "")
    if not protocol:
        raise ConfigError("protocol", f"protocol required (key: protocol) supported protocols: {', '.join(PROTOCOLS)}")
    if protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise ConfigError("protocol", f"protocol {protocol} unsupported (key: protocol), supported protocols: {known}")
    login = KafkaLogin()
    if protocol.startswith("SASL"):
        login = _with_user(protocol, values)
    if not protocol.endswith("SSL"):
        return login
    certificate, key = _pair(protocol, values)
    authorities = values.get("ca.crt", "")
    return KafkaLogin(login.user, login.password, login.mechanism, True, authorities, certificate, key)


def _pair(protocol: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Return certificate and key, empty where none are shown: Knative wants them wherever nothing else lets in."""
    if values.get("user.skip", "").lower() in ("1", "t", "true"):
        return "", ""
    pair = values.get("user.crt", ""), values.get("user.key", "")
    if protocol == "SSL" or any(pair):
        for name, value in zip(("user.crt", "user.key"), pair, strict=True):
            if not value:
                words = f'required user key (key: {name}) - use "user.skip: true" to disable client auth'
                raise ConfigError(name, f"[protocol {protocol}] {words}")
    return pair


def _with_user(protocol: str, values: Mapping[str, str]) -> KafkaLogin:
    mechanism = values.get("sasl.mechanism") or MECHANISMS[0]
    if mechanism not in MECHANISMS:
        raise ConfigError(
            "sasl.mechanism",
            f"[protocol {protocol}] unsupported SASL mechanism (key: sasl.mechanism): use {', '.join(MECHANISMS)}",
        )
    for name in ("user", "password"):
        if not values.get(name):
            raise ConfigError(name, f"[protocol {protocol}] SASL {name} required (key: {name})")
    return KafkaLogin(values["user"], values["password"], mechanism)


def _required(value: Any, path: str) -> SecretKey:
    found = _key(value, path)
    if found is None:
        raise ConfigError(f"{path}.secretKeyRef", "missing field(s)")
    return found


def _key(value: Any, path: str) -> SecretKey | None:
    reference = (value or {}).get("secretKeyRef")
    if not reference:
        return None
    for name in ("name", "key"):
        if not reference.get(name):
            raise ConfigError(f"{path}.secretKeyRef.{name}", "missing field(s)")
    return SecretKey(path, reference["name"], reference["key"])


def _of_key(secrets: Mapping[str, Object], where: SecretKey | None) -> str:
    if where is None:
        return ""
    secret = secrets.get(where.secret)
    if secret is None:
        raise ConfigError(where.path, f'secret "{where.secret}" not found')
    encoded = (secret.get("data") or {}).get(where.key)
    if encoded is None:
        raise ConfigError(where.path, f'secret "{where.secret}" has no key "{where.key}"')
    return _decoded(encoded, where.path)


def _decoded(encoded: str, path: str) -> str:
    try:
        # What an editor leaves behind the last line is not part of a password.
        return base64.b64decode(encoded, validate=True).decode().rstrip("\r\n")
    except (binascii.Error, ValueError) as error:
        # Without the error, which would show a part of the secret.
        raise ConfigError(path, f"this key of a secret holds no text: {type(error).__name__}") from None
