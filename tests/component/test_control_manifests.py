"""The manifests of control on a cluster: an API takes them, and they grant what control does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.shipped import SHIPPED
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.manifests import read_manifests
from eventmesh.kube.resources import CONFIG_MAP, EVENT, LEASE, SECRET, SIGNING_REQUEST, TOKEN_REVIEW
from eventmesh.kube.server_certificates import NAMESPACE, SECRETS
from eventmesh.xds.control.app import Control
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.root_secret import NAME
from eventmesh.xds.identity.roots import RootFiles
from tests.component.embedded_api import embedded


def manifests(kind: str, directory: str = "control") -> list[Object]:
    return [found for found in read_manifests(SHIPPED / directory) if found["kind"] == kind]


def may(rules: list[Object], resource: Resource, verb: str, name: str = "") -> bool:
    return any(
        resource.group in rule["apiGroups"]
        and ({resource.plural, "*"} & set(rule["resources"]))
        and verb in rule["verbs"]
        and name in rule.get("resourceNames", [name])
        for rule in rules
    )


@pytest_asyncio.fixture
async def watched(tmp_path: Path) -> list[Resource]:
    """What control watches when it certifies."""
    async with embedded(tmp_path) as api:
        clock = SystemClock()
        informers = Informers(api.in_process(), clock)
        identities = Identities(OwnAuthority(RootFiles(tmp_path / "ca"), clock), clock, "cluster.local")
        Control(api.in_process(), informers, clock, identities=identities)
        return informers.kinds()


async def test_an_api_takes_them(tmp_path: Path) -> None:
    async with embedded(tmp_path) as api:
        applied = api.apply(SHIPPED / "control")
        more = api.apply(SHIPPED / "control-signer")
    kinds = {resource.kind for resource, _ in applied}
    assert kinds == {
        *("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "Deployment")
    }
    assert {resource.kind for resource, _ in more} == {"ClusterRole", "ClusterRoleBinding"}


def test_control_may_read_every_kind_that_it_watches(watched: list[Resource]) -> None:
    (role,) = manifests("ClusterRole")
    lacking = [kind for kind in watched for verb in ("get", "list", "watch") if not may(role["rules"], kind, verb)]
    assert watched and lacking == []


def test_control_may_write_what_it_certifies_with_and_no_other_secret() -> None:
    (cluster,) = manifests("ClusterRole")
    own, of_events = manifests("Role")
    assert may(cluster["rules"], TOKEN_REVIEW, "create")
    assert all(may(cluster["rules"], CONFIG_MAP, verb) for verb in ("create", "update"))
    assert all(may(cluster["rules"], EVENT, verb) for verb in ("get", "create", "patch"))
    # One to lead by, and one of each replica, of any name.
    verbs = ("get", "list", "watch", "create", "update", "delete")
    assert all(may(own["rules"], LEASE, verb, "eventmesh-control-pod-1") for verb in verbs)
    assert not may(cluster["rules"], LEASE, "update", "eventmesh-control")
    assert may(own["rules"], SECRET, "update", NAME) and not may(own["rules"], SECRET, "update", "another")
    assert not may(cluster["rules"], SECRET, "update")
    assert of_events["metadata"]["namespace"] == NAMESPACE
    shown = all(may(of_events["rules"], SECRET, "update", key.name) for key in SECRETS.values())
    assert shown and not may(of_events["rules"], SECRET, "update", "another")


def test_control_approves_for_the_signer_that_is_named_and_only_where_that_is_wanted() -> None:
    (usual,), (role,) = manifests("ClusterRole"), manifests("ClusterRole", "control-signer")
    rules, approval = role["rules"], replace(SIGNING_REQUEST, plural="certificatesigningrequests/approval")
    assert all(may(rules, SIGNING_REQUEST, verb) for verb in ("create", "get", "list", "watch", "delete"))
    assert may(rules, approval, "update") and not may(usual["rules"], approval, "update")
    signers = replace(SIGNING_REQUEST, plural="signers")
    assert may(rules, signers, "approve", "example.com/mesh") and not may(
        rules, signers, "approve", "example.com/other"
    )
    (binding,), (account,) = manifests("ClusterRoleBinding", "control-signer"), manifests("ServiceAccount")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
