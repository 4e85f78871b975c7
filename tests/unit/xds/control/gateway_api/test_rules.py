"""What HTTPRoutes and GRPCRoutes say, and what of it cannot be done."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.route import HeaderEdits, Redirect
from eventmesh.xds.control.gateway_api.rules import RETRY_ON, parse_route
from eventmesh.xds.control.gateway_api.values import ParentRef, Rewrite, RouteKind, Rule
from eventmesh.xds.control.policy.values import Retry, RoutePolicy
from tests.unit.xds.control.gateway_api.objects import route, to


def http(rule: Object) -> Rule:
    return parse_route(route("r", rule), RouteKind.HTTP).rules[0]


def grpc(match: Object) -> RouteMatch:
    return parse_route(route("r", {"matches": [match]}), RouteKind.GRPC).rules[0].matches[0]


def test_a_route_without_rules_takes_every_request() -> None:
    (rule,) = parse_route(route("r"), RouteKind.HTTP).rules
    assert rule == Rule(matches=(RouteMatch("/", PathKind.PREFIX),))
    assert parse_route(route("r"), RouteKind.GRPC).rules == ()


def test_parents_are_gateways_unless_said_otherwise() -> None:
    refs = [
        {"name": "a"},
        {"name": "b", "namespace": "other", "sectionName": "http", "port": 80},
        {"group": "", "kind": "Service", "name": "c"},
        {"group": "x.test", "kind": "Gateway", "name": "d"},
    ]
    assert parse_route(route("r", parentRefs=refs), RouteKind.HTTP).parents == (
        ParentRef("Gateway", Key("ns", "a")),
        ParentRef("Gateway", Key("other", "b"), "http", 80),
        ParentRef("Service", Key("ns", "c")),
        ParentRef("Gateway.x.test", Key("ns", "d")),
    )


def test_prefixes_end_at_a_slash() -> None:
    assert http(to("s", "/a/")).matches == (RouteMatch("/a", PathKind.SEPARATED_PREFIX),)
    assert http(to("s", "/")).matches == (RouteMatch("/", PathKind.PREFIX),)


def test_conditions_are_those_of_the_data_plane() -> None:
    headers = [
        {"name": "B", "value": "2"},
        {"name": "a", "type": "RegularExpression", "value": "x+"},
        {"name": "b", "value": "second of its name"},
    ]
    found = http({"matches": [{"method": "GET", "headers": headers, "queryParams": [{"name": "Q", "value": "1"}]}]})
    assert found.matches == (
        RouteMatch(
            "/",
            PathKind.PREFIX,
            (
                HeaderMatch(":method", TextKind.EXACT, "GET"),
                HeaderMatch("a", TextKind.REGEX, "x+"),
                HeaderMatch("b", TextKind.EXACT, "2"),
            ),
            (HeaderMatch("Q", TextKind.EXACT, "1"),),
        ),
    )


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ({}, "/", PathKind.PREFIX),
        ({"service": "a.B", "method": "C"}, "/a.B/C", PathKind.EXACT),
        ({"service": "a.B"}, "/a.B/", PathKind.PREFIX),
        ({"method": "C"}, "/[^/]+/C", PathKind.REGEX),
        ({"type": "RegularExpression", "service": "a\\..*"}, "/(?:a\\..*)/(?:[^/]+)", PathKind.REGEX),
    ],
)
def test_grpc_methods_are_paths(method: Object, path: str, kind: PathKind) -> None:
    assert grpc({"method": method}) == RouteMatch(path, kind)


def filters(*items: Object) -> Object:
    return {"filters": list(items)}


def test_filters_become_edits_rewrites_and_redirects() -> None:
    edits = {"set": [{"name": "A", "value": "1"}], "add": [{"name": "B", "value": "2"}], "remove": ["C"]}
    expected = HeaderEdits((("a", "1"),), (("b", "2"),), ("c",))
    assert http(filters({"type": "RequestHeaderModifier", "requestHeaderModifier": edits})).request == expected
    assert http(filters({"type": "ResponseHeaderModifier", "responseHeaderModifier": edits})).response == expected
    rewrite = {"hostname": "h", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/p"}}
    assert http(filters({"type": "URLRewrite", "urlRewrite": rewrite})).rewrite == Rewrite("h", "/p")
    redirect = {"scheme": "https", "hostname": "h", "port": 8443, "statusCode": 308}
    redirect["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/n/"}
    assert http(filters({"type": "RequestRedirect", "requestRedirect": redirect})).redirect == Redirect(
        308, "https", "h", 8443, prefix_rewrite="/n"
    )
    assert http(filters({"type": "RequestRedirect", "requestRedirect": {}})).redirect == Redirect(302)


def test_timeouts_and_retries_are_a_policy() -> None:
    assert http({"timeouts": {"request": "2s"}}).policy == RoutePolicy(request_timeout_s=2.0)
    assert http({"timeouts": {"request": "2s", "backendRequest": "500ms"}}).policy == RoutePolicy(request_timeout_s=0.5)
    assert http({"timeouts": {"request": "0s"}}).policy == RoutePolicy(request_timeout_s=0.0)
    both = {"timeouts": {"backendRequest": "1s"}, "retry": {"attempts": 2, "codes": [503], "backoff": "10ms"}}
    assert http(both).policy == RoutePolicy(try_timeout_s=1.0, retry=Retry(RETRY_ON, 2, (503,), 0.01))
    assert http({}).policy is None


def mirror(**found: Any) -> Object:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "s", "port": 80}, **found}}


@pytest.mark.parametrize(
    ("said", "millionths"),
    [
        ({}, 1_000_000),
        ({"percent": 42}, 420_000),
        ({"percent": 0}, 0),
        ({"fraction": {"numerator": 5, "denominator": 1000}}, 5_000),
        ({"fraction": {"numerator": 5}}, 50_000),
    ],
)
def test_copies_are_a_share_of_the_requests(said: Object, millionths: int) -> None:
    (copy,) = http(filters(mirror(**said))).copies
    assert (copy.backend.service, copy.millionths) == (Key("ns", "s"), millionths)
    assert len(http(filters(mirror(), mirror())).copies) == 2


def backend(**ref: Any) -> Object:
    return {"backendRefs": [{"name": "s", "port": 80, **ref}]}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (filters({"type": "ExtensionRef"}), "spec.rules[0].filters[0].type: 'ExtensionRef' is not supported"),
        (
            filters({"type": "URLRewrite"}, {"type": "URLRewrite"}),
            "spec.rules[0].filters[1].type: URLRewrite is given twice",
        ),
        (
            filters({"type": "RequestRedirect"}, {"type": "URLRewrite", "urlRewrite": {"hostname": "h"}}),
            "spec.rules[0].filters: a request is redirected or rewritten, not both",
        ),
        (
            {
                "matches": [{"path": {"type": "Exact", "value": "/a"}}],
                **filters({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch"}}}),
            },
            "spec.rules[0].filters: ReplacePrefixMatch wants every match",
        ),
        (
            filters(
                {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "a"}}}
            ),
            "spec.rules[0].filters[0].urlRewrite.path.replaceFullPath: 'a' is no path",
        ),
        (
            filters({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["Transfer-Encoding"]}}),
            "responseHeaderModifier.remove[0]: 'Transfer-Encoding' is no header that may be edited",
        ),
        (
            backend(filters=[{"type": "RequestRedirect", "requestRedirect": {}}]),
            "spec.rules[0].backendRefs[0].filters: only",
        ),
        (
            {"matches": [{"path": {"type": "RegularExpression", "value": "/("}}]},
            "spec.rules[0].matches[0].path.value: ",
        ),
        (filters(mirror(percent=1, fraction={"numerator": 1})), "requestMirror: percent or fraction, not both"),
        (filters(mirror(fraction={"numerator": 3, "denominator": 2})), "requestMirror.fraction: is no part of a whole"),
        (
            filters(mirror(), {"type": "RequestRedirect", "requestRedirect": {}}),
            "spec.rules[0].filters: nothing is copied",
        ),
        ({"timeouts": {"request": "soon"}}, "spec.rules[0].timeouts.request: 'soon' is no duration"),
        ({"timeouts": {"request": "1s", "backendRequest": "2s"}}, "is longer than timeouts.request"),
    ],
)
def test_what_cannot_be_done_is_told_by_its_field(rule: Object, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        http(rule)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("ref", "reason"),
    [({"kind": "Thing", "group": "x.test"}, "InvalidKind"), ({"port": None}, "UnsupportedValue")],
)
def test_a_backend_that_is_no_service_is_a_problem_of_its_own(ref: Object, reason: str) -> None:
    found = http(backend(**ref)).backends[0].problem
    assert found is not None and found[0] == reason
