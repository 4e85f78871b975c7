"""What Knative's `config-observability` says of tracing (knative.dev/pkg: observability/tracing)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.tracing import OtlpProtocol

CONFIG_MAP_NAME: Final = "config-observability"
KEYS: Final = frozenset(("tracing-protocol", "tracing-endpoint", "tracing-sampling-rate"))
"""The keys that change something; the map's others are of metrics that each process serves itself, and of logs."""

_PORTS: Final = {OtlpProtocol.GRPC: 4317, OtlpProtocol.HTTP: 4318}
"""OTLP's own."""


@frozen
class TracingSettings:
    """Where the spans of a mesh go, and how many."""

    protocol: OtlpProtocol
    host: str
    port: int
    path: str
    """With HTTP."""
    sampling: float
    """Share of the requests that begin a trace, 0 to 1."""

    @property
    def authority(self) -> str:
        """Return host and port as a request names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_observability(data: Mapping[str, str]) -> TracingSettings | None:
    """Return how the mesh traces; None: it does not. Raises ConfigError naming the key."""
    named = data.get("tracing-protocol", "none")
    endpoint = data.get("tracing-endpoint", "")
    sampling = _sampling(data.get("tracing-sampling-rate", "0"))
    if named == "none":
        if endpoint:
            raise _refused("tracing-endpoint", "endpoint should not be set when protocol is 'none'")
        return None
    try:
        protocol = OtlpProtocol(named)
    except ValueError:
        accepted = ", ".join(("none", *(one.value for one in OtlpProtocol)))
        raise _refused("tracing-protocol", f'unsupported protocol "{named}"; accepted are {accepted}') from None
    if not endpoint:
        raise _refused("tracing-endpoint", f'endpoint should be set for protocol "{named}"')
    host, port, path = _endpoint(endpoint, protocol)
    return TracingSettings(protocol, host, port, path, sampling)


def _sampling(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise _refused("tracing-sampling-rate", f'"{text}" is no number') from None
    if not 0 <= share <= 1:
        raise _refused("tracing-sampling-rate", f"{text} is out of range; accepted are 0 (none) to 1 (all)")
    return share


def _endpoint(text: str, protocol: OtlpProtocol) -> tuple[str, int, str]:
    """Return host, port and path of an address with or without a scheme."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused("tracing-endpoint", f'"{text}": {error}') from None
    if parts.scheme != "http":
        raise _refused("tracing-endpoint", f'"{text}": {parts.scheme} is not supported; spans are sent in clear text')
    if not host:
        raise _refused("tracing-endpoint", f'"{text}" names no host')
    path = parts.path if parts.path not in ("", "/") else "/v1/traces"
    return host, port or _PORTS[protocol], path


def _refused(key: str, problem: str) -> ConfigError:
    return ConfigError(f"{CONFIG_MAP_NAME}.{key}", problem)
