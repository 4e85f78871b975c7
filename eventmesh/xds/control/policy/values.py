"""The values of a TrafficPolicy. Immutable and hashable: encoded routes and clusters are kept by them."""

from __future__ import annotations

import dataclasses
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key


class TargetKind(Enum):
    """What a policy can be for: (API group, kind)."""

    FUNCTION = ("serving.knative.dev", "Service")
    """A Knative Service: all of its revisions."""
    SERVICE = ("", "Service")
    """A Kubernetes Service: all of its ports."""


@frozen
class Target:
    """What a policy is for, in its own namespace."""

    kind: TargetKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value[0] or 'core'} Service {self.name}"


@frozen
class Retry:
    """Which outcomes are tried again, and how often."""

    on: tuple[str, ...]
    """Envoy's words (`retry_on`)."""
    attempts: int
    """Tries beside the first."""
    codes: tuple[int, ...] = ()
    backoff_s: float = 0.0
    """Least time before a retry; 0 = the data plane's own."""


class HashKind(Enum):
    """What of a request is hashed."""

    HEADER = "header"
    COOKIE = "cookie"
    QUERY_PARAMETER = "queryParameter"
    SOURCE_IP = "sourceIP"


@frozen
class HashOn:
    """What a request is hashed by, so that those alike go to the same endpoint."""

    kind: HashKind
    name: str = ""
    """Of the header, cookie or parameter."""


@frozen
class RateLimit:
    """A token bucket of each data plane process."""

    requests: int
    per_s: float
    burst: int
    """Most at once."""


@frozen
class Fault:
    """Failures made on purpose: a delay, an abort, each of its own share of the requests in millionths."""

    delay_s: float = 0.0
    delay_millionths: int = 0
    abort_status: int = 0
    abort_millionths: int = 0


@frozen
class Mirror:
    """A cluster that gets copies of a share of the requests, in millionths."""

    cluster: str
    millionths: int


@frozen
class RoutePolicy:
    """What holds for each request."""

    request_timeout_s: float | None = None
    """Over all tries; 0 = none; None: not said."""
    try_timeout_s: float = 0.0
    """Of one try; 0 = none."""
    retry: Retry | None = None
    hash_on: HashOn | None = None
    rate_limit: RateLimit | None = None
    fault: Fault | None = None
    mirrors: tuple[Mirror, ...] = ()

    @property
    def beyond_channels(self) -> bool:
        """True when it needs HTTP filters that proxyless gRPC clients would refuse."""
        return self.rate_limit is not None

    def for_channels(self) -> RoutePolicy:
        """Return what proxyless gRPC clients take of it: they know faults, and would refuse a rate limit."""
        return dataclasses.replace(self, rate_limit=None)


class LoadBalancing(Enum):
    """How an endpoint is chosen."""

    ROUND_ROBIN = "RoundRobin"
    LEAST_REQUEST = "LeastRequest"
    RANDOM = "Random"
    RING_HASH = "RingHash"
    MAGLEV = "Maglev"

    @property
    def hashes(self) -> bool:
        """True when an endpoint is found by a hash of the request."""
        return self in (LoadBalancing.RING_HASH, LoadBalancing.MAGLEV)


@frozen
class Outliers:
    """When an endpoint that fails is passed over for a while; None: Envoy's own value."""

    consecutive_5xx: int | None = None
    consecutive_gateway: int | None = None
    interval_s: float | None = None
    base_ejection_s: float | None = None
    max_ejection_percent: int | None = None


@frozen
class ClusterPolicy:
    """What holds for all requests to one cluster together; None: not said."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None
    balancing: LoadBalancing | None = None
    outliers: Outliers | None = None


@frozen
class TrafficPolicy:
    """One TrafficPolicy object."""

    key: Key
    created: str
    generation: int
    targets: tuple[Target, ...]
    route: RoutePolicy = RoutePolicy()
    cluster: ClusterPolicy = ClusterPolicy()
