"""Filters that are configured by name: how listeners name them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.access import AccessStep, Rbac, RuleAction, Rules
from eventmesh.model.policy import Fault, Filters, RateLimit
from eventmesh.model.share import MILLION
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.discovered_filters import ABSENT, Extension, read_extension
from eventmesh.xds.translate.filters import FILTERS
from eventmesh.xds.translate.listener import read_listener
from eventmesh.xds.translate.resources import ListenerResource, StaticResources, clusters_asked
from tests.unit.xds.test_http_filters import FAULT, LIMIT, LISTENER, ROUTER, TYPES

RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
LIMIT_KIND = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
READ_LIMIT = RateLimit(10, 5, 2.0, MILLION, 1, 503, True)
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"


def discovery(kind: str = LIMIT_KIND, **fields: Any) -> dict[str, Any]:
    return {"config_source": {"ads": {}}, "type_urls": [f"type.googleapis.com/{kind}"], **fields}


def listener_with(*filters: dict[str, Any]) -> ListenerResource:
    """Return a listener with routes of its own and these filters before its router."""
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "t", "virtual_hosts": []},
        "http_filters": [*filters, ROUTER],
    }
    document = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    message = read_document(message_type(LISTENER), document, "", [])
    assert read_wire(message_type(LISTENER), write_wire(LISTENER, message.fields), "", []) == message
    return read_listener(message, [])


def extension(name: str, config: dict[str, Any], *kinds: str) -> Extension:
    message = read_document(message_type(EXTENSION), {"name": name, "typed_config": config}, "", [])
    return read_extension(message, frozenset(kinds))


def denied(name: str) -> AccessStep:
    return AccessStep(f"{name} is not configured", Rbac(Rules(RuleAction.ALLOW)))


def test_what_is_sent_takes_its_place_among_the_other_filters() -> None:
    resource = listener_with(
        {"name": "fault", "typed_config": FAULT}, {"name": "limit", "config_discovery": discovery()}
    )
    sent = {"limit": extension("limit", LIMIT, LIMIT_KIND), "other": ABSENT}
    fault = Fault(0.5, MILLION // 10, 418, 2500)
    assert resource.with_extensions(sent).listener.filters == Filters(fault, READ_LIMIT)
    assert not resource.is_self_contained


def test_steps_of_access_keep_their_order_and_their_names() -> None:
    empty = {"@type": f"type.googleapis.com/{RBAC}"}
    resource = listener_with(
        {"name": "first", "config_discovery": discovery(RBAC)},
        {"name": "second", "typed_config": empty},
        {"name": "third", "config_discovery": discovery(RBAC, default_config=empty)},
    )
    filters = resource.with_extensions({"first": extension("first", empty, RBAC)}).listener.filters
    assert filters is not None
    assert [step.name for step in filters.access] == ["first", "second", "third"]


def test_nobody_goes_on_where_a_filter_without_a_default_has_no_configuration() -> None:
    resource = listener_with({"name": "limit", "config_discovery": discovery()})
    for sent in ({}, {"limit": ABSENT}, {"limit": Extension(RBAC, AccessStep("limit", Rbac()))}):
        filters = resource.with_extensions(sent).listener.filters
        assert filters == Filters(access=(denied("limit"),))
        assert clusters_asked(filters) == frozenset()
    # Whoever does not look at what is sent by name fails closed as well.
    assert resource.listener.filters == Filters(access=(denied("limit"),))


def test_a_default_does_until_there_is_better() -> None:
    resource = listener_with({"name": "limit", "config_discovery": discovery(default_config=LIMIT)})
    assert resource.listener.filters == Filters(rate_limit=READ_LIMIT)
    assert resource.with_extensions({"limit": ABSENT}).listener.filters == Filters(rate_limit=READ_LIMIT)
    nothing = extension("limit", {"@type": LIMIT["@type"], "stat_prefix": "s"}, LIMIT_KIND)
    assert resource.with_extensions({"limit": nothing}).listener.filters is None


def test_a_listener_serves_at_once_only_when_no_filter_of_it_is_awaited() -> None:
    at_once = discovery(default_config=LIMIT, apply_default_config_without_warming=True)
    first = listener_with({"name": "limit", "config_discovery": at_once})
    second = listener_with({"name": "limit", "config_discovery": discovery(default_config=LIMIT)})
    assert (first.is_self_contained, second.is_self_contained) == (True, False)
    snapshot = StaticResources(listeners=(first, second)).snapshot("v")
    assert [one.filters for one in snapshot.listeners] == [Filters(rate_limit=READ_LIMIT)]


def test_every_filter_may_be_sent_by_name() -> None:
    for kind in FILTERS:
        (one,) = listener_with({"name": "x", "config_discovery": discovery(kind)}).discovered
        assert one.kinds == {kind}


def test_a_filter_that_is_off_or_may_be_left_out_is_not_asked_for() -> None:
    unknown = discovery("envoy.extensions.filters.http.lua.v3.Lua")
    resource = listener_with(
        {"name": "a", "disabled": True, "config_discovery": discovery()},
        {"name": "b", "is_optional": True, "config_discovery": unknown},
    )
    assert (resource.discovered, resource.listener.filters) == ((), None)


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"config_discovery": discovery()}, "name", "missing"),
        ({"name": "x", "config_discovery": {"config_source": {"ads": {}}}}, "config_discovery.type_urls", "missing"),
        (
            {"name": "x", "config_discovery": discovery("envoy.extensions.filters.http.lua.v3.Lua")},
            "config_discovery.type_urls",
            "Lua is not supported; ",
        ),
        (
            {"name": "x", "config_discovery": {"type_urls": [f"type.googleapis.com/{RBAC}"]}},
            "config_discovery.config_source",
            "must be ads",
        ),
        (
            {"name": "x", "config_discovery": discovery(apply_default_config_without_warming=True)},
            "config_discovery.default_config",
            "missing",
        ),
        (
            {"name": "x", "config_discovery": discovery(default_config=FAULT)},
            "config_discovery.default_config",
            "is a envoy.extensions.filters.http.fault.v3.HTTPFault",
        ),
        (
            {"name": "x", "config_discovery": discovery(default_config={**LIMIT, "stat_prefix": ""})},
            "config_discovery.default_config.stat_prefix",
            "missing",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_told_by_its_path(fields: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listener_with(fields)
    assert caught.value.path == f"filter_chains[0].filters[0].typed_config.http_filters[0].{path}"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("config", "path", "words"),
    [
        (None, "typed_config", "missing"),
        (FAULT, "typed_config", f"accepts {LIMIT_KIND}"),
        ({"@type": "type.googleapis.com/a.B"}, "typed_config", "is a a.B"),
        ({**LIMIT, "token_bucket": {"fill_interval": "1s"}}, "typed_config.token_bucket.max_tokens", "out of range"),
    ],
)
def test_what_is_sent_and_cannot_be_carried_out_is_told_by_its_path(
    config: dict[str, Any] | None, path: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        document = {"name": "x"} if config is None else {"name": "x", "typed_config": config}
        read_extension(read_document(message_type(EXTENSION), document, "", []), frozenset((LIMIT_KIND,)))
    assert caught.value.path == path
    assert words in str(caught.value)
