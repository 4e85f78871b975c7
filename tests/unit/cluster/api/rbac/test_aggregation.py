"""Cluster roles made of others, and the roles that every cluster has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.api.rbac.attributes import OnResource
from eventmesh.cluster.api.rbac.bindings import Bindings
from eventmesh.cluster.store.store import Key
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NAMESPACE, ROLE_BINDING
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock, settle


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[EmbeddedApi]:
    async with embedded(tmp_path, ManualClock()) as running:
        await settle()
        yield running


def made_of(name: str, label: str, **labels: str) -> Object:
    selector = {"matchLabels": {label: "yes"}}
    return {
        "metadata": {"name": name, "labels": labels},
        "aggregationRule": {"clusterRoleSelectors": [selector]},
    }


def role(name: str, resource: str, **labels: str) -> Object:
    rules = [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]
    return {"metadata": {"name": name, "labels": labels}, "rules": rules}


async def resources(cluster: EmbeddedApi, name: str) -> list[str]:
    found = await cluster.in_process().get(CLUSTER_ROLE, name)
    return [resource for rule in found["rules"] or () for resource in rule["resources"]]


async def test_a_role_says_what_those_say_that_it_is_made_of(cluster: EmbeddedApi) -> None:
    api = cluster.in_process()
    await api.create(CLUSTER_ROLE, made_of("whole", "half"))
    await api.create(CLUSTER_ROLE, role("b", "secrets", half="yes"))
    await api.create(CLUSTER_ROLE, role("a", "pods", half="yes"))
    await api.create(CLUSTER_ROLE, role("c", "nodes"))
    await settle()
    assert await resources(cluster, "whole") == ["pods", "secrets"]
    await api.delete(CLUSTER_ROLE, "b")
    await settle()
    assert await resources(cluster, "whole") == ["pods"]


async def test_roles_made_of_each_other_come_to_rest(cluster: EmbeddedApi) -> None:
    api = cluster.in_process()
    await api.create(CLUSTER_ROLE, role("leaf", "pods", c="yes"))
    for name, of in (("a", "b"), ("b", "c"), ("c", "a")):
        await api.create(CLUSTER_ROLE, made_of(name, of, **{name: "yes"}))
    await settle()
    revision = cluster.store.revision
    await settle()
    assert cluster.store.revision == revision
    assert [await resources(cluster, name) for name in "abc"] == [["pods"]] * 3


async def test_a_role_that_cannot_be_gathered_does_not_end_the_others(cluster: EmbeddedApi) -> None:
    api = cluster.in_process()
    head = {"name": "old", "labels": {"bad": "yes"}}
    # As a version that checked no rules has stored it.
    old = {"kind": "ClusterRole", "metadata": head, "rules": [{"apiGroups": [""], "resources": ["pods"]}]}
    cluster.store.put(Key(CLUSTER_ROLE.group_resource, "", "old"), old, 0)
    await api.create(CLUSTER_ROLE, made_of("broken", "bad"))
    await api.create(CLUSTER_ROLE, made_of("whole", "half"))
    await settle()
    await api.create(CLUSTER_ROLE, role("a", "pods", half="yes"))
    await settle()
    assert await resources(cluster, "whole") == ["pods"]


MAY = (
    ("view", OnResource("list", "", "pods", namespace="shop"), True),
    ("view", OnResource("get", "", "secrets", namespace="shop"), False),
    ("view", OnResource("watch", "serving.knative.dev", "services", namespace="shop"), True),
    ("view", OnResource("create", "eventing.knative.dev", "brokers", namespace="shop"), False),
    ("view", OnResource("list", "metrics.k8s.io", "pods", namespace="shop"), True),
    ("edit", OnResource("create", "eventing.knative.dev", "brokers", namespace="shop"), True),
    ("edit", OnResource("patch", "serving.knative.dev", "services", namespace="shop"), True),
    ("edit", OnResource("create", "", "pods", "exec", "shop"), True),
    ("edit", OnResource("update", "eventmesh.io", "trafficpolicies", namespace="shop"), True),
    ("edit", OnResource("create", "rbac.authorization.k8s.io", "roles", namespace="shop"), False),
    ("admin", OnResource("create", "rbac.authorization.k8s.io", "roles", namespace="shop"), True),
    ("admin", OnResource("list", "", "pods", namespace="shop"), True),
    ("admin", OnResource("list", "", "pods", namespace="other"), False),
    ("admin", OnResource("list", "", "nodes"), False),
    ("cluster-admin", OnResource("escalate", "rbac.authorization.k8s.io", "roles", namespace="shop"), True),
)
"""What the subject of a binding of the role in the namespace `shop` may do."""


async def test_every_cluster_has_the_roles_that_people_bind(cluster: EmbeddedApi) -> None:
    api = cluster.in_process()
    await api.create(NAMESPACE, {"metadata": {"name": "shop"}})
    for name in {name for name, _, _ in MAY}:
        reference = {"apiGroup": ROLE_BINDING.group, "kind": "ClusterRole", "name": name}
        subjects = [{"kind": "User", "name": name}]
        await api.create(ROLE_BINDING, {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects}, "shop")
    told = [(name, wanted, cluster.authorizer.decide(Identity(name, ()), wanted).allowed) for name, wanted, _ in MAY]
    assert told == list(MAY)


async def test_what_is_changed_in_a_default_role_is_there_after_a_restart(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as first:
        await settle()
        changed = {"subjects": [{"kind": "Group", "name": "devs", "apiGroup": "rbac.authorization.k8s.io"}]}
        await first.in_process().patch(CLUSTER_ROLE_BINDING, "system:discovery", changed)
        revision = first.store.revision
    async with embedded(tmp_path, ManualClock()) as again:
        await settle()
        found = await again.in_process().get(CLUSTER_ROLE_BINDING, "system:discovery")
        assert [subject["name"] for subject in found["subjects"]] == ["devs"]
        roles = again.store.list(CLUSTER_ROLE.group_resource)
        assert all(int(role["metadata"]["resourceVersion"]) <= revision for role in roles)
        fresh = Bindings(again.store)
        (grant,) = fresh.grants(Identity("x", ("devs",)), "")
        assert grant.ref.name == "system:discovery"
