"""A bootstrap becomes a Snapshot; what is wrong with it is told by path, or by line and column."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from eventmesh.base.errors import ConfigError
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, HeaderEdits, WeightedCluster
from eventmesh.xds import bootstrap as subject
from eventmesh.xds.bootstrap import load_bootstrap, parse_bootstrap
from tests.unit.xds.documents import (
    CLUSTER,
    ENDPOINTS,
    HOST,
    LISTENER,
    MANAGER,
    ROUTE,
    ROUTER,
    TYPES,
    address,
    indexed,
    put,
    shop_document,
)


def test_static_resources_become_a_snapshot() -> None:
    bootstrap = parse_bootstrap(json.dumps(shop_document()))
    assert (bootstrap.node.id, bootstrap.node.cluster, bootstrap.node.metadata) == (
        "gateway-1",
        "edge",
        {"role": "gateway"},
    )
    assert (bootstrap.admin, bootstrap.ads, bootstrap.warnings) == ("127.0.0.1:9901", None, ())
    snapshot = bootstrap.snapshot
    assert snapshot.listeners == (
        Listener("in", "127.0.0.1:0", "public", WireProtocol.AUTO, via="gateway", access_log="/dev/stdout"),
    )
    assert snapshot.clusters == (
        Cluster(
            "shop",
            (
                Endpoint("127.0.0.1:80"),
                Endpoint("[::1]:81", weight=3),
                Endpoint("unix:/run/a.sock", healthy=False),
            ),
            connect_timeout_s=1.0,
            panic_percent=50.0,
        ),
    )
    (table,) = snapshot.route_tables
    (host,) = table.virtual_hosts
    assert (table.name, host.name, host.domains) == ("public", "shop", ("shop.test",))
    (route,) = host.routes
    assert route.match == RouteMatch("/")
    assert route.action == Forward((WeightedCluster("shop"),), timeout_s=0.0)
    assert route.request_headers == HeaderEdits(append=(("x-mesh", "on"),))


def test_yaml_and_json_files_mean_the_same(tmp_path: Path) -> None:
    for name, text in (("a.json", json.dumps(shop_document())), ("a.yaml", yaml.safe_dump(shop_document()))):
        (tmp_path / name).write_text(text)
    from_json, from_yaml = (load_bootstrap(tmp_path / name) for name in ("a.json", "a.yaml"))
    assert from_json.resources == from_yaml.resources


def test_the_version_follows_the_content() -> None:
    text = json.dumps(shop_document())
    other = json.dumps(put(shop_document(), f"{ROUTE}.route.timeout", "1s"))
    assert parse_bootstrap(text).snapshot.version == parse_bootstrap(text).snapshot.version
    assert parse_bootstrap(text).snapshot.version != parse_bootstrap(other).snapshot.version


@pytest.mark.parametrize(
    ("path", "value", "told_at"),
    [
        (f"{LISTENER}.address", {}, "static_resources.listeners[0].address"),
        (f"{LISTENER}.address", address(65536), "static_resources.listeners[0].address.socket_address.port_value"),
        (
            f"{LISTENER}.address",
            address(1, "localhost"),
            "static_resources.listeners[0].address.socket_address.address",
        ),
        (f"{LISTENER}.filter_chains", [], "static_resources.listeners[0].filter_chains"),
        (f"{LISTENER}.name", "", "static_resources.listeners[0].name"),
        (f"{LISTENER}.listener_filters", [{"name": "tls"}], "static_resources.listeners[0].listener_filters[0]"),
        (f"{MANAGER}.@type", f"{TYPES}.filters.network.tcp_proxy.v3.TcpProxy", f"{MANAGER}"),
        (f"{MANAGER}.stat_prefix", "", f"{MANAGER}.stat_prefix"),
        (f"{MANAGER}.codec_type", "HTTP3", f"{MANAGER}.codec_type"),
        (f"{MANAGER}.http_filters", [], f"{MANAGER}.http_filters"),
        (f"{MANAGER}.max_request_headers_kb", 8193, f"{MANAGER}.max_request_headers_kb"),
        (f"{MANAGER}.access_log", [{}, {}], f"{MANAGER}.access_log[1]"),
        (
            f"{MANAGER}.upgrade_configs",
            [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
            f"{MANAGER}.upgrade_configs[1].upgrade_type",
        ),
        (f"{MANAGER}.xff_num_trusted_hops", 1, f"{MANAGER}.xff_num_trusted_hops"),
        (
            f"{MANAGER}.http_filters.0.typed_config.@type",
            f"{TYPES}.filters.http.buffer.v3.Buffer",
            f"{MANAGER}.http_filters[0]",
        ),
        (f"{HOST}.domains", [], f"{HOST}.domains"),
        (f"{HOST}.domains", ["a.*.b"], f"{HOST}.domains[0]"),
        (f"{HOST}.cors", {"allow_headers": "x"}, f"{HOST}.cors"),
        (f"{ROUTE}.match", {}, f"{ROUTE}.match"),
        (f"{ROUTE}.match", {"safe_regex": {"regex": "/a("}}, f"{ROUTE}.match.safe_regex.regex"),
        (f"{ROUTE}.match", {"path": "a"}, f"{ROUTE}.match.path"),
        (f"{ROUTE}.match", {"prefix": "/", "cookies": [{"name": "x"}]}, f"{ROUTE}.match.cookies"),
        (f"{ROUTE}.route", {"cluster": "shpo"}, "static_resources.listeners[0]"),
        (f"{ROUTE}.route", {"timeout": "1s"}, f"{ROUTE}.route.cluster"),
        (f"{ROUTE}.route", {"weighted_clusters": {"clusters": []}}, f"{ROUTE}.route.weighted_clusters.clusters"),
        (f"{ROUTE}.route.retry_policy", {"retry_on": "5xx,bad"}, f"{ROUTE}.route.retry_policy.retry_on"),
        (f"{ROUTE}.request_headers_to_remove", ["host"], f"{ROUTE}.request_headers_to_remove[0]"),
        (
            f"{ROUTE}.request_headers_to_add.0.header.value",
            "%REQ(x)%",
            f"{ROUTE}.request_headers_to_add[0].header.value",
        ),
        (f"{ROUTE}.request_headers_to_add.0.header.key", "a b", f"{ROUTE}.request_headers_to_add[0].header.key"),
        (
            f"{ROUTE}.request_headers_to_add.0.append_action",
            "ADD_IF_ABSENT",
            f"{ROUTE}.request_headers_to_add[0].append_action",
        ),
        (f"{CLUSTER}.type", "ORIGINAL_DST", "static_resources.clusters[0].type"),
        (f"{CLUSTER}.type", "EDS", "static_resources.clusters[0].eds_cluster_config"),
        (f"{CLUSTER}.type", "LOGICAL_DNS", "static_resources.clusters[0].load_assignment"),
        (f"{CLUSTER}.lb_policy", "CLUSTER_PROVIDED", "static_resources.clusters[0].lb_policy"),
        (f"{CLUSTER}.outlier_detection", {"interval": "0s"}, "static_resources.clusters[0].outlier_detection.interval"),
        (f"{CLUSTER}.connect_timeout", "-1s", "static_resources.clusters[0].connect_timeout"),
        (f"{ENDPOINTS}.1.load_balancing_weight", 0, f"{ENDPOINTS}[1].load_balancing_weight"),
        (f"{ENDPOINTS}.0.endpoint.address", address(0), f"{ENDPOINTS}[0].endpoint.address.socket_address.port_value"),
        ("static_resources.secrets", [{"name": "x"}], "static_resources.secrets[0]"),
        ("admin.address", address(70000), "admin.address.socket_address.port_value"),
        ("overload_manager", {"actions": []}, "overload_manager"),
    ],
)
def test_what_cannot_be_carried_out_is_told_by_its_path(path: str, value: object, told_at: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(put(shop_document(), path, value)))
    assert caught.value.path == indexed(told_at)


def test_an_edge_names_its_clients_unless_that_is_asked_not_to_be() -> None:
    document = put(shop_document(), f"{MANAGER}.use_remote_address", True)
    assert [one.use_remote_address for one in parse_bootstrap(json.dumps(document)).snapshot.listeners] == [True]
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(put(document, f"{MANAGER}.skip_xff_append", True)))
    assert caught.value.path == indexed(f"{MANAGER}.skip_xff_append")


def test_a_domain_in_two_virtual_hosts_is_refused_naming_both() -> None:
    document = shop_document()
    hosts = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"][
        "route_config"
    ]
    hosts["virtual_hosts"].append({"name": "twin", "domains": ["shop.test"]})
    with pytest.raises(ConfigError, match=r"virtual_hosts\[1\].domains\[0\]: 'shop.test' belongs .* 'shop' already"):
        parse_bootstrap(json.dumps(document))


@pytest.mark.parametrize("kind", ["listeners", "clusters"])
def test_a_name_given_twice_is_refused(kind: str) -> None:
    document = shop_document()
    document["static_resources"][kind] *= 2
    with pytest.raises(ConfigError, match=rf"{kind}\[1\].name: .* is taken"):
        parse_bootstrap(json.dumps(document))


def test_a_filter_that_is_optional_may_be_unknown() -> None:
    optional = {"name": "x", "is_optional": True, "typed_config": {"@type": "type.googleapis.com/a.B"}}
    document = put(shop_document(), f"{MANAGER}.http_filters", [optional, ROUTER])
    assert parse_bootstrap(json.dumps(document)).snapshot.listeners


def test_an_ignored_setting_is_a_warning() -> None:
    document = put(shop_document(), f"{LISTENER}.tcp_backlog_size", 128)
    (warning,) = parse_bootstrap(json.dumps(document)).warnings
    assert warning.startswith("static_resources.listeners[0].tcp_backlog_size: ignored")


def test_two_tables_of_one_name_stay_apart() -> None:
    document = shop_document()
    other = copy.deepcopy(document["static_resources"]["listeners"][0])
    other["name"] = "side"
    other["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["domains"] = ["*"]
    document["static_resources"]["listeners"].append(other)
    snapshot = parse_bootstrap(json.dumps(document)).snapshot
    assert [listener.route_table for listener in snapshot.listeners] == ["public", "side/public"]
    assert [table.name for table in snapshot.route_tables] == ["public", "side/public"]


def test_http2_upstreams_and_our_own_settings_are_read() -> None:
    options = f"{TYPES}.upstreams.http.v3.HttpProtocolOptions"
    document = put(
        shop_document(),
        f"{CLUSTER}.typed_extension_protocol_options",
        {"x": {"@type": options, "explicit_http_config": {"http2_protocol_options": {}}}},
    )
    document = put(document, f"{CLUSTER}.metadata", {"filter_metadata": {"eventmesh": {"hold": True}}})
    (cluster,) = parse_bootstrap(json.dumps(document)).snapshot.clusters
    assert (cluster.protocol, cluster.hold) == (WireProtocol.HTTP2, True)
    document = put(document, f"{CLUSTER}.metadata.filter_metadata.eventmesh", {"protocol": "bolt"})
    assert parse_bootstrap(json.dumps(document)).snapshot.clusters[0].protocol is WireProtocol.BOLT


@pytest.mark.parametrize(
    "settings",
    [
        {"hodl": True},
        {"hold": 1},
        {"protocol": "http2"},
        {"max_requests_per_endpoint": -1},
        {"balancing": "round_robin"},
        {"balancing": 1},
    ],
)
def test_a_mistake_in_our_own_settings_is_told(settings: dict[str, object]) -> None:
    document = put(shop_document(), f"{CLUSTER}.metadata", {"filter_metadata": {"eventmesh": settings}})
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(document))
    (key,) = settings
    assert caught.value.path == f"static_resources.clusters[0].metadata.filter_metadata.eventmesh.{key}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1, 2", "is no valid YAML at line 2, column 1"),
        ("node:\n  id: a\n  id: b\n", "at line 3, column 3: the key 'id' is given twice"),
        ("1: 2\n", "the key 1 must be a string"),
        ("", "is empty"),
        ("- a\n", "expected an object"),
        ('{"node": {"id": "a", "id": "b"}}', "id: given twice"),
        ("a: *b\n", "undefined alias"),
        ("a: !!python/object/apply:os.system [x]\n", "could not determine a constructor"),
    ],
)
def test_what_is_no_bootstrap_is_told_by_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_bootstrap(text)


def test_a_json_file_with_a_mistake_is_told_by_line(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{\n  "node": {]\n}')
    with pytest.raises(ConfigError, match=r"a\.json: is no JSON at line 2, column 12"):
        load_bootstrap(file)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: cannot be read: No such file"):
        load_bootstrap(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match="is not UTF-8 at byte 3"):
        load_bootstrap(tmp_path / "latin")


def test_a_file_longer_than_the_limit_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_FILE_BYTES", 10)
    (tmp_path / "long").write_text("a" * 11)
    with pytest.raises(ConfigError, match="longer than the limit of 10 bytes"):
        load_bootstrap(tmp_path / "long")


def test_a_keep_alive_towards_clients_is_told_to_have_no_effect() -> None:
    options = {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
    bootstrap = parse_bootstrap(json.dumps(put(shop_document(), f"{MANAGER}.http2_protocol_options", options)))
    (warning,) = bootstrap.warnings
    assert warning.endswith(
        "http2_protocol_options.connection_keepalive: ignored, clients are not asked whether they live"
    )
