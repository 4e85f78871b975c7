"""Whether the function may be sent requests: Kubernetes' readiness probe, asked by the sidecar itself.

Readiness is pushed: the sooner a probe succeeds, the sooner a cold start ends. So a starting function is asked at a
pace in proportion to its age, which costs a slow starter little and delays a quick one by a few per cent.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

MAX_PROBE_BYTES: Final = 65_536
"""Longest SERVING_READINESS_PROBE that is parsed; Kubernetes stores whole objects of at most 1.5 MiB (etcd)."""

SHORTEST_PAUSE_S: Final = 0.001
LONGEST_PAUSE_S: Final = 0.05
"""Knative's own retry interval for an aggressive probe (pkg/queue/readiness)."""

_PAUSE_SHARE: Final = 0.05
"""The pause grows with the time waited: readiness is seen at most 5 % later than it came, with 40 probes a doubling."""

TCP_PERIOD_S: Final = 1.0
"""Between probes of a ready function by TCP, where one costs it an accept; for HTTP Kubernetes' 10 s hold."""

_DEFAULT_PERIOD_S: Final = 10.0

FUNCTION_BEGAN_AGAIN: Final = signal.SIGURG
"""Sent to the sidecar by whoever has started the function again, and forgotten that it was ready: without it the next
probe of a function that was ready would be a whole period away. A signal that is ignored where nobody listens."""


class ProbeKind(Enum):
    """How the function is asked."""

    TCP = "tcp"
    """The port accepts a connection. Stands in for gRPC health and for exec, which stays with the kubelet."""
    HTTP = "http"
    """A GET is answered 200 to 399."""


@frozen
class Probe:
    """A readiness probe (core/v1 Probe), as far as a sidecar asks it."""

    kind: ProbeKind = ProbeKind.TCP
    port: int = 0
    """0 = the function's port."""
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 1.0
    period_s: float = _DEFAULT_PERIOD_S
    success_threshold: int = 1
    failure_threshold: int = 3

    @property
    def ready_period_s(self) -> float:
        """Seconds between probes while the function is ready."""
        return min(self.period_s, TCP_PERIOD_S) if self.kind is ProbeKind.TCP else self.period_s


def parse_probe(text: str, field: str) -> Probe:
    """Return the probe that Knative's JSON describes; an empty text is a TCP probe of the function's port.

    Raises ConfigError naming `field` and the place inside.
    """
    if not text:
        return Probe()
    if len(text) > MAX_PROBE_BYTES:
        raise ConfigError(field, f"{len(text)} bytes are more than {MAX_PROBE_BYTES}")
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise ConfigError(field, f"not JSON: {error}") from error
    if isinstance(tree, list):  # ENABLE_MULTI_CONTAINER_PROBES: the serving container's probe comes first
        tree = tree[0] if tree else {}
    if not isinstance(tree, dict):
        raise ConfigError(field, "not a JSON object")
    http = tree.get("httpGet")
    action = http or tree.get("tcpSocket") or tree.get("grpc") or {}
    if not isinstance(action, dict):
        raise ConfigError(field, "the probe's action is not a JSON object")
    is_http = http is not None and str(action.get("scheme", "HTTP")).upper() == "HTTP"
    return Probe(
        kind=ProbeKind.HTTP if is_http else ProbeKind.TCP,
        port=_port(action.get("port", 0)),
        path=str(action.get("path") or "/"),
        headers=_headers(action, field),
        timeout_s=_positive(tree, "timeoutSeconds", 1.0, field),
        period_s=_positive(tree, "periodSeconds", _DEFAULT_PERIOD_S, field),
        success_threshold=int(_positive(tree, "successThreshold", 1, field)),
        failure_threshold=int(_positive(tree, "failureThreshold", 3, field)),
    )


def _port(value: object) -> int:
    # A named port can only be the one the container declares, and that is USER_PORT.
    return value if isinstance(value, int) and 0 < value < 65_536 else 0


def _headers(action: Mapping[str, object], field: str) -> tuple[tuple[str, str], ...]:
    rows = action.get("httpHeaders") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("name") for row in rows):
        raise ConfigError(f"{field}.httpGet.httpHeaders", "not a list of {name, value}")
    return tuple((str(row["name"]).lower(), str(row.get("value", ""))) for row in rows)


def _positive(tree: Mapping[str, object], name: str, default: float, field: str) -> float:
    value = tree.get(name) or default
    if not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"{field}.{name}", f"{value!r} is not a positive number")
    return value


def pause_after(waited_s: float) -> float:
    """Return how long to pause before a function that has been asked for `waited_s` is asked again."""
    return min(max(waited_s * _PAUSE_SHARE, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)


class Prober:
    """Asks until cancelled and tells what it learns."""

    def __init__(
        self, probe: Probe, attempt: Callable[[], Awaitable[bool]], clock: Clock, tell: Callable[[bool], None]
    ) -> None:
        """`tell(True)` is called after each success that counts, `tell(False)` when the function stops being ready.

        A success is told again and again on purpose: whoever restarted the function meanwhile has forgotten it.
        """
        self.is_ready = False
        self._probe = probe
        self._attempt = attempt
        self._clock = clock
        self._tell = tell

    async def run(self) -> None:
        """Probe for ever, from knowing nothing on."""
        self.is_ready = False
        while True:
            await self._until_ready()
            await self._until_failed()

    async def _until_ready(self) -> None:
        since = self._clock.monotonic()
        successes = 0
        while True:
            successes = successes + 1 if await self._attempt() else 0
            if successes >= self._probe.success_threshold:
                break
            await self._clock.sleep(pause_after(self._clock.monotonic() - since))
        self.is_ready = True
        self._tell(True)

    async def _until_failed(self) -> None:
        failures = 0
        while failures < self._probe.failure_threshold:
            await self._clock.sleep(self._probe.ready_period_s)
            if await self._attempt():
                failures = 0
                self._tell(True)
            else:
                failures += 1
        self.is_ready = False
        self._tell(False)
