"""Where requests go: endpoints, how one is chosen, and how much each may carry."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.listener import WireProtocol

if TYPE_CHECKING:
    from eventmesh.model.policy import HealthCheck, Labels, OutlierDetection, RetryBudget, Subsets
    from eventmesh.model.tls import ClientTls


class Balancing(Enum):
    """How an endpoint is chosen on the happy path."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    """The less loaded of two drawn at random."""
    FIRST_AVAILABLE = "first_available"
    """The first, in the order of addresses, that has fewer than `max_requests_per_endpoint`: the next is used when all
    before it are full."""
    RANDOM = "random"
    RING_HASH = "ring_hash"
    """By the hash of the route's `hash_on`, on a ring; without one at random."""
    MAGLEV = "maglev"
    """The same, through a Maglev table."""


@frozen
class Endpoint:
    """One upstream address: `10.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`."""

    address: str
    weight: int = 1
    healthy: bool = True
    priority: int = 0
    """Lower ones are taken first; those of the next get what these cannot take."""
    locality: str = ""
    locality_weight: int = 0
    """Share of its locality, when the cluster is `locality_weighted`; the same for all of one locality."""
    metadata: Labels = ()
    """What subsets are made by."""


@frozen
class Cluster:
    """A set of interchangeable endpoints, with the limits (Envoy's circuit breakers) that guard them."""

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    protocol: WireProtocol = WireProtocol.HTTP1
    tls: ClientTls | None = None
    """None: clear text."""
    declaration: str = ""
    """With protocol FRAMED: name of the `Declaration` that the endpoints speak."""
    balancing: Balancing = Balancing.ROUND_ROBIN
    connect_timeout_s: float = 5.0
    idle_timeout_s: float = 3600.0
    """A pooled connection without a request is closed after this; 0 = never."""
    keepalive_interval_s: float = 0.0
    """A connection of HTTP/2 that carries requests and is silent for so long is sent a PING; 0 = never."""
    keepalive_timeout_s: float = 0.0
    """When nothing comes within this time after a PING, the connection is given up."""
    max_connections: int = 1024
    """To the whole cluster; requests beyond wait for one. An endpoint without any may always have one."""
    max_requests: int = 1024
    """Requests in flight to the whole cluster; one more is answered 503. 0 = no limit."""
    max_requests_per_endpoint: int = 0
    """Requests in flight to one endpoint (a revision's containerConcurrency); 0 = no limit."""
    max_pending: int = 1024
    """Requests that wait, in order, for a connection, or for a free slot, or (with `hold`) for an endpoint; one more is
    answered 503. Those whose own connection is being made count too, unless there are slots or `hold`."""
    hold: bool = False
    """Requests wait while there is no endpoint (a function at zero) instead of failing. When nobody has room,
    the first that waits is announced by `Ask`, so that somebody wakes the function; those behind it are load."""
    hold_timeout_s: float = 300.0
    """A request that waited this long is answered 503."""
    max_held_bytes: int = 16_777_216
    """Bytes of requests that wait; one more is answered 503 (with Retry-After)."""
    max_retries: int = 3
    """Retries under way, those that wait for their back-off included."""
    retry_budget: RetryBudget | None = None
    """In place of `max_retries`."""
    panic_percent: float = 0.0
    """When fewer endpoints than this are healthy, all of them get requests; 0 = never."""
    locality_weighted: bool = False
    min_ring_size: int = 1024
    max_ring_size: int = 8_388_608
    maglev_table_size: int = 65_537
    """A prime number."""
    subsets: Subsets | None = None
    outlier: OutlierDetection | None = None
    health_check: HealthCheck | None = None
