"""What one rule allows, and what it covers: the table of Kubernetes' own tests, by meaning."""

from __future__ import annotations

import pytest

from eventmesh.cluster.api.rbac.attributes import OnPath, OnResource
from eventmesh.cluster.api.rbac.policy import EVERYTHING, PolicyRule, compacted, uncovered

GET_PODS = OnResource("get", "", "pods", namespace="shop", name="cart")
LOG = OnResource("get", "", "pods", "log", "shop", "cart")


def rule(verbs: str = "get", groups: str = "", resources: str = "pods", names: str = "") -> PolicyRule:
    return PolicyRule(tuple(verbs.split()), tuple(groups.split("|")), tuple(resources.split()), tuple(names.split()))


@pytest.mark.parametrize(
    ("given", "wanted", "allowed"),
    [
        (rule(), GET_PODS, True),
        (rule("list watch"), GET_PODS, False),
        (rule("*"), GET_PODS, True),
        (rule(groups="apps"), GET_PODS, False),
        (rule(groups="apps|"), GET_PODS, True),
        (rule(groups="*"), GET_PODS, True),
        (rule(resources="services *"), GET_PODS, True),
        (rule(), LOG, False),
        (rule(resources="pods/log"), LOG, True),
        (rule(resources="pods/log"), GET_PODS, False),
        (rule(resources="*/log"), LOG, True),
        (rule(resources="*/exec"), LOG, False),
        (rule(resources="pods/*"), LOG, False),
        (rule(resources="*"), LOG, True),
        (rule(names="cart till"), GET_PODS, True),
        (rule(names="till"), GET_PODS, False),
        (rule("list", names="cart"), OnResource("list", "", "pods", namespace="shop"), False),
        (rule("list", names="cart"), OnResource("list", "", "pods", namespace="shop", name="cart"), True),
        (PolicyRule(("get",), urls=("/metrics",)), OnPath("get", "/metrics"), True),
        (PolicyRule(("get",), urls=("/metrics",)), OnPath("post", "/metrics"), False),
        (PolicyRule(("get",), urls=("/apis/*",)), OnPath("get", "/apis/apps"), True),
        (PolicyRule(("get",), urls=("/apis/*",)), OnPath("get", "/apis"), False),
        (PolicyRule(("get",), urls=("/apis/**",)), OnPath("get", "/apis/apps"), True),
        (PolicyRule(("*",), urls=("*",)), OnPath("get", "/anything"), True),
        (PolicyRule(("*",), urls=("*",)), GET_PODS, False),
        (rule("*", "*", "*"), OnPath("get", "/metrics"), False),
    ],
)
def test_a_rule_allows_what_it_names(given: PolicyRule, wanted: OnResource | OnPath, allowed: bool) -> None:
    assert given.allows(wanted) is allowed


@pytest.mark.parametrize(
    ("held", "granted", "missing"),
    [
        ([rule("get list")], rule("list"), []),
        ([rule("get"), rule("list")], rule("get list"), []),
        ([rule("get")], rule("get delete"), [rule("delete")]),
        ([rule("*")], rule("get"), []),
        ([rule("get")], rule("*"), [rule("*")]),
        ([rule(resources="*")], rule(resources="pods pods/log"), []),
        ([rule(resources="*/scale")], rule(resources="pods/scale"), []),
        ([rule(resources="*/scale")], rule(resources="pods"), [rule()]),
        ([rule(names="a")], rule(), [rule()]),
        ([rule()], rule(names="a b"), []),
        ([rule(names="a")], rule(names="a b"), [rule(names="b")]),
        ([PolicyRule(("get",), urls=("/a/*",))], PolicyRule(("get",), urls=("/a/b", "/a/c/*")), []),
        (
            [PolicyRule(("get",), urls=("/a",))],
            PolicyRule(("get",), urls=("/*",)),
            [PolicyRule(("get",), urls=("/*",))],
        ),
        (list(EVERYTHING), rule("delete", "apps", "deployments"), []),
    ],
)
def test_nobody_grants_more_than_their_rules_cover(
    held: list[PolicyRule], granted: PolicyRule, missing: list[PolicyRule]
) -> None:
    assert uncovered(held, [granted]) == missing


def test_what_is_missing_is_told_a_rule_a_resource() -> None:
    parts = rule("get list", "|apps", "pods", "a").parts()
    assert [str(one) for one in compacted(parts)] == [
        '{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}',
        '{APIGroups:["apps"], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}',
    ]


@pytest.mark.parametrize("given", [rule("a b", "|x", "p q r", "n m"), PolicyRule(("get", "put"), urls=("/a", "/b"))])
def test_parts_are_counted_without_being_made(given: PolicyRule) -> None:
    assert given.count() == len(list(given.parts()))
