"""Asking an authorization service whether a request may go on: whom, about what, and what becomes of silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.share import MILLION
from eventmesh.model.tagged import Tagged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventmesh.model.match import TextMatch
    from eventmesh.model.question import Metadata

DEFAULT_TIMEOUT_S = 0.2
"""Envoy's."""


@frozen
class AskedByGrpc(Tagged):
    """`envoy.service.auth.v3.Authorization/Check`, on a cluster that speaks HTTP/2."""

    authority: str = ""
    """Empty: the cluster's name."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Sent with the call; names in lower case."""


@frozen
class AskedByHttp(Tagged):
    """The request's own method, host and path: 200 lets it through, 5xx is no answer, all else refuses it."""

    prefix: str = ""
    """Before the path."""
    add: tuple[tuple[str, str], ...] = ()
    """Set in the head of the question; names in lower case."""
    upstream: tuple[TextMatch, ...] = ()
    """Headers of a good answer that take the place of the request's."""
    upstream_append: tuple[TextMatch, ...] = ()
    """Headers of a good answer that are added to the request's."""
    client: tuple[TextMatch, ...] | None = None
    """Headers of a refusal that the caller is told, beside those that say where and how to log in; None: all."""
    client_on_success: tuple[TextMatch, ...] = ()
    """Headers of a good answer that the caller is told."""


@frozen
class AuthzService:
    """Who is asked."""

    cluster: str
    by: AskedByGrpc | AskedByHttp
    timeout_s: float = DEFAULT_TIMEOUT_S


@frozen
class CheckedBody:
    """How much of a body the service is told; a request waits until so much of it is there."""

    max_bytes: int
    """A longer body is answered 413."""
    partial: bool = False
    """The beginning of a longer one is enough."""
    raw: bool = False
    """As bytes; else as text, in which what is no UTF-8 is replaced."""


@frozen
class ExtAuthz(Tagged):
    """Whoever is asked says whether a request may go on (Envoy's ext_authz)."""

    service: AuthzService
    fail_open: bool = False
    """A request of which nothing could be learned goes on."""
    marks_failure: bool = False
    """It then bears `x-envoy-auth-failure-mode-allowed: true`."""
    status_on_error: int = 403
    """What it is answered otherwise."""
    body: CheckedBody | None = None
    allowed: tuple[TextMatch, ...] | None = None
    """Headers that are told; None: all by gRPC, none but `authorization` by HTTP."""
    disallowed: tuple[TextMatch, ...] = ()
    namespaces: tuple[str, ...] = ()
    """By gRPC: what earlier steps have noted under these names is told."""
    enabled_millionths: int = MILLION
    """Share of the requests that are asked about."""
    enabled_if: Metadata | None = None
    """Only requests of which this holds are asked about."""
    deny_at_disable: bool = False
    """Those that are not asked about are refused."""


@frozen
class FilterConfig:
    """What a filter in Python is made with."""

    text: str
    """A JSON object in one spelling."""
    digest: str
    """Tells it from others, in few characters: requests are asked about by it."""

    @staticmethod
    def of(members: Mapping[str, object]) -> FilterConfig:
        """Return the configuration with these members. Raises ValueError for what JSON cannot hold."""
        # Few processes have any, and a sidecar would feel the imports.
        import hashlib
        import json

        text = json.dumps(members, separators=(",", ":"), sort_keys=True, allow_nan=False)
        return FilterConfig(text, hashlib.sha256(text.encode()).hexdigest()[:32])


@frozen
class PythonFilter(Tagged):
    """A function of this process says whether a request may go on (`dataplane.filters`)."""

    file: str
    """Name of the file in the process's directory of filters."""
    name: str
    timeout_s: float = 1.0
    """Longest time for its decision."""
    fail_open: bool = False
    """A request about which there is no decision goes on."""
    status_on_error: int = 503
    """What it is answered otherwise."""
    config: FilterConfig | None = None
    """None: it is made with nothing."""

    @property
    def asked_as(self) -> str:
        """Return the name by which the core has it asked."""
        name = f"{self.file}:{self.name}"
        return f"{name}:{self.config.digest}" if self.config is not None else name


@frozen
class AuthzOverride(Tagged):
    """Of a route: what is different about the question. With a service it is a step of its own where the listener has
    none."""

    service: AuthzService | None = None
    extensions: tuple[tuple[str, str], ...] = ()
    """What the service is told of the route."""
    without_body: bool = False
    body: CheckedBody | None = None
    """In place of the listener's."""

    def within(self, outer: AuthzOverride) -> AuthzOverride:
        """Return it with the extensions of what is around it, those of the same name excepted."""
        merged = dict(outer.extensions) | dict(self.extensions)
        return AuthzOverride(self.service, tuple(merged.items()), self.without_body, self.body)
