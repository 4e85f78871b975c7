"""The JSON shape is read as protobuf defines it, and every mistake is told by its path."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.xds.schema import document
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import message_type


def _read(name: str, value: object, warnings: list[str] | None = None) -> Message:
    return read_document(message_type(name), value, "x", [] if warnings is None else warnings)


ACTION = "envoy.config.route.v3.RouteAction"
LISTENER = "envoy.config.listener.v3.Listener"


def test_names_are_read_in_snake_case_and_in_camel_case() -> None:
    assert _read(ACTION, {"prefixRewrite": "/a"}) == _read(ACTION, {"prefix_rewrite": "/a"})


def test_a_field_named_in_both_spellings_is_refused() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        _read(ACTION, {"prefixRewrite": "/a", "prefix_rewrite": "/b"})


def test_two_members_of_a_oneof_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"x\.weighted_clusters: excludes cluster"):
        _read(ACTION, {"cluster": "a", "weighted_clusters": {}})


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0.0), ("1.5s", 1.5), ("0.000000001s", 1e-9), ("-1s", -1.0)])
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert _read(ACTION, {"timeout": text}).fields == {"timeout": seconds}


@pytest.mark.parametrize("value", ["1m", "5", 5, "1.0000000001s", "s", "1e3s", "999999999999s"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"x\.timeout"):
        _read(ACTION, {"timeout": value})


def test_a_negative_timeout_is_refused_where_it_is_used() -> None:
    with pytest.raises(ConfigError, match=r"x\.timeout: -1.0s is negative"):
        _read(ACTION, {"timeout": "-1s"}).seconds("timeout", 15.0)


def test_null_is_unset_and_a_default_says_nothing() -> None:
    assert _read(LISTENER, {"name": None, "filter_chains": [], "stat_prefix": ""}).fields == {}


def test_a_wrapper_keeps_zero_and_false() -> None:
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    tree = _read(manager, {"max_request_headers_kb": 0, "normalize_path": False})
    assert (tree.has("max_request_headers_kb"), tree.flag("normalize_path", True)) == (True, False)


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        (LISTENER, {"nmae": "a"}, "x.nmae"),
        (LISTENER, {"name": 5}, "x.name"),
        (LISTENER, {"filter_chains": {}}, "x.filter_chains"),
        (LISTENER, {"filter_chains": [{"filters": [5]}]}, "x.filter_chains[0].filters[0]"),
        (LISTENER, {"address": {"socket_address": {"port_value": -1}}}, "x.address.socket_address.port_value"),
        (LISTENER, {"address": {"socket_address": {"protocol": "UDP"}}}, "x.address.socket_address.protocol"),
        (LISTENER, {"address": {"socket_address": {"protocol": "TPC"}}}, "x.address.socket_address.protocol"),
        (LISTENER, {"bind_to_port": "yes"}, "x.bind_to_port"),
        (LISTENER, {"access_log": [{}]}, "x.access_log"),
        (
            LISTENER,
            {"filter_chains": [{"filters": [{"typed_config": {}}]}]},
            "x.filter_chains[0].filters[0].typed_config.@type",
        ),
        ("envoy.config.core.v3.DataSource", {"inline_bytes": "%"}, "x.inline_bytes"),
        ("envoy.config.core.v3.Node", {"metadata": {"a": {1: 2}}}, "x.metadata.a"),
        ("envoy.config.core.v3.Node", {"metadata": {"a": {1, 2}}}, "x.metadata.a"),
    ],
)
def test_a_mistake_is_named_by_its_path(name: str, value: object, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(name, value)
    assert caught.value.path == path


def test_a_misspelt_field_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean filter_chains?"):
        _read(LISTENER, {"filter_chain": []})


def test_a_harmless_field_is_a_warning_with_its_path() -> None:
    warnings: list[str] = []
    _read(LISTENER, {"name": "a", "tcp_backlog_size": 5, "drain_type": None}, warnings)
    assert [line.split(":")[0] for line in warnings] == ["x.tcp_backlog_size"]


def test_numbers_may_be_written_as_strings() -> None:
    assert _read("envoy.config.core.v3.SocketAddress", {"port_value": "80"}).number("port_value") == 80
    assert _read("envoy.config.core.v3.SocketAddress", {"port_value": 80.0}).number("port_value") == 80


def test_enums_may_be_written_as_numbers() -> None:
    assert _read("envoy.config.cluster.v3.Cluster", {"lb_policy": 3}).text("lb_policy") == "RANDOM"


def test_endless_nesting_stops_at_the_limit() -> None:
    value: dict[str, object] = {}
    value["a"] = value
    with pytest.raises(ConfigError, match=f"more than {document.MAX_DEPTH} deep"):
        _read("envoy.config.core.v3.Node", {"metadata": value})


def test_too_many_values_stop_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_VALUES", 20)
    with pytest.raises(ConfigError, match="more than 20 values"):
        _read("envoy.config.core.v3.Node", {"metadata": {"a": list(range(30))}})


def test_asking_a_message_for_a_field_it_lacks_is_a_bug() -> None:
    with pytest.raises(KeyError):
        _read(LISTENER, {}).text("nmae")
    with pytest.raises(TypeError):
        _read(LISTENER, {"name": "a"}).number("name")
