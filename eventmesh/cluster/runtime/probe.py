"""Probes as the kubelet makes them (`kubernetes/pkg/kubelet/prober/worker.go`): what is asked, when, and what the
answers come to. Pure; who asks is `asking`, what follows is `pod`.

One thing is quicker than the kubelet: until its first success a startup or readiness probe is also asked between its
periods, at a pace in proportion to the container's age. Such an early answer counts only if it is a success, so no
threshold is reached sooner by it, and a cold start does not wait for the next period (docs/adr/0017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

_EARLY_SHARE: Final = 0.1
"""The pause between early answers grows with the age: readiness is seen at most 10 % later than it came."""

_SHORTEST_PAUSE_S: Final = 0.02
_SHORTEST_EXEC_PAUSE_S: Final = 0.2
"""An exec probe costs a process each time."""

MAX_SERVICE_BYTES: Final = 127
"""Of a gRPC service's name: its length fits the one byte that protobuf then takes for it; names have some thirty."""

_HANDLERS: Final = ("httpGet", "tcpSocket", "exec", "grpc")


class Purpose(Enum):
    """What a probe is for; the value is the kubelet's word in Events."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"

    @property
    def field(self) -> str:
        """Return the field of a container that holds it."""
        return f"{self.value.lower()}Probe"


@frozen
class HttpGet:
    """A GET is answered 200 to 399."""

    port: int
    path: str = "/"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    tls: bool = False


@frozen
class TcpSocket:
    """The port accepts a connection."""

    port: int
    host: str = ""


@frozen
class Exec:
    """A program in the container's surroundings ends with 0."""

    argv: tuple[str, ...]


@frozen
class GrpcHealth:
    """`grpc.health.v1.Health/Check` answers SERVING."""

    port: int
    service: str = ""


Action = HttpGet | TcpSocket | Exec | GrpcHealth


@frozen
class Probe:
    """A probe of core/v1."""

    purpose: Purpose
    action: Action
    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_s: float | None = None
    """How long the container may take to end when this probe gives it up; None = the pod's own grace."""


@frozen
class Outcome:
    """One answer; `output` says what was wrong."""

    success: bool
    output: str = ""


class Verdict(Enum):
    """What an answer came to."""

    NOTHING = "nothing"
    FAILURE = "failure"
    """It counts as a failure, but the threshold is not reached or was before."""
    PASSED = "passed"
    GAVE_UP = "gave up"


class ProbeWatch:
    """One probe of one container, over the container's runs."""

    def __init__(self, probe: Probe, clock: Clock) -> None:
        self.probe = probe
        self._clock = clock
        self.passed = False
        """What the answers came to last; a liveness probe is taken to pass until it gives up."""
        self.due_at: float | None = None
        """When to ask next; None while nobody should ask."""
        self._began = 0.0
        self._regular_at = 0.0
        self._asked_regularly = False
        self._streak = 0
        self._streak_of = True

    def begin(self, started: float) -> None:
        """Forget everything: the container's process started at `started` (monotonic)."""
        self.passed = self.probe.purpose is Purpose.LIVENESS
        self._streak = 0
        self._began = max(self._clock.monotonic(), started + self.probe.initial_delay_s)
        self._regular_at = self._began
        self.due_at = self._began

    def resume(self, started: float, passed: bool) -> None:
        """Go on where another runtime has left off: `passed` is what it has found."""
        self.begin(started)
        self.passed = passed or self.passed
        if self.passed and self.probe.purpose is Purpose.STARTUP:
            self.due_at = None

    def end(self) -> None:
        """Ask no more: the process is gone or given up."""
        self.due_at = None
        self.passed = False

    def asked(self) -> None:
        """Note that somebody asks now and will `answer`."""
        now = self._clock.monotonic()
        self._asked_regularly = now >= self._regular_at
        if self._asked_regularly:
            self._regular_at = now + self.probe.period_s
        self.due_at = None

    def answer(self, outcome: Outcome) -> Verdict:
        """Take the answer to what was asked last."""
        eager = self.probe.purpose is not Purpose.LIVENESS and not (self.passed or outcome.success)
        self.due_at = self._next(eager)
        if not (outcome.success or self._asked_regularly):
            return Verdict.NOTHING
        self._streak = self._streak + 1 if outcome.success is self._streak_of else 1
        self._streak_of = outcome.success
        threshold = self.probe.success_threshold if outcome.success else self.probe.failure_threshold
        if self._streak < threshold:
            return Verdict.NOTHING if outcome.success else Verdict.FAILURE
        if outcome.success:
            turned = not self.passed
            self.passed = True
            return Verdict.PASSED if turned else Verdict.NOTHING
        # A startup probe gives up without ever having passed.
        turned = self.passed or self.probe.purpose is Purpose.STARTUP
        self.passed = False
        return Verdict.GAVE_UP if turned else Verdict.FAILURE

    def _next(self, eager: bool) -> float:
        now = self._clock.monotonic()
        regular = max(now, self._regular_at)
        if not eager:
            return regular
        shortest = _SHORTEST_EXEC_PAUSE_S if isinstance(self.probe.action, Exec) else _SHORTEST_PAUSE_S
        return min(regular, now + max(shortest, (now - self._began) * _EARLY_SHARE))


class ProbeWatches:
    """All probes of one container, over its runs."""

    def __init__(self, probes: Iterable[Probe], clock: Clock) -> None:
        self._watches = {probe.purpose: ProbeWatch(probe, clock) for probe in probes}

    def __getitem__(self, purpose: Purpose) -> ProbeWatch:
        return self._watches[purpose]

    def passed(self, purpose: Purpose) -> bool:
        """Return what the answers came to last; where nobody is asked, nothing is wrong."""
        watch = self._watches.get(purpose)
        return watch is None or watch.passed

    def begin(self, started: float) -> None:
        """Forget everything, as `ProbeWatch.begin`."""
        for watch in self._watches.values():
            watch.begin(started)

    def resume(self, started: float, passed: bool) -> None:
        """Go on where another runtime has left off, as `ProbeWatch.resume`."""
        for watch in self._watches.values():
            watch.resume(started, passed)

    def end(self) -> None:
        """Ask no more."""
        for watch in self._watches.values():
            watch.end()

    def askable(self) -> Iterator[ProbeWatch]:
        """Yield those that may be asked now: startup alone until it has passed, as with the kubelet."""
        started = self.passed(Purpose.STARTUP)
        for purpose, watch in self._watches.items():
            if started is not (purpose is Purpose.STARTUP):
                yield watch


def parse_probe(container: Mapping[str, Any], purpose: Purpose, user_port: int) -> Probe | None:
    """Return the container's probe for `purpose`, or None; a port left out (Knative's habit) is `user_port`.

    Raises ConfigError naming the field: no action or several, or a port that the container does not name.
    """
    spec = container.get(purpose.field)
    if not spec:
        return None
    grace_s = spec.get("terminationGracePeriodSeconds")
    return Probe(
        purpose,
        parse_action(container, spec, purpose.field, user_port),
        initial_delay_s=float(spec.get("initialDelaySeconds") or 0),
        period_s=float(spec.get("periodSeconds") or 10),
        timeout_s=float(spec.get("timeoutSeconds") or 1),
        success_threshold=int(spec.get("successThreshold") or 1),
        failure_threshold=int(spec.get("failureThreshold") or 3),
        grace_s=None if grace_s is None else float(grace_s),
    )


def parse_action(container: Mapping[str, Any], spec: Mapping[str, Any], field: str, user_port: int) -> Action:
    """Return the one action that `spec` holds; raises ConfigError as `parse_probe`."""
    named = [handler for handler in _HANDLERS if spec.get(handler) is not None]
    if len(named) != 1:
        found = ", ".join(named) or "none"
        raise ConfigError(field, f"must have one action of {', '.join(_HANDLERS)}; it has {found}")
    handler, action = named[0], spec[named[0]]
    port = 0 if handler == "exec" else _port(container, action, f"{field}.{handler}", user_port)
    return _action(handler, action, port)


def _action(handler: str, action: Mapping[str, Any], port: int) -> Action:
    match handler:
        case "httpGet":
            headers = tuple((str(row["name"]), str(row.get("value", ""))) for row in action.get("httpHeaders") or ())
            path = str(action.get("path") or "/")
            tls = str(action.get("scheme") or "HTTP").upper() == "HTTPS"
            return HttpGet(port, path if path.startswith("/") else f"/{path}", action.get("host") or "", headers, tls)
        case "tcpSocket":
            return TcpSocket(port, action.get("host") or "")
        case "grpc":
            service = str(action.get("service") or "")
            if len(service.encode()) > MAX_SERVICE_BYTES:
                raise ConfigError("grpc.service", f"is longer than {MAX_SERVICE_BYTES} bytes")
            return GrpcHealth(port, service)
        case _:
            return Exec(tuple(str(word) for word in action.get("command") or ()))


def _port(container: Mapping[str, Any], action: Mapping[str, Any], field: str, user_port: int) -> int:
    value = action.get("port")
    if not value:
        return user_port
    if isinstance(value, int) or str(value).isdigit():
        return int(value)
    for port in container.get("ports") or ():
        if port.get("name") == value:
            return int(port["containerPort"])
    raise ConfigError(f"{field}.port", f"the container names no port {value!r}")
