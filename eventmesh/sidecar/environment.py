"""What a sidecar learns about its pod from environment variables: Knative's for queue-proxy, and a few of ours.

Knative's own: knative/serving, pkg/queue/sharedmain/main.go. Ours: `EVENTMESH_USER_PROTOCOL` (http1, h2c, bolt, dubbo
or the name of a declaration: what the function speaks), `EVENTMESH_POD_NETNS` (file of the network namespace the
function lives in, when it is not the sidecar's own), `EVENTMESH_DRAIN_QUIET_S`. `NOTIFY_SOCKET` is sd_notify(3)'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.listener import WireProtocol
from eventmesh.sidecar.readiness import Probe, parse_probe
from eventmesh.transport.address import canonical_ip

MAX_CONCURRENCY: Final = 1_000
"""Knative's default for container-concurrency-max-limit (config-defaults)."""

MAX_TIMEOUT_S: Final = 86_400
"""A day: far above Knative's max-revision-timeout-seconds (600), yet small enough to find a unit mistaken."""

DRAIN_QUIET_S: Final = 30.0
"""Knative's queue-proxy counts a pod as drained when no request has come for 30 s (pkg/queue/sharedmain)."""

_IGNORED: Final = (
    "REVISION_RESPONSE_START_TIMEOUT_SECONDS",
    "REVISION_IDLE_TIMEOUT_SECONDS",
)
"""Limits that are not enforced: only the whole request's is."""

_PROTOCOLS: Final = {
    "http1": WireProtocol.DOWNSTREAM,  # as it came in: the port may serve HTTP/1.1 and h2c alike
    "h2c": WireProtocol.HTTP2,
    "bolt": WireProtocol.BOLT,
    "dubbo": WireProtocol.DUBBO,
}

_DECLARATION_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")


@frozen
class Pod:
    """The function's pod, as its sidecar knows it."""

    user_port: int
    user_protocol: WireProtocol = WireProtocol.DOWNSTREAM
    user_declaration: str = ""
    """With protocol FRAMED: name of the declaration, which control sends."""
    serving_port: int = 8012
    namespace: str = ""
    service: str = ""
    revision: str = ""
    name: str = ""
    ip: str = "0.0.0.0"
    concurrency: int = 0
    """Requests the function takes at once; 0 = no limit."""
    timeout_s: float = 300.0
    """Longest time of one request."""
    probe: Probe = Probe()
    netns: str = ""
    notify_socket: str = ""
    drain_quiet_s: float = DRAIN_QUIET_S

    @property
    def resource(self) -> dict[str, str]:
        """Return what it is called in traces, in OpenTelemetry's names: by its function, else by its revision."""
        named = {
            "service.name": self.service or self.revision or self.name,
            "service.namespace": self.namespace,
            "service.version": self.revision,
            "service.instance.id": self.name,
            "k8s.namespace.name": self.namespace,
            "k8s.pod.name": self.name,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def outbound_host(self) -> str:
        """Where the function finds the mesh: its own loopback, or, when pods share one, the pod's own address."""
        shares_loopback = not self.netns and (self.ip.startswith("127.") or self.ip == "::1")
        return self.ip if shares_loopback else "127.0.0.1"


def read_pod(environment: Mapping[str, str]) -> Pod | None:
    """Return the pod that `environment` describes; None when `USER_PORT` is missing: a proxy without a function.

    Raises ConfigError naming the variable.
    """
    if "USER_PORT" not in environment:
        return None
    user_port = _integer(environment, "USER_PORT", 0, 1, 65_535)
    protocol, declaration = _protocol(environment)
    return Pod(
        user_port=user_port,
        user_protocol=protocol,
        user_declaration=declaration,
        serving_port=_integer(environment, "QUEUE_SERVING_PORT", 8012, 0, 65_535),
        namespace=environment.get("SERVING_NAMESPACE", ""),
        service=environment.get("SERVING_SERVICE", ""),
        revision=environment.get("SERVING_REVISION", ""),
        name=environment.get("SERVING_POD", ""),
        ip=_ip(environment),
        concurrency=_integer(environment, "CONTAINER_CONCURRENCY", 0, 0, MAX_CONCURRENCY),
        timeout_s=float(_integer(environment, "REVISION_TIMEOUT_SECONDS", 300, 0, MAX_TIMEOUT_S)),
        probe=parse_probe(environment.get("SERVING_READINESS_PROBE", ""), "SERVING_READINESS_PROBE"),
        netns=environment.get("EVENTMESH_POD_NETNS", ""),
        notify_socket=environment.get("NOTIFY_SOCKET", ""),
        drain_quiet_s=_seconds(environment, "EVENTMESH_DRAIN_QUIET_S", DRAIN_QUIET_S),
    )


def ignored(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables of queue-proxy that ask for something this sidecar does not do; each deserves a warning."""
    return tuple(name for name in _IGNORED if environment.get(name, "0") not in ("", "0", "false"))


def _protocol(environment: Mapping[str, str]) -> tuple[WireProtocol, str]:
    word = environment.get("EVENTMESH_USER_PROTOCOL", "http1")
    if word in _PROTOCOLS:
        return _PROTOCOLS[word], ""
    if _DECLARATION_NAME.fullmatch(word) is None:
        known = ", ".join(_PROTOCOLS)
        raise ConfigError("EVENTMESH_USER_PROTOCOL", f"{word!r} is not one of {known}, nor the name of a declaration")
    return WireProtocol.FRAMED, word


def _ip(environment: Mapping[str, str]) -> str:
    text = environment.get("SERVING_POD_IP", "") or "0.0.0.0"
    address = canonical_ip(text)
    if address is None:
        raise ConfigError("SERVING_POD_IP", f"{text!r} is not an IP address")
    return address


def _integer(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ConfigError(name, f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(name, f"{text!r} is not a number of seconds") from error
    if not 0 <= value <= MAX_TIMEOUT_S:
        raise ConfigError(name, f"{text} s is not from 0 to {MAX_TIMEOUT_S}")
    return value
