"""The filter rbac of listeners, virtual hosts and routes as Envoy spells it."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.access import AccessStep, Off, Policy, Rbac, RuleAction, Rules
from eventmesh.model.match import HeaderMatch, TextKind, TextMatch
from eventmesh.model.policy import Filters
from eventmesh.model.question import (
    All,
    AnyOf,
    Anything,
    Caller,
    DestinationIp,
    DestinationPort,
    HasMember,
    Header,
    IsFlag,
    IsNull,
    IsNumber,
    IsOne,
    IsText,
    IsThere,
    Metadata,
    Not,
    Principal,
    ServerName,
    SourceIp,
    Test,
    UrlPath,
    ValueTest,
)
from tests.unit.xds.test_http_filters import TYPES, listener_of

RBAC = f"{TYPES}.http.rbac.v3.RBAC"
PER_ROUTE = f"{TYPES}.http.rbac.v3.RBACPerRoute"
ANY = {"any": True}
A = TextMatch(TextKind.EXACT, "a")


def _rules(*, permission: Any = ANY, principal: Any = ANY, **fields: Any) -> dict[str, Any]:
    return {"policies": {"p": {"permissions": [permission], "principals": [principal]}}, **fields}


def _policy(**either: Any) -> Policy:
    filters = listener_of({"@type": RBAC, "rules": _rules(**either)}).listener.filters
    assert filters is not None
    (step,) = filters.access
    assert isinstance(step.step, Rbac) and step.step.rules is not None
    return step.step.rules.policies[0]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (ANY, Anything()),
        ({"header": {"name": "X-A", "string_match": {"exact": "a", "ignore_case": True}}},
         Header(HeaderMatch("x-a", TextKind.EXACT, "a", ignore_case=True))),
        ({"url_path": {"path": {"prefix": "/a"}}}, UrlPath(TextMatch(TextKind.PREFIX, "/a"))),
        ({"destination_ip": {"address_prefix": "10.0.0.0", "prefix_len": 8}}, DestinationIp("10.0.0.0/8")),
        ({"destination_port": 80}, DestinationPort(80, 80)),
        ({"destination_port_range": {"start": 80, "end": 90}}, DestinationPort(80, 89)),
        ({"requested_server_name": {"exact": "a"}}, ServerName(A)),
        ({"not_rule": ANY}, Not(Anything())),
        ({"and_rules": {"rules": [ANY, ANY]}}, All((Anything(), Anything()))),
        ({"or_rules": {"rules": [ANY]}}, AnyOf((Anything(),))),
    ],
)  # fmt: skip
def test_permissions_are_read(written: dict[str, Any], expected: Test) -> None:
    assert _policy(permission=written).permissions == (expected,)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"authenticated": {}}, Principal()),
        ({"authenticated": {"principal_name": {"exact": "a"}}}, Principal(A)),
        ({"source_ip": {"address_prefix": "::1", "prefix_len": 128}}, SourceIp(Caller.DIRECT, "::1/128")),
        ({"direct_remote_ip": {"address_prefix": "10.0.0.1"}}, SourceIp(Caller.DIRECT, "10.0.0.1/0")),
        ({"remote_ip": {"address_prefix": "10.0.0.1", "prefix_len": 32}}, SourceIp(Caller.TOLD, "10.0.0.1/32")),
        ({"not_id": ANY}, Not(Anything())),
        ({"and_ids": {"ids": [ANY]}}, All((Anything(),))),
        ({"or_ids": {"ids": [ANY, ANY]}}, AnyOf((Anything(), Anything()))),
    ],
)
def test_principals_are_read(written: dict[str, Any], expected: Test) -> None:
    assert _policy(principal=written).principals == (expected,)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"null_match": {}}, IsNull()),
        ({"double_match": {"exact": 1.5}}, IsNumber(1.5, 1.5)),
        ({"double_match": {"range": {"start": 1, "end": 2}}}, IsNumber(1.0, 2.0)),
        ({"string_match": {"exact": "a"}}, IsText(A)),
        ({"bool_match": False}, IsFlag(False)),
        ({"present_match": True}, IsThere(True)),
        ({"list_match": {"one_of": {"string_match": {"exact": "a"}}}}, HasMember(IsText(A))),
        ({"or_match": {"value_matchers": [{"bool_match": True}, {"null_match": {}}]}}, IsOne((IsFlag(True), IsNull()))),
    ],
)
def test_conditions_on_metadata_are_read(written: dict[str, Any], expected: ValueTest) -> None:
    matcher = {"filter": "f", "path": [{"key": "a"}, {"key": "b"}], "value": written, "invert": True}
    wanted = (Metadata("f", ("a", "b"), expected, invert=True),)
    assert _policy(principal={"metadata": matcher}).principals == wanted
    assert _policy(permission={"metadata": matcher}).permissions == wanted


def test_a_filter_keeps_its_name_action_and_shadow() -> None:
    shadow = {"action": "LOG", "policies": {}}
    written = {"@type": RBAC, "rules": _rules(action="DENY"), "shadow_rules": shadow}
    both = Rbac(Rules(RuleAction.DENY, (Policy("p", (Anything(),), (Anything(),)),)), Rules(RuleAction.LOG))
    empty = AccessStep("1", Rbac(Rules(RuleAction.ALLOW)))
    filters = listener_of(written, {"@type": RBAC, "rules": {}}).listener.filters
    assert filters == Filters(access=(AccessStep("0", both), empty))


def test_a_route_and_a_virtual_host_override_by_the_filters_name() -> None:
    own = {"@type": PER_ROUTE, "rbac": {"rules": {}}}
    resource = listener_of({"@type": RBAC}, host={"0": own, "other": own}, route={"0": {"@type": PER_ROUTE}})
    assert resource.inline is not None
    one, two = resource.inline.virtual_hosts[0].routes
    nobody = Rbac(Rules(RuleAction.ALLOW))
    assert two.filters == Filters(access=(AccessStep("0", nobody), AccessStep("other", nobody)))
    assert one.filters == Filters(access=(AccessStep("0", Off()), AccessStep("other", nobody)))


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        (_rules(permission={"uri_template": {"name": "x"}}), r'policies\["p"\]\.permissions\[0\]\.uri_template'),
        (_rules(permission={"matcher": {"name": "x"}}), r"permissions\[0\]\.matcher"),
        (_rules(permission={"destination_port": 70000}), r"permissions\[0\]\.destination_port: 70000 is no port"),
        (_rules(permission={}), r"permissions\[0\]: empty"),
        (_rules(permission={"any": False}), r"permissions\[0\]\.any"),
        (_rules(principal={"filter_state": {"key": "x"}}), r"principals\[0\]\.filter_state"),
        (_rules(principal={"not_id": {"custom": {"name": "x"}}}), r"principals\[0\]\.not_id\.custom"),
        (_rules(principal={"and_ids": {"ids": []}}), r"principals\[0\]\.and_ids\.ids: empty"),
        (_rules(principal={"metadata": {"filter": "f", "path": [{"key": "a"}]}}), r"metadata\.value: missing"),
        (_rules(principal={"metadata": {"filter": "f", "value": {"null_match": {}}}}), r"metadata\.path: empty"),
        ({"policies": {"p": {"permissions": [ANY]}}}, r"principals: empty"),
        ({"policies": {"p": {"permissions": [ANY], "principals": [ANY], "condition": {}}}}, r"\.condition"),
        (_rules(audit_logging_options={}), r"rules\.audit_logging_options"),
    ],
)
def test_what_is_not_carried_out_is_refused_by_its_path(rules: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        listener_of({"@type": RBAC, "rules": rules})
