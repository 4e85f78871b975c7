"""The filter ext_authz; source: envoy.extensions.filters.http.ext_authz.v3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from eventmesh.model.access import Off, Step
from eventmesh.model.authz import (
    DEFAULT_TIMEOUT_S,
    AskedByGrpc,
    AskedByHttp,
    AuthzOverride,
    AuthzService,
    CheckedBody,
    ExtAuthz,
)
from eventmesh.model.match import TextMatch
from eventmesh.model.share import MILLION
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.access import read_metadata
from eventmesh.xds.translate.headers import read_text_match
from eventmesh.xds.translate.shares import read_runtime_share
from eventmesh.xds.translate.sources import read_status

MAX_BODY_BYTES: Final = 1_048_576
"""Most of a body that a service may be told, and that waits for it: an API's message, not an upload."""
MAX_TIMEOUT_S: Final = 60.0
"""Longest time that a service may be given: its caller waits with what it holds."""


def read_authz(config: Message) -> ExtAuthz:
    """Return an `ExtAuthz`. Raises ConfigError with the path of what is wrong."""
    service = _service(config)
    if service is None:
        raise config.error("grpc_service", "missing; give grpc_service or http_service")
    if config.text("transport_api_version", "AUTO") == "V2":
        raise config.error("transport_api_version", "V2 is not supported; V3 is")
    enabled, deny = config.child("filter_enabled_metadata"), config.child("deny_at_disable")
    http = config.child("http_service")
    request = http.child("authorization_request") if http is not None else None
    allowed = _texts(config, "allowed_headers")
    if allowed is None and request is not None:
        # The older place of the same list.
        allowed = _texts(request, "allowed_headers")
    return ExtAuthz(
        service=service,
        fail_open=config.flag("failure_mode_allow"),
        marks_failure=config.flag("failure_mode_allow_header_add"),
        status_on_error=read_status(config, "status_on_error", 403),
        body=_body(config),
        allowed=allowed,
        disallowed=_texts(config, "disallowed_headers") or (),
        namespaces=config.texts("metadata_context_namespaces"),
        enabled_millionths=read_runtime_share(config, "filter_enabled", MILLION),
        enabled_if=read_metadata(enabled) if enabled is not None else None,
        deny_at_disable=deny.flag("default_value") if deny is not None else False,
    )


def read_authz_per_route(config: Message) -> AuthzOverride | Off:
    """Return an `ExtAuthzPerRoute`."""
    settings = config.child("check_settings")
    if settings is None:
        if not config.flag("disabled"):
            raise config.error("check_settings", "missing; give it, or disabled: true")
        return Off()
    body = _body(settings)
    if body is not None and settings.flag("disable_request_body_buffering"):
        raise settings.error("with_request_body", "contradicts disable_request_body_buffering")
    return AuthzOverride(
        service=_service(settings),
        extensions=tuple(sorted(settings.texts_by_key("context_extensions").items())),
        without_body=settings.flag("disable_request_body_buffering"),
        body=body,
    )


READERS: Mapping[str, Callable[[Message], Step]] = {
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz": read_authz,
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute": read_authz_per_route,
}
"""How the filter and what routes say of it are read."""


def _service(owner: Message) -> AuthzService | None:
    grpc, http = owner.child("grpc_service"), owner.child("http_service")
    if grpc is not None:
        return _by_grpc(grpc)
    return _by_http(http) if http is not None else None


def _by_grpc(service: Message) -> AuthzService:
    target = service.child("envoy_grpc")
    if target is None or not target.text("cluster_name"):
        raise service.error("envoy_grpc.cluster_name", "missing; a cluster is asked")
    by = AskedByGrpc(target.text("authority"), _pairs(service, "initial_metadata"))
    return AuthzService(target.text("cluster_name"), by, service.wait_s("timeout", DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S))


def _by_http(service: Message) -> AuthzService:
    uri = service.child("server_uri")
    if uri is None or not uri.text("cluster"):
        raise service.error("server_uri" if uri is None else "server_uri.cluster", "missing")
    if not urlsplit(uri.text("uri")).netloc:
        raise uri.error("uri", f"{uri.text('uri')!r} is no URL with a host")
    prefix = service.text("path_prefix")
    if prefix and not prefix.startswith("/"):
        raise service.error("path_prefix", f"{prefix!r} does not begin with a slash")
    request, response = service.child("authorization_request"), service.child("authorization_response")

    def told(name: str) -> tuple[TextMatch, ...] | None:
        return _texts(response, name) if response is not None else None

    by = AskedByHttp(
        prefix=prefix,
        add=_pairs(request, "headers_to_add") if request is not None else (),
        upstream=told("allowed_upstream_headers") or (),
        upstream_append=told("allowed_upstream_headers_to_append") or (),
        client=told("allowed_client_headers"),
        client_on_success=told("allowed_client_headers_on_success") or (),
    )
    return AuthzService(uri.text("cluster"), by, uri.wait_s("timeout", DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S))


def _pairs(owner: Message, field: str) -> tuple[tuple[str, str], ...]:
    return tuple((one.text("key").lower(), one.text("value")) for one in owner.children(field))


def _texts(owner: Message, field: str) -> tuple[TextMatch, ...] | None:
    found = owner.child(field)
    return tuple(map(read_text_match, found.children("patterns"))) if found is not None else None


def _body(owner: Message) -> CheckedBody | None:
    settings = owner.child("with_request_body")
    if settings is None:
        return None
    most = settings.number("max_request_bytes")
    if not 0 < most <= MAX_BODY_BYTES:
        raise settings.error("max_request_bytes", f"{most} is out of range; accepted are 1 to {MAX_BODY_BYTES}")
    return CheckedBody(most, settings.flag("allow_partial_message"), settings.flag("pack_as_bytes"))
