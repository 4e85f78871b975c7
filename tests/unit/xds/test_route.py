"""Route configurations: whose header edits have the last word, and the actions."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.route import DirectResponse, Forward, Redirect, RouteTable
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.translate.route import MAX_DIRECT_BODY_BYTES, read_route_table


def _table(*routes: dict[str, Any], host: dict[str, Any] | None = None, **fields: Any) -> tuple[RouteTable, list[str]]:
    warnings: list[str] = []
    document = {
        "name": "t",
        "virtual_hosts": [{"name": "h", "domains": ["*"], "routes": list(routes), **(host or {})}],
        **fields,
    }
    message = read_document(message_type("envoy.config.route.v3.RouteConfiguration"), document, "", warnings)
    return read_route_table(message, warnings), warnings


def _set(value: str) -> list[dict[str, Any]]:
    return [{"header": {"key": "x-level", "value": value}, "append": False}]


ROUTE: dict[str, Any] = {"match": {"prefix": "/"}, "route": {"cluster": "a"}}
SPLIT: dict[str, Any] = {
    "match": {"prefix": "/"},
    "route": {
        "weighted_clusters": {
            "clusters": [
                {"name": "a", "weight": 1, "request_headers_to_add": _set("share")},
                {"name": "b", "weight": 3},
            ]
        }
    },
}


@pytest.mark.parametrize(("specific", "level"), [(False, "table"), (True, "route")])
def test_the_most_general_edit_has_the_last_word_unless_told_otherwise(specific: bool, level: str) -> None:
    table, _ = _table(
        {**ROUTE, "request_headers_to_add": _set("route")},
        host={"request_headers_to_add": _set("host")},
        request_headers_to_add=_set("table"),
        most_specific_header_mutations_wins=specific,
    )
    (host,) = table.virtual_hosts
    (route,) = host.routes
    assert route.request_headers.set == (("x-level", level),)
    # Said once, at the route: the core would give the host's own edits another place in the order.
    assert host.request_headers.set == ()


def test_when_a_share_has_edits_every_share_carries_all_of_them() -> None:
    table, _ = _table({**SPLIT, "request_headers_to_add": _set("route")}, most_specific_header_mutations_wins=True)
    (route,) = table.virtual_hosts[0].routes
    assert isinstance(route.action, Forward)
    assert [share.request_headers.set for share in route.action.clusters] == [
        (("x-level", "share"),),
        (("x-level", "route"),),
    ]
    assert route.request_headers.set == ()


def test_answers_of_the_mesh_carry_the_edits_around_them() -> None:
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    table, warnings = _table(answer, host={"response_headers_to_add": _set("host")})
    assert table.virtual_hosts[0].routes[0].response_headers.set == (("x-level", "host"),) and warnings == []


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"redirect": {"https_redirect": True}}, Redirect(301, "https")),
        (
            {
                "redirect": {
                    "scheme_redirect": "wss",
                    "host_redirect": "a",
                    "port_redirect": 8443,
                    "path_redirect": "/x",
                }
            },
            Redirect(301, "wss", "a", 8443, "/x"),
        ),
        ({"redirect": {"response_code": "PERMANENT_REDIRECT"}}, Redirect(308)),
        ({"redirect": {"prefix_rewrite": "/b", "port_redirect": 81}}, Redirect(301, port=81, prefix_rewrite="/b")),
        ({"direct_response": {"status": 204}}, DirectResponse(204)),
        ({"direct_response": {"status": 200, "body": {"inline_bytes": "YQ=="}}}, DirectResponse(200, "a")),
    ],
)
def test_answers_of_the_mesh_are_read(action: dict[str, Any], expected: object) -> None:
    table, _ = _table({"match": {"prefix": "/"}, **action})
    assert table.virtual_hosts[0].routes[0].action == expected


def _rewritten(regex: str, substitution: str) -> dict[str, Any]:
    rewrite = {"pattern": {"regex": regex}, "substitution": substitution}
    return {"match": {"prefix": "/"}, "route": {"cluster": "a", "regex_rewrite": rewrite}}


def test_a_path_is_rewritten_as_a_whole() -> None:
    table, _ = _table(_rewritten("^/.*$", "/b"))
    action = table.virtual_hosts[0].routes[0].action
    assert isinstance(action, Forward) and action.path_rewrite == "/b"


def test_conditions_on_the_query_are_read() -> None:
    parameters = [
        {"name": "A", "string_match": {"exact": "1"}},
        {"name": "b", "string_match": {"safe_regex": {"regex": "x+"}}},
        {"name": "c", "present_match": True},
        {"name": "d"},
    ]
    table, _ = _table({"match": {"prefix": "/", "query_parameters": parameters}, "route": {"cluster": "a"}})
    assert table.virtual_hosts[0].routes[0].match.query == (
        HeaderMatch("A", TextKind.EXACT, "1"),
        HeaderMatch("b", TextKind.REGEX, "x+"),
        HeaderMatch("c", TextKind.PRESENT),
        HeaderMatch("d", TextKind.PRESENT),
    )


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ({}, "match"),
        ({"match": {"prefix": "/"}}, ""),
        ({"match": {"prefix": "/"}, "redirect": {"port_redirect": 65_536}}, "redirect.port_redirect"),
        (
            {"match": {"safe_regex": {"regex": "/a"}}, "redirect": {"prefix_rewrite": "/b"}},
            "redirect.prefix_rewrite",
        ),
        (
            {"match": {"prefix": "/", "query_parameters": [{}]}, "route": {"cluster": "a"}},
            "match.query_parameters[0].name",
        ),
        (_rewritten("^/a", "/b"), "route.regex_rewrite.pattern"),
        (_rewritten("^/.*$", "/\\1"), "route.regex_rewrite.substitution"),
        (_rewritten("^/.*$", "b"), "route.regex_rewrite.substitution"),
        ({"match": {"prefix": "/"}, "redirect": {"strip_query": True}}, "redirect.strip_query"),
        ({"match": {"prefix": "/"}, "direct_response": {"status": 100}}, "direct_response.status"),
        (
            {
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "x" * (MAX_DIRECT_BODY_BYTES + 1)}},
            },
            "direct_response.body",
        ),
        (
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_bytes": "/w=="}}},
            "direct_response.body.inline_bytes",
        ),
        ({"match": {"path_separated_prefix": "/a/"}, "route": {"cluster": "a"}}, "match.path_separated_prefix"),
        ({"match": {"path": "x"}, "route": {"cluster": "a"}}, "match.path"),
        (
            {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [{"weight": 1}]}}},
            "route.weighted_clusters.clusters[0].name",
        ),
    ],
)
def test_a_route_that_cannot_be_followed_is_told_by_its_path(route: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _table(route)
    assert caught.value.path == "virtual_hosts[0].routes[0]" + (f".{path}" if path else "")


def test_ports_and_case_take_no_part_in_domains() -> None:
    table, _ = _table(host={"domains": ["A.test", "a.test:80", "a.test:*", "com.shop.Orders:1.0"]})
    assert table.virtual_hosts[0].domains == ("a.test", "com.shop.orders:1.0")


def test_an_expression_matches_paths_and_headers() -> None:
    match = {"safe_regex": {"regex": "/a/[0-9]+"}, "headers": [{"name": "X", "safe_regex_match": {"regex": "b+"}}]}
    table, _ = _table({"match": match, "route": {"cluster": "a"}})
    expected = RouteMatch("/a/[0-9]+", PathKind.REGEX, (HeaderMatch("x", TextKind.REGEX, "b+"),))
    assert table.virtual_hosts[0].routes[0].match == expected


def test_a_path_matched_by_an_expression_has_no_prefix_to_replace() -> None:
    with pytest.raises(ConfigError) as caught:
        _table({"match": {"safe_regex": {"regex": "/a"}}, "route": {"cluster": "a", "prefix_rewrite": "/b"}})
    assert caught.value.path == "virtual_hosts[0].routes[0].route.prefix_rewrite"
