"""Faults and rate limits of listeners, virtual hosts and routes as Envoy spells them."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.match import TextKind, TextMatch
from eventmesh.model.policy import Cors, Fault, Filters, RateLimit
from eventmesh.model.share import MILLION
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.listener import read_listener
from eventmesh.xds.translate.resources import ListenerResource

LISTENER = "envoy.config.listener.v3.Listener"
TYPES = "type.googleapis.com/envoy.extensions.filters"
FAULT = {
    "@type": f"{TYPES}.http.fault.v3.HTTPFault",
    "delay": {"fixed_delay": "0.5s", "percentage": {"numerator": 10}},
    "abort": {"http_status": 418, "percentage": {"numerator": 25, "denominator": "TEN_THOUSAND"}},
}
ALL = {"default_value": {"numerator": 100}}
LIMIT = {
    "@type": f"{TYPES}.http.local_ratelimit.v3.LocalRateLimit",
    "stat_prefix": "s",
    "token_bucket": {"max_tokens": 10, "tokens_per_fill": 5, "fill_interval": "2s"},
    "filter_enabled": ALL,
    "filter_enforced": {"default_value": {"numerator": 1, "denominator": "MILLION"}},
    "status": {"code": "ServiceUnavailable"},
    "rate_limited_as_resource_exhausted": True,
}
ROUTER = {"name": "router", "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"}}


def listener_of(
    *filters: dict[str, Any], host: dict[str, Any] | None = None, route: dict[str, Any] | None = None
) -> ListenerResource:
    one = {"match": {"prefix": "/"}, "route": {"cluster": "a"}, "typed_per_filter_config": route or {}}
    two = {"match": {"prefix": "/two"}, "route": {"cluster": "a"}}
    hosts = {"name": "h", "domains": ["*"], "routes": [one, two], "typed_per_filter_config": host or {}}
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "t", "virtual_hosts": [hosts]},
        "http_filters": [*({"name": str(at), "typed_config": config} for at, config in enumerate(filters)), ROUTER],
    }
    document = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    message = read_document(message_type(LISTENER), document, "", [])
    assert read_wire(message_type(LISTENER), write_wire(LISTENER, message.fields), "", []) == message
    return read_listener(message, [])


def _routes(resource: ListenerResource) -> list[Filters | None]:
    assert resource.inline is not None
    return [route.filters for host in resource.inline.virtual_hosts for route in host.routes]


def test_every_setting_arrives() -> None:
    resource = listener_of(LIMIT, FAULT)
    assert resource.listener.filters == Filters(
        Fault(0.5, MILLION // 10, 418, 2500), RateLimit(10, 5, 2.0, MILLION, 1, 503, True)
    )
    assert _routes(resource) == [None, None]


def test_a_limit_that_is_not_enabled_limits_nothing_as_in_envoy() -> None:
    limit = listener_of({name: LIMIT[name] for name in ("@type", "stat_prefix", "token_bucket")}).listener.filters
    assert limit == Filters(rate_limit=RateLimit(10, 5, 2.0, 0, 0))
    assert listener_of({"@type": LIMIT["@type"], "stat_prefix": "s"}).listener.filters is None


def test_routes_have_filters_of_their_own_else_those_of_their_host() -> None:
    calm = {"@type": FAULT["@type"]}
    resource = listener_of(host={"fault": FAULT, "limit": LIMIT}, route={"fault": calm})
    limit = RateLimit(10, 5, 2.0, MILLION, 1, 503, True)
    assert _routes(resource) == [
        Filters(Fault(), limit),
        Filters(Fault(0.5, MILLION // 10, 418, 2500), limit),
    ]


def test_cors_is_said_by_routes_and_hosts() -> None:
    origins = [{"exact": "a"}, {"safe_regex": {"regex": "b.*"}}]
    policy = {
        "@type": f"{TYPES}.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": origins,
        "allow_methods": "m",
        "allow_headers": "h",
        "expose_headers": "e",
        "max_age": "1",
        "allow_credentials": True,
    }
    resource = listener_of({"@type": f"{TYPES}.http.cors.v3.Cors"}, host={"c": policy})
    matches = (TextMatch(TextKind.EXACT, "a"), TextMatch(TextKind.REGEX, "b.*"))
    assert _routes(resource) == [Filters(cors=Cors(matches, "m", "h", "e", "1", True))] * 2
    assert resource.listener.filters is None


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({**FAULT, "delay": {"fixed_delay": "0s"}}, "delay.fixed_delay"),
        ({**FAULT, "delay": {"fixed_delay": "3601s"}}, "delay.fixed_delay"),
        ({**FAULT, "abort": {"http_status": 199}}, "abort.http_status"),
        ({**FAULT, "abort": {"grpc_status": 14}}, "abort.grpc_status"),
        ({**FAULT, "headers": [{"name": "x"}]}, "headers"),
        ({**LIMIT, "stat_prefix": ""}, "stat_prefix"),
        ({**LIMIT, "token_bucket": {"fill_interval": "1s"}}, "token_bucket.max_tokens"),
        ({**LIMIT, "token_bucket": {"max_tokens": 1, "fill_interval": "0.01s"}}, "token_bucket.fill_interval"),
        ({**LIMIT, "status": {"code": "Locked"}}, "status.code"),
        ({**LIMIT, "descriptors": [{}]}, "descriptors"),
    ],
)
def test_what_cannot_be_carried_out_is_told_by_its_path(config: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listener_of(config)
    manager = "filter_chains[0].filters[0].typed_config"
    assert caught.value.path == f"{manager}.http_filters[0].typed_config.{path}"
    with pytest.raises(ConfigError) as caught:
        listener_of(route={"x": config})
    routes = f"{manager}.route_config.virtual_hosts[0].routes[0]"
    assert caught.value.path == f'{routes}.typed_per_filter_config["x"].{path}'


def test_a_filter_that_there_is_not_is_refused_on_a_route_too() -> None:
    with pytest.raises(ConfigError, match="is not supported"):
        listener_of(route={"x": {"@type": f"{TYPES}.http.cors.v3.Cors"}})
