"""The filter ext_authz of listeners and routes as Envoy spells it."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.access import AccessStep, Off
from eventmesh.model.authz import AskedByGrpc, AskedByHttp, AuthzOverride, AuthzService, CheckedBody, ExtAuthz
from eventmesh.model.match import TextKind, TextMatch
from eventmesh.model.question import IsText, Metadata
from tests.unit.xds.test_http_filters import ALL, TYPES, listener_of

AUTHZ = f"{TYPES}.http.ext_authz.v3.ExtAuthz"
PER_ROUTE = f"{TYPES}.http.ext_authz.v3.ExtAuthzPerRoute"
BY_GRPC = {"envoy_grpc": {"cluster_name": "authz"}}
URI = {"uri": "http://authz.test/", "cluster": "authz", "timeout": "2s"}


def read(**fields: Any) -> ExtAuthz:
    filters = listener_of({"@type": AUTHZ, **fields}).listener.filters
    assert filters is not None
    (step,) = filters.access
    assert isinstance(step.step, ExtAuthz)
    return step.step


def names(*words: str) -> dict[str, Any]:
    return {"patterns": [{"exact": word} for word in words]}


def exactly(*words: str) -> tuple[TextMatch, ...]:
    return tuple(TextMatch(TextKind.EXACT, word) for word in words)


def overrides(host: dict[str, Any] | None, route: dict[str, Any] | None) -> tuple[AccessStep, ...]:
    def one(settings: dict[str, Any] | None) -> dict[str, Any] | None:
        return {"ask": {"@type": PER_ROUTE, **settings}} if settings is not None else None

    found = listener_of(host=one(host), route=one(route)).inline
    assert found is not None
    filters = found.virtual_hosts[0].routes[0].filters
    return filters.access if filters is not None else ()


def test_a_service_that_is_asked_by_grpc_is_read() -> None:
    service = {**BY_GRPC, "timeout": "1s", "initial_metadata": [{"key": "X-A", "value": "b"}]}
    shadow = {
        "filter": "envoy.filters.http.rbac",
        "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
        "value": {"string_match": {"prefix": "istio-ext-authz"}},
    }
    assert read(
        grpc_service=service,
        transport_api_version="V3",
        failure_mode_allow=True,
        failure_mode_allow_header_add=True,
        status_on_error={"code": "ServiceUnavailable"},
        with_request_body={"max_request_bytes": 8192, "allow_partial_message": True, "pack_as_bytes": True},
        metadata_context_namespaces=["envoy.filters.http.jwt_authn"],
        filter_enabled=ALL,
        filter_enabled_metadata=shadow,
        deny_at_disable={"default_value": True},
        allowed_headers=names("a"),
        disallowed_headers=names("b"),
    ) == ExtAuthz(
        AuthzService("authz", AskedByGrpc(metadata=(("x-a", "b"),)), 1.0),
        fail_open=True,
        marks_failure=True,
        status_on_error=503,
        body=CheckedBody(8192, partial=True, raw=True),
        allowed=exactly("a"),
        disallowed=exactly("b"),
        namespaces=("envoy.filters.http.jwt_authn",),
        enabled_if=Metadata(
            "envoy.filters.http.rbac",
            ("istio_ext_authz_shadow_effective_policy_id",),
            IsText(TextMatch(TextKind.PREFIX, "istio-ext-authz")),
        ),
        deny_at_disable=True,
    )


def test_a_service_that_is_asked_by_http_is_read() -> None:
    service = {
        "server_uri": URI,
        "path_prefix": "/check",
        "authorization_request": {
            "allowed_headers": names("cookie"),
            "headers_to_add": [{"key": "X-A", "value": "b"}],
        },
        "authorization_response": {
            "allowed_upstream_headers": names("x-user"),
            "allowed_upstream_headers_to_append": names("x-more"),
            "allowed_client_headers": names("x-why"),
            "allowed_client_headers_on_success": names("x-told"),
        },
    }
    by = AskedByHttp("/check", (("x-a", "b"),), *map(exactly, ("x-user", "x-more", "x-why", "x-told")))
    assert read(http_service=service) == ExtAuthz(AuthzService("authz", by, 2.0), allowed=exactly("cookie"))


def test_what_is_not_said_is_envoys_default() -> None:
    assert read(grpc_service=BY_GRPC) == ExtAuthz(AuthzService("authz", AskedByGrpc(), 0.2))


def test_routes_say_what_is_different() -> None:
    assert overrides(None, {"disabled": True}) == (AccessStep("ask", Off()),)
    settings = {"context_extensions": {"b": "2", "a": "1"}, "disable_request_body_buffering": True}
    expected = AuthzOverride(extensions=(("a", "1"), ("b", "2")), without_body=True)
    assert overrides(None, {"check_settings": settings}) == (AccessStep("ask", expected),)
    other = {"http_service": {"server_uri": URI}, "with_request_body": {"max_request_bytes": 5}}
    expected = AuthzOverride(AuthzService("authz", AskedByHttp(), 2.0), body=CheckedBody(5))
    assert overrides({"check_settings": other}, None) == (AccessStep("ask", expected),)


def test_a_route_adds_to_what_its_virtual_host_tells_the_service() -> None:
    host = {"check_settings": {"context_extensions": {"a": "host", "b": "host"}}}
    route = {"check_settings": {"context_extensions": {"b": "route", "c": "route"}}}
    (step,) = overrides(host, route)
    assert step == AccessStep("ask", AuthzOverride(extensions=(("a", "host"), ("b", "route"), ("c", "route"))))
    assert overrides(host, {"disabled": True}) == (AccessStep("ask", Off()),)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "grpc_service"),
        ({"grpc_service": {"envoy_grpc": {}}}, "grpc_service.envoy_grpc.cluster_name"),
        ({"grpc_service": {**BY_GRPC, "timeout": "61s"}}, "grpc_service.timeout"),
        ({"http_service": {}}, "http_service.server_uri"),
        ({"http_service": {"server_uri": {**URI, "uri": "here"}}}, "http_service.server_uri.uri"),
        ({"http_service": {"server_uri": URI, "path_prefix": "check"}}, "http_service.path_prefix"),
        ({"grpc_service": BY_GRPC, "transport_api_version": "V2"}, "transport_api_version"),
        ({"grpc_service": BY_GRPC, "with_request_body": {}}, "with_request_body.max_request_bytes"),
        ({"grpc_service": BY_GRPC, "with_request_body": {"max_request_bytes": 1 << 21}}, "max_request_bytes"),
        ({"grpc_service": BY_GRPC, "status_on_error": {"code": "Continue"}}, "status_on_error.code"),
        ({"grpc_service": BY_GRPC, "clear_route_cache": True}, "clear_route_cache"),
        ({"grpc_service": BY_GRPC, "include_peer_certificate": True}, "include_peer_certificate"),
    ],
)
def test_what_would_not_happen_is_refused_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        listener_of({"@type": AUTHZ, **fields})
    assert path in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [{}, {"check_settings": {"disable_request_body_buffering": True, "with_request_body": {"max_request_bytes": 1}}}],
)
def test_a_route_that_says_nothing_or_two_things_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        overrides(None, settings)
