from __future__ import annotations

import pytest

from eventmesh.cluster.api.paths import parse_path
from eventmesh.cluster.api.rbac.attributes import OnPath, OnResource, attributes_of

PODS = "/api/v1/namespaces/shop/pods"
NOWHERE = "/apis/example.com/v1/widgets"


@pytest.mark.parametrize(
    ("method", "path", "query", "wanted"),
    [
        ("GET", PODS, {}, OnResource("list", "", "pods", namespace="shop")),
        ("GET", PODS, {"watch": "true"}, OnResource("watch", "", "pods", namespace="shop")),
        ("GET", f"{PODS}/a", {}, OnResource("get", "", "pods", namespace="shop", name="a")),
        ("GET", f"{PODS}/a", {"watch": "1"}, OnResource("watch", "", "pods", namespace="shop", name="a")),
        ("GET", f"{PODS}/a/log", {}, OnResource("get", "", "pods", "log", "shop", "a")),
        ("GET", f"{PODS}/a/log", {"watch": "true"}, OnResource("get", "", "pods", "log", "shop", "a")),
        ("HEAD", f"{PODS}/a", {}, OnResource("get", "", "pods", namespace="shop", name="a")),
        ("POST", f"{PODS}/a/exec", {}, OnResource("create", "", "pods", "exec", "shop", "a")),
        ("POST", PODS, {}, OnResource("create", "", "pods", namespace="shop")),
        ("PUT", f"{PODS}/a/status", {}, OnResource("update", "", "pods", "status", "shop", "a")),
        ("PATCH", f"{PODS}/a", {}, OnResource("patch", "", "pods", namespace="shop", name="a")),
        ("DELETE", f"{PODS}/a", {}, OnResource("delete", "", "pods", namespace="shop", name="a")),
        ("DELETE", PODS, {}, OnResource("deletecollection", "", "pods", namespace="shop")),
        (
            "GET",
            PODS,
            {"fieldSelector": "metadata.name=a"},
            OnResource("list", "", "pods", namespace="shop", name="a"),
        ),
        ("GET", PODS, {"fieldSelector": "metadata.name!=a"}, OnResource("list", "", "pods", namespace="shop")),
        ("GET", PODS, {"fieldSelector": "what is this"}, OnResource("list", "", "pods", namespace="shop")),
        ("GET", "/api/v1/namespaces", {}, OnResource("list", "", "namespaces")),
        ("GET", "/api/v1/namespaces/shop", {}, OnResource("get", "", "namespaces", namespace="shop", name="shop")),
        (
            "PUT",
            "/api/v1/namespaces/shop/finalize",
            {},
            OnResource("update", "", "namespaces", "finalize", "shop", "shop"),
        ),
        ("GET", NOWHERE, {}, OnResource("list", "example.com", "widgets")),
        ("GET", "/openapi/v3", {}, OnPath("get", "/openapi/v3")),
        ("GET", "/apis/apps/v1", {}, OnPath("get", "/apis/apps/v1")),
        ("POST", "/nothing", {}, OnPath("post", "/nothing")),
    ],
)
def test_a_request_is_a_verb_on_something(
    method: str, path: str, query: dict[str, str], wanted: OnResource | OnPath
) -> None:
    assert attributes_of(method, path, parse_path(path), query) == wanted


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (OnResource("list", "", "pods", "", "shop"), 'list resource "pods" in API group "" in the namespace "shop"'),
        (OnResource("get", "", "pods", "log"), 'get resource "pods/log" in API group "" at the cluster scope'),
        (OnPath("get", "/metrics"), 'get path "/metrics"'),
    ],
)
def test_it_is_told_in_the_words_of_kubernetes(wanted: OnResource | OnPath, said: str) -> None:
    assert str(wanted) == said
