"""Reads TrafficPolicy objects, and says of each wrong field what is wrong with it. Pure.

The shape is Gateway API's where that has one (targetRefs of GEP-713, `timeouts` of HTTPRoute, `retry` of GEP-1731),
Istio's DestinationRule otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.objects import key_of
from eventmesh.xds.control.field_reader import FieldReader
from eventmesh.xds.control.policy.values import (
    ClusterPolicy,
    Fault,
    HashKind,
    HashOn,
    LoadBalancing,
    Mirror,
    Outliers,
    RateLimit,
    Retry,
    RoutePolicy,
    Target,
    TargetKind,
    TrafficPolicy,
)

MAX_TARGETS = 16
"""GEP-713's own bound on targetRefs."""
MAX_ATTEMPTS = 100
"""With the longest default back-off of 250 ms they fill half a minute; more is a loop (`xds.translate.retry`)."""
MAX_CODES = 32
"""All codes worth a retry are fewer."""
MIN_FILL_S = 0.05
"""Envoy's shortest fill_interval of a token bucket."""
MAX_DELAY_S = 3600.0
"""Longest fault: what waits takes memory, and nobody waits so long (`xds.translate.filters`)."""
MAX_MIRRORS = 8
"""Each is a request more, with its body in memory (`xds.translate.mirror`)."""
MAX_COUNT = 2**32 - 1
"""Envoy's counters of a circuit breaker have 32 bits."""

DEFAULT_RETRY_ON = ("connect-failure", "refused-stream", "reset-before-request")
"""Outcomes that are safe to try again whatever the request does: it has not reached the other side."""
RETRY_WORDS = frozenset(
    (
        *DEFAULT_RETRY_ON,
        *("5xx", "gateway-error", "reset", "retriable-4xx", "retriable-status-codes"),
        *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
    )
)
"""Envoy's words for `retry_on` that every data plane of the mesh obeys."""


_SPEC = frozenset(
    (
        *("targetRefs", "timeouts", "retry", "circuitBreaker", "outlierDetection", "loadBalancer"),
        *("rateLimit", "fault", "mirror"),
    )
)
_OUTLIERS = frozenset(
    ("consecutive5xxErrors", "consecutiveGatewayErrors", "interval", "baseEjectionTime", "maxEjectionPercent")
)
_HASHES = {kind.value: kind for kind in HashKind}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"""A name as HTTP has them (RFC 9110 5.6.2)."""
_BREAKERS = {
    "maxConnections": "max_connections",
    "maxPendingRequests": "max_pending_requests",
    "maxRequests": "max_requests",
    "maxRetries": "max_retries",
}
_BALANCERS = {kind.value: kind for kind in LoadBalancing}
_TARGETS: Mapping[tuple[str, str], TargetKind] = {kind.value: kind for kind in TargetKind}


def read_policy(obj: Object) -> tuple[TrafficPolicy | None, list[FieldError]]:
    """Return the policy that `obj` spells, and everything that is wrong with it; a policy with errors is None."""
    reader = FieldReader()
    spec = reader.mapping(obj, "spec", "", _SPEC)
    targets = _targets(reader, spec)
    route = _route(reader, spec, key_of(obj).namespace)
    cluster = _cluster(reader, spec)
    if route == RoutePolicy() and cluster == ClusterPolicy() and not reader.errors:
        reader.wrong("spec", "says nothing; give one of " + ", ".join(sorted(_SPEC - {"targetRefs"})))
    if reader.errors:
        return None, reader.errors
    metadata = obj["metadata"]
    created, generation = metadata.get("creationTimestamp") or "", metadata.get("generation", 0)
    return TrafficPolicy(key_of(obj), created, generation, targets, route, cluster), []


def _targets(reader: FieldReader, spec: Mapping[str, Any]) -> tuple[Target, ...]:
    references = spec.get("targetRefs")
    if not isinstance(references, list) or not 1 <= len(references) <= MAX_TARGETS:
        reader.wrong("spec.targetRefs", f"expected 1 to {MAX_TARGETS} references to Services")
        return ()
    targets = []
    for at, reference in enumerate(references):
        path = f"spec.targetRefs[{at}]"
        known = reference if isinstance(reference, dict) else {}
        kind = _TARGETS.get((known.get("group", ""), known.get("kind", "")))
        if kind is None:
            reader.wrong(path, "is not for a Service of group serving.knative.dev (a function) or of the core group")
        elif not isinstance(known.get("name"), str) or not known["name"]:
            reader.wrong(f"{path}.name", "missing")
        else:
            targets.append(Target(kind, known["name"]))
    return tuple(dict.fromkeys(targets))


def _route(reader: FieldReader, spec: Mapping[str, Any], namespace: str) -> RoutePolicy:
    timeouts = reader.mapping(spec, "timeouts", "spec", frozenset(("request", "backendRequest")))
    whole = reader.seconds(timeouts, "request", "spec.timeouts", zero=True)
    single = reader.seconds(timeouts, "backendRequest", "spec.timeouts")
    retry = _retry(reader, spec)
    if single is not None and whole and single > whole:
        reader.wrong("spec.timeouts.backendRequest", "is longer than spec.timeouts.request, which covers all tries")
    if single is not None and "retry" not in spec:
        reader.wrong(
            "spec.timeouts.backendRequest", "is the time of one try: give spec.retry, or timeouts.request alone"
        )
    return RoutePolicy(
        whole,
        single or 0.0,
        retry,
        _hash_on(reader, spec),
        _rate_limit(reader, spec),
        _fault(reader, spec),
        _mirrors(reader, spec, namespace),
    )


def _rate_limit(reader: FieldReader, spec: Mapping[str, Any]) -> RateLimit | None:
    if spec.get("rateLimit") is None:
        return None
    found, path = reader.mapping(spec, "rateLimit", "spec", frozenset(("requests", "per", "burst"))), "spec.rateLimit"
    requests = reader.count(found, "requests", path, 1, MAX_COUNT)
    per_s = reader.seconds(found, "per", path)
    burst = reader.count(found, "burst", path, 1, MAX_COUNT)
    if "requests" not in found:
        reader.wrong(f"{path}.requests", "missing: how many requests in the time `per`")
    if per_s is not None and per_s < MIN_FILL_S:
        reader.wrong(f"{path}.per", f"is shorter than {MIN_FILL_S:g}s, the shortest that Envoy takes")
    return RateLimit(requests or 1, per_s or 1.0, burst or requests or 1)


def _fault(reader: FieldReader, spec: Mapping[str, Any]) -> Fault | None:
    if spec.get("fault") is None:
        return None
    found = reader.mapping(spec, "fault", "spec", frozenset(("delay", "abort")))
    delay = reader.mapping(found, "delay", "spec.fault", frozenset(("fixed", "percent")))
    abort = reader.mapping(found, "abort", "spec.fault", frozenset(("status", "percent")))
    delay_s = reader.seconds(delay, "fixed", "spec.fault.delay")
    status = reader.count(abort, "status", "spec.fault.abort", 400, 599)
    for part, word in (("delay", "fixed"), ("abort", "status")):
        if part in found and word not in (found[part] or {}):
            reader.wrong(f"spec.fault.{part}.{word}", "missing")
    if not found:
        reader.wrong("spec.fault", "says nothing; give delay or abort")
    if delay_s is not None and delay_s > MAX_DELAY_S:
        reader.wrong("spec.fault.delay.fixed", f"is longer than {MAX_DELAY_S:g}s: callers have given up by then")
    return Fault(
        delay_s or 0.0,
        _share(reader, delay, "spec.fault.delay") if delay else 0,
        status or 0,
        _share(reader, abort, "spec.fault.abort") if abort else 0,
    )


def _mirrors(reader: FieldReader, spec: Mapping[str, Any], namespace: str) -> tuple[Mirror, ...]:
    found = spec.get("mirror") or []
    if not isinstance(found, list) or len(found) > MAX_MIRRORS:
        reader.wrong("spec.mirror", f"expected a list of at most {MAX_MIRRORS}")
        return ()
    mirrors = []
    for at, item in enumerate(found):
        path = f"spec.mirror[{at}]"
        entry = reader.members(item, path, frozenset(("backendRef", "percent")))
        cluster = _backend(reader, entry.get("backendRef"), f"{path}.backendRef", namespace)
        if cluster is not None:
            mirrors.append(Mirror(cluster, _share(reader, entry, path)))
    return tuple(mirrors)


def _backend(reader: FieldReader, reference: object, path: str, namespace: str) -> str | None:
    """Return the cluster of a port of a Service, or of a revision, in the policy's own namespace."""
    known = reference if isinstance(reference, dict) else {}
    name, port = known.get("name"), known.get("port")
    if not isinstance(name, str) or not name:
        reader.wrong(f"{path}.name", "missing: of a Service or of a revision")
        return None
    match known.get("group", ""), known.get("kind", "Service"):
        case ("", "Service") if isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= 65_535:
            return f"{namespace}/{name}:{port}"
        case ("", "Service"):
            reader.wrong(f"{path}.port", f"{port!r} is no port of a Service, 1 to 65535")
        case ("serving.knative.dev", "Revision") if port is None:
            return f"{namespace}/{name}"
        case ("serving.knative.dev", "Revision"):
            reader.wrong(f"{path}.port", "a revision has no ports to choose from")
        case _:
            reader.wrong(path, "is neither a Service of the core group nor a Revision of serving.knative.dev")
    return None


def _share(reader: FieldReader, owner: Mapping[str, Any], path: str) -> int:
    """Return a percentage in millionths; not said: all."""
    percent = owner.get("percent", 100)
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        reader.wrong(f"{path}.percent", f"{percent!r} is no number from 0 to 100")
        return 0
    return round(percent * 10_000)


def _retry(reader: FieldReader, spec: Mapping[str, Any]) -> Retry | None:
    if spec.get("retry") is None:
        return None
    found = reader.mapping(spec, "retry", "spec", frozenset(("attempts", "on", "codes", "backoff")))
    attempts = reader.count(found, "attempts", "spec.retry", 1, MAX_ATTEMPTS)
    backoff = reader.seconds(found, "backoff", "spec.retry")
    codes = _items(reader, found, "codes", lambda code, path: _is_code(reader, code, path))
    words = _items(reader, found, "on", lambda word, path: reader.one_of(word, RETRY_WORDS, path))
    on = tuple(words) or DEFAULT_RETRY_ON
    if codes and "retriable-status-codes" not in on:
        on = (*on, "retriable-status-codes")
    if "retriable-status-codes" in words and not codes:
        reader.wrong("spec.retry.codes", "missing: retriable-status-codes are those given here")
    return Retry(tuple(dict.fromkeys(on)), attempts or 1, tuple(dict.fromkeys(codes)), backoff or 0.0)


def _items(
    reader: FieldReader, owner: Mapping[str, Any], name: str, is_right: Callable[[object, str], bool]
) -> list[Any]:
    found = owner.get(name) or []
    if not isinstance(found, list) or len(found) > MAX_CODES:
        reader.wrong(f"spec.retry.{name}", f"expected a list of at most {MAX_CODES}")
        return []
    return [item for at, item in enumerate(found) if is_right(item, f"spec.retry.{name}[{at}]")]


def _is_code(reader: FieldReader, code: object, path: str) -> bool:
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599:
        return True
    reader.wrong(path, f"{code!r} is no status of a failure, 400 to 599")
    return False


def _cluster(reader: FieldReader, spec: Mapping[str, Any]) -> ClusterPolicy:
    breaker = reader.mapping(spec, "circuitBreaker", "spec", frozenset(_BREAKERS))
    limits = {
        field: reader.count(breaker, name, "spec.circuitBreaker", 0 if name == "maxRetries" else 1, MAX_COUNT)
        for name, field in _BREAKERS.items()
    }
    balancer = reader.mapping(spec, "loadBalancer", "spec", frozenset(("type", "hashOn")))
    balancing = None
    if spec.get("loadBalancer") is not None and reader.one_of(
        balancer.get("type"), _BALANCERS, "spec.loadBalancer.type"
    ):
        balancing = _BALANCERS[balancer["type"]]
        if balancing.hashes != ("hashOn" in balancer):
            reader.wrong("spec.loadBalancer.hashOn", "is what RingHash and Maglev find endpoints by, no other type")
    return ClusterPolicy(**limits, balancing=balancing, outliers=_outliers(reader, spec))


def _outliers(reader: FieldReader, spec: Mapping[str, Any]) -> Outliers | None:
    if spec.get("outlierDetection") is None:
        return None
    found, path = reader.mapping(spec, "outlierDetection", "spec", _OUTLIERS), "spec.outlierDetection"
    return Outliers(
        reader.count(found, "consecutive5xxErrors", path, 1, MAX_COUNT),
        reader.count(found, "consecutiveGatewayErrors", path, 1, MAX_COUNT),
        reader.seconds(found, "interval", path),
        reader.seconds(found, "baseEjectionTime", path),
        reader.count(found, "maxEjectionPercent", path, 1, 100),
    )


def _hash_on(reader: FieldReader, spec: Mapping[str, Any]) -> HashOn | None:
    balancer = spec.get("loadBalancer")
    if not isinstance(balancer, dict) or balancer.get("hashOn") is None:
        return None
    path = "spec.loadBalancer"
    found = reader.mapping(balancer, "hashOn", path, frozenset(_HASHES))
    if len(found) != 1:
        reader.wrong(f"{path}.hashOn", f"give one of {', '.join(sorted(_HASHES))}")
        return None
    ((word, value),) = found.items()
    kind = _HASHES.get(word)
    if kind is HashKind.SOURCE_IP and value is True:
        return HashOn(kind)
    if kind is None or kind is HashKind.SOURCE_IP or not isinstance(value, str) or not _TOKEN.fullmatch(value):
        reader.wrong(f"{path}.hashOn.{word}", f"{value!r} is no name (sourceIP takes true)")
        return None
    return HashOn(kind, value.lower() if kind is HashKind.HEADER else value)
