"""What is held by whom, read from what is stored, whatever version of eventmesh has stored it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.api.rbac.attributes import OnResource
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.cluster.api.rbac.bindings import Bindings
from eventmesh.cluster.api.rbac.policy import PolicyRule
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import Object
from tests.manual_clock import ManualClock

ANN = Identity("ann", ())
PODS = OnResource("list", "", "pods", namespace="shop")


@pytest.fixture
def bindings(tmp_path: Path) -> Bindings:
    return Bindings(Store(tmp_path, ManualClock()))


def role(kind: str, name: str, namespace: str = "") -> Object:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "rules": rules}


def binding(kind: str, name: str, *subjects: Object, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": name}, "subjects": list(subjects)}


def user(name: str) -> Object:
    return {"kind": "User", "name": name}


def test_a_subject_without_a_name_is_nobody(bindings: Bindings) -> None:
    bindings.take_role(role("ClusterRole", "reader"))
    bindings.take_binding(binding("ClusterRole", "reader", {"kind": "User"}, user("ann")))
    assert [grant.ref.name for grant in bindings.grants(ANN, "shop")] == ["reader"]
    assert not list(bindings.grants(Identity("", ()), "shop"))


@pytest.mark.parametrize("kind", ["Role", "Rolle"])
def test_a_role_that_cannot_be_bound_everywhere_is_not_taken_for_a_cluster_role(bindings: Bindings, kind: str) -> None:
    bindings.take_role(role("ClusterRole", "reader"))
    bindings.take_binding(binding(kind, "reader", user("ann")))
    decision = Authorizer(bindings).decide(ANN, PODS)
    assert not decision.allowed
    assert decision.reason == f'RBAC: {kind.lower()}.rbac.authorization.k8s.io "reader" not found'


def test_roles_that_are_missing_are_told_to_who_may_not_grant(bindings: Bindings) -> None:
    bindings.take_binding(binding("Role", "reader", user("ann"), namespace="shop"))
    why = Authorizer(bindings).withheld(ANN, "shop", [PolicyRule(("get",), ("",), ("pods",))])
    assert why.endswith('; resolution errors: [role.rbac.authorization.k8s.io "reader" not found]')
