"""What a route or a cluster does when things go wrong: the policies, protocol-neutral, in Envoy's terms.

Statuses are HTTP's; Bolt's and gRPC's are mapped to them before a policy looks (docs/policies.md).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.match import TextMatch
from eventmesh.model.share import MILLION
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from eventmesh.model.access import AccessStep


class RetryOn(Enum):
    """An outcome that is tried again, spelled as in Envoy's `retry_on`."""

    SERVER_ERROR = "5xx"
    """Any 5xx, or no answer at all."""
    GATEWAY_ERROR = "gateway-error"
    """502, 503 or 504, or no answer at all."""
    CONNECT_FAILURE = "connect-failure"
    REFUSED_STREAM = "refused-stream"
    """The endpoint refused the stream before it looked at it."""
    RESET = "reset"
    """The endpoint did not answer: it closed, reset or took longer than `per_try_timeout_s`."""
    RESET_BEFORE_REQUEST = "reset-before-request"
    """The same, before anything of the request was written."""
    RETRIABLE_4XX = "retriable-4xx"
    """409."""
    RETRIABLE_STATUS_CODES = "retriable-status-codes"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    INTERNAL = "internal"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    UNAVAILABLE = "unavailable"


@frozen
class RetryPolicy:
    """Which outcomes of a route are tried again; never once a byte of the answer has gone to the client.

    The route's timeout covers all tries. A request with more than 64 KiB of body sent is not tried again.
    """

    on: tuple[RetryOn, ...]
    max_retries: int = 1
    """Tries beside the first."""
    per_try_timeout_s: float = 0.0
    """From the whole request sent to the first byte of the answer; 0 = none."""
    status_codes: tuple[int, ...] = ()
    """For `RETRIABLE_STATUS_CODES`."""
    base_interval_s: float = 0.025
    """Retry n waits for anything up to (2^n - 1) times this, drawn at random."""
    max_interval_s: float = 0.25
    avoid_tried: bool = False
    """Endpoints tried before are passed over while there is another one (Envoy's previous_hosts predicate)."""


@frozen
class RetryBudget:
    """How many retries a cluster may have under way, measured by its requests in flight and waiting."""

    percent: float = 20.0
    min_concurrency: int = 3
    """Always allowed."""


@frozen
class OutlierDetection:
    """When an endpoint that answers badly is given nothing for a while. Names, defaults and arithmetic are Envoy's.

    An endpoint that gave no answer counts as one that answered 503, one that was too slow as 504.
    """

    consecutive_5xx: int = 5
    """5xx in a row; 0 = not looked at."""
    consecutive_gateway_failure: int = 5
    """502, 503 or 504 in a row; 0 = not looked at."""
    interval_s: float = 10.0
    """Time between two sweeps: only then do the ejected return, and only then are rates looked at."""
    base_ejection_time_s: float = 30.0
    """The n-th ejection of an endpoint is n times as long; each interval without one takes one back."""
    max_ejection_time_s: float = 300.0
    max_ejection_percent: int = 10
    always_eject_one: bool = False
    """One endpoint may be out whatever the percentage says."""
    enforcing_consecutive_5xx: int = 100
    """How many of the detected are ejected, in per cent."""
    enforcing_consecutive_gateway_failure: int = 0
    enforcing_success_rate: int = 100
    success_rate_minimum_hosts: int = 5
    """Fewest endpoints with `success_rate_request_volume` requests in an interval."""
    success_rate_request_volume: int = 100
    success_rate_stdev_factor: int = 1900
    """Thousandths of a standard deviation below the mean that are too much."""
    enforcing_failure_percentage: int = 0
    failure_percentage_threshold: int = 85
    failure_percentage_minimum_hosts: int = 5
    failure_percentage_request_volume: int = 50


@frozen
class HttpProbe(Tagged):
    """Ask by a request."""

    path: str
    host: str = ""
    """Authority; empty: the cluster's name."""
    method: str = "GET"
    expected: tuple[tuple[int, int], ...] = ((200, 201),)
    """Statuses that are well, each range from its first up to, and without, its last."""


@frozen
class TcpProbe(Tagged):
    """Ask by making a connection."""


@frozen
class GrpcProbe(Tagged):
    """Ask by `grpc.health.v1.Health/Check`; well is SERVING."""

    service: str = ""
    """Empty: the server as a whole."""
    authority: str = ""
    """Empty: the cluster's name."""


@frozen
class HealthCheck:
    """Active health checks of a cluster's endpoints; one that has not been checked yet counts as not well."""

    probe: HttpProbe | TcpProbe | GrpcProbe
    timeout_s: float
    interval_s: float
    unhealthy_interval_s: float
    """In place of `interval_s` for an endpoint that is not well."""
    unhealthy_threshold: int
    """Checks without an answer in a row; a wrong answer needs one."""
    healthy_threshold: int
    """Good answers in a row; the first check of an endpoint needs one."""
    no_traffic_interval_s: float = 60.0
    """In place of both intervals while the cluster has had no request."""
    interval_jitter_s: float = 0.0
    """At most added to an interval, drawn at random."""
    interval_jitter_percent: int = 0
    """The same, in per cent of the interval."""


class Fallback(Enum):
    """Where requests go that name no subset, or one without endpoints."""

    NONE = "none"
    """Nowhere: they are answered 503."""
    ANY = "any"
    DEFAULT = "default"
    """To the default subset."""


Labels = tuple[tuple[str, str], ...]
"""Metadata of endpoints: keys, and values as JSON."""


@frozen
class Subsets:
    """Subsets of a cluster by the metadata of its endpoints."""

    selectors: tuple[tuple[str, ...], ...] = ()
    """Sets of keys; a request is for a subset when its route names values for exactly the keys of one of them."""
    fallback: Fallback = Fallback.NONE
    default: Labels = ()


class HashPart(Enum):
    """What of a request is hashed."""

    HEADER = "header"
    COOKIE = "cookie"
    QUERY = "query"
    SOURCE_IP = "source_ip"


@frozen
class HashOn:
    """One part of the hash by which RING_HASH and MAGLEV choose; the parts that are there are mixed in their order."""

    part: HashPart
    name: str = ""
    """Of the header (lower case), cookie or parameter."""
    terminal: bool = False
    """Later parts are left out when this one is there."""


@frozen
class Fault:
    """Failures that are made on purpose: first a delay, then an abort, each of its own share of the requests."""

    delay_s: float = 0.0
    delay_millionths: int = 0
    abort_status: int = 503
    """HTTP status; other protocols map it."""
    abort_millionths: int = 0


@frozen
class RateLimit:
    """A token bucket of this process: `max_tokens` at once, `tokens_per_fill` more each `fill_interval_s`, evenly.

    A request beyond it is answered `status`, in Bolt as busy.
    """

    max_tokens: int
    tokens_per_fill: int
    fill_interval_s: float
    enabled_millionths: int = MILLION
    """Share of the requests that are counted."""
    enforced_millionths: int = MILLION
    """Share of those beyond the limit that are refused."""
    status: int = 429
    resource_exhausted: bool = False
    """gRPC callers are told RESOURCE_EXHAUSTED instead of UNAVAILABLE."""


@frozen
class Cors:
    """What browsers are told of requests from other origins; preflights of allowed origins are answered by the mesh."""

    origins: tuple[TextMatch, ...] = ()
    """Allowed ones; a condition that `*` meets allows all."""
    methods: str = ""
    headers: str = ""
    expose: str = ""
    max_age: str = ""
    credentials: bool = False


@frozen
class Filters:
    """What happens to a request before its route is followed: CORS first, then access, the rate limit, the fault."""

    fault: Fault | None = None
    rate_limit: RateLimit | None = None
    cors: Cors | None = None
    """Of a route only."""
    access: tuple[AccessStep, ...] = ()
