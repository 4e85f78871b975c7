"""HTTP filters into Filters, of a listener or of a route: access, the local rate limit, the fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from eventmesh.base.errors import ConfigError
from eventmesh.model.policy import Cors, Fault, Filters, RateLimit
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.headers import read_text_match
from eventmesh.xds.translate.shares import read_runtime_share, read_share

if TYPE_CHECKING:
    from eventmesh.model.access import AccessStep

FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"
CORS = "envoy.extensions.filters.http.cors.v3.Cors"
CORS_POLICY = "envoy.extensions.filters.http.cors.v3.CorsPolicy"
LOCAL_RATE_LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

_HTTP = "envoy.extensions.filters.http"
_JWT = (f"{_HTTP}.jwt_authn.v3.JwtAuthentication", f"{_HTTP}.jwt_authn.v3.PerRouteConfig")
_AUTHZ = (f"{_HTTP}.ext_authz.v3.ExtAuthz", f"{_HTTP}.ext_authz.v3.ExtAuthzPerRoute")
_OURS = "eventmesh.extensions.filters.http.python_filter.v3"
_PYTHON = (f"{_OURS}.PythonFilter", f"{_OURS}.PythonFilterPerRoute")
ACCESS = (f"{_HTTP}.rbac.v3.RBAC", _JWT[0], _AUTHZ[0], _PYTHON[0])
ACCESS_OVERRIDES = (f"{_HTTP}.rbac.v3.RBACPerRoute", _JWT[1], _AUTHZ[1], _PYTHON[1])
"""Filters that decide whether a request may go on, and what routes say in their place (`translate.access`)."""

MAX_DELAY_S = 3600.0
"""Longest delay: beyond it callers have given up, and what waits takes memory."""

_CODES = {"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "TooManyRequests": 429,
          "InternalServerError": 500, "BadGateway": 502, "ServiceUnavailable": 503, "GatewayTimeout": 504}  # fmt: skip

FilterConfig: TypeAlias = "Fault | RateLimit | Cors | AccessStep"


def read_filter(name: str, config: Message) -> FilterConfig | None:
    """Return what the configuration of the HTTP filter `name` says; None for one that does nothing by itself."""
    if config.schema.name in ACCESS:
        return _step(name, config)
    return _FILTERS[config.schema.name](config)


def _step(name: str, config: Message) -> AccessStep:
    # Imported where it is asked for: see `translate.cluster`.
    from eventmesh.model.access import AccessStep

    kind = config.schema.name
    if kind in _JWT:
        from eventmesh.xds.translate.jwt import READERS
    elif kind in _AUTHZ:
        from eventmesh.xds.translate.authz import READERS
    elif kind in _PYTHON:
        from eventmesh.xds.translate.python_filter import READERS
    else:
        from eventmesh.xds.translate.access import READERS
    return AccessStep(name, READERS[kind](config))


def read_overrides(owner: Message) -> dict[str, FilterConfig]:
    """Return what `typed_per_filter_config` says: steps of access by name, the others by type.

    Raises ConfigError for a filter that there is not.
    """
    found: dict[str, FilterConfig] = {}
    for key, config in owner.messages_by_key("typed_per_filter_config").items():
        kind = config.schema.name
        if kind in ACCESS_OVERRIDES:
            found[key] = _step(key, config)
        elif kind in _OVERRIDES:
            found[kind] = _OVERRIDES[kind](config) or Fault()
        else:
            path, known = owner.where(f'typed_per_filter_config["{key}"]'), (*_OVERRIDES, *ACCESS_OVERRIDES)
            raise ConfigError(path, f"{kind} is not supported; {', '.join(known)} are")
    return found


def overridden(outer: Mapping[str, FilterConfig], inner: Mapping[str, FilterConfig]) -> Mapping[str, FilterConfig]:
    """Return what a route says, and around it what its virtual host does."""
    merged = {**outer, **inner}
    both = [key for key in outer if key in inner and key not in _OVERRIDES]
    if both:
        from eventmesh.model.access import AccessStep
        from eventmesh.model.authz import AuthzOverride

        for key in both:
            match outer[key], inner[key]:
                case AccessStep(_, AuthzOverride() as around), AccessStep(_, AuthzOverride() as own):
                    merged[key] = AccessStep(key, own.within(around))
    return merged


def make_filters(configs: Iterable[FilterConfig]) -> Filters | None:
    """Return the filters of one listener or route; None when there are none."""
    fault, limit, cors = None, None, None
    access: list[AccessStep] = []
    for config in configs:
        match config:
            case Fault():
                fault = config
            case RateLimit():
                limit = config
            case Cors():
                cors = config
            case _:
                access.append(config)
    filters = Filters(fault, limit, cors, tuple(access))
    return filters if filters != Filters() else None


def _fault(config: Message) -> Fault:
    delay, abort = config.child("delay"), config.child("abort")
    fault = Fault()
    delay_s, delay_share, status, abort_share = fault.delay_s, 0, fault.abort_status, 0
    if delay is not None:
        delay_s = delay.wait_s("fixed_delay", 0.0, MAX_DELAY_S)
        delay_share = read_share(delay, "percentage")
    if abort is not None:
        status = abort.number("http_status")
        if not 200 <= status < 600:
            raise abort.error("http_status", f"{status} is out of range; accepted are 200 to 599")
        abort_share = read_share(abort, "percentage")
    return Fault(delay_s, delay_share, status, abort_share)


def _rate_limit(config: Message) -> RateLimit | None:
    if not config.text("stat_prefix"):
        raise config.error("stat_prefix", "missing; Envoy too refuses a rate limit without one")
    bucket = config.child("token_bucket")
    if bucket is None:
        return None
    most, more = bucket.number("max_tokens"), bucket.number("tokens_per_fill", 1)
    if most < 1 or more < 1:
        raise bucket.error("max_tokens" if most < 1 else "tokens_per_fill", "0 is out of range; a bucket starts at 1")
    interval = bucket.seconds("fill_interval", 0.0)
    if interval < 0.05:
        raise bucket.error("fill_interval", f"{interval}s is out of range; accepted are 0.05s and more, as in Envoy")
    code = config.child("status")
    word = code.text("code", "TooManyRequests") if code else "TooManyRequests"
    if word not in _CODES:
        raise config.error("status.code", f"{word} is not supported; {', '.join(_CODES)} are")
    return RateLimit(
        max_tokens=most,
        tokens_per_fill=more,
        fill_interval_s=interval,
        enabled_millionths=read_runtime_share(config, "filter_enabled"),
        enforced_millionths=read_runtime_share(config, "filter_enforced"),
        # Envoy too answers nothing but errors: any other code becomes 429.
        status=_CODES[word],
        resource_exhausted=config.flag("rate_limited_as_resource_exhausted"),
    )


def _cors(_: Message) -> None:
    """Say nothing: the filter in the chain only switches on what routes say by a `CorsPolicy`."""


def _cors_policy(config: Message) -> Cors:
    origins = tuple(read_text_match(matcher) for matcher in config.children("allow_origin_string_match"))
    return Cors(
        origins=origins,
        methods=config.text("allow_methods"),
        headers=config.text("allow_headers"),
        expose=config.text("expose_headers"),
        max_age=config.text("max_age"),
        credentials=config.flag("allow_credentials"),
    )


_FILTERS: Mapping[str, Callable[[Message], Fault | RateLimit | None]] = {
    CORS: _cors,
    FAULT: _fault,
    LOCAL_RATE_LIMIT: _rate_limit,
}
FILTERS = (*_FILTERS, *ACCESS)
"""The HTTP filters that are carried out, beside the router."""
_OVERRIDES: Mapping[str, Callable[[Message], Fault | RateLimit | Cors | None]] = {
    CORS_POLICY: _cors_policy,
    FAULT: _fault,
    LOCAL_RATE_LIMIT: _rate_limit,
}
"""What a route or a virtual host may say of them."""
