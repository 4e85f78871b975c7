"""How a request finds its cluster: virtual hosts, routes, matches and header edits.

For Bolt the service name stands where HTTP has the host, so one kind of table serves every protocol.
Matching order is the order given: `xds` sorts when its source asks for precedence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.match import RouteMatch
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters, HashOn, Labels, RetryPolicy


@frozen
class HeaderEdits:
    """Edits applied in the order remove, set, append; names are lower case."""

    set: tuple[tuple[str, str], ...] = ()
    append: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@frozen
class WeightedCluster:
    """One share of a split."""

    name: str
    weight: int = 1
    subset: Labels = ()
    """Metadata that its endpoints must have."""
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()


@frozen
class Mirror:
    """A cluster that gets copies of a route's requests, once they are whole; what it answers is thrown away."""

    cluster: str
    millionths: int = 1_000_000
    """Share of the requests."""
    marks_host: bool = True
    """`-shadow` is put behind the host (Envoy's mark of a copy)."""
    host_rewrite: str = ""
    """In place of the request's host."""


@frozen
class Forward(Tagged):
    """Send the request to one of `clusters`, drawn by weight."""

    clusters: tuple[WeightedCluster, ...]
    timeout_s: float = 15.0
    """From the whole request received to the whole response received; 0 = none (Envoy's route timeout)."""
    host_rewrite: str = ""
    host_rewrite_header: str = ""
    """Name (lower case) of the request header whose value, when there is one, becomes the host (Envoy's
    host_rewrite_header); the sidecar restores Knative's K-Original-Host with it."""
    prefix_rewrite: str = ""
    """Replaces the matched prefix (or the whole matched path of an exact match)."""
    path_rewrite: str = ""
    """Replaces the whole path; the query stays."""
    retry: RetryPolicy | None = None
    hash_on: tuple[HashOn, ...] = ()
    mirrors: tuple[Mirror, ...] = ()


@frozen
class DirectResponse(Tagged):
    """Answer at once."""

    status: int
    body: str = ""


@frozen
class Redirect(Tagged):
    """Answer with a Location; empty parts are taken from the request."""

    status: int = 301
    scheme: str = ""
    host: str = ""
    port: int = 0
    """In place of the host's own; 0 = as it is."""
    path: str = ""
    """The query stays, unless this has one."""
    prefix_rewrite: str = ""
    """Replaces the matched prefix, when there is no `path`."""


@frozen
class Serve(Tagged):
    """Hand the whole request to the `ExchangeHandler` registered under `handler` in this process."""

    handler: str
    max_body_bytes: int = 1_048_576
    """A longer body is answered 413 before it is stored."""


@frozen
class Converse(Tagged):
    """Hand a request to the `ConversationHandler` registered under `handler` in this process, as it comes."""

    handler: str


@frozen
class Route:
    """A match, what to do, and which headers to edit on the way there and back."""

    match: RouteMatch
    action: Forward | DirectResponse | Redirect | Serve | Converse
    name: str = ""
    """Label of this route in metrics and access logs; empty: the virtual host's name."""
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()
    filters: Filters | None = None
    """Each of them in place of the listener's."""


@frozen
class VirtualHost:
    """Routes of a set of hosts. Domains: `a.b` exact, `*.b` suffix, `a.*` prefix, `*` any; ports are ignored."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()


@frozen
class RouteTable:
    """What one listener (or `Engine.send`) consults."""

    name: str
    virtual_hosts: tuple[VirtualHost, ...] = ()
