"""The manifests of controllers and autoscaler on a cluster: an API takes them, and they grant what these need."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.shipped import SHIPPED
from eventmesh.controllers.autoscaler.app import Autoscaler
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.controllers.serving.app import ServingControllers
from eventmesh.controllers.serving.images import AsWritten
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.manifests import read_manifests
from eventmesh.kube.resources import (
    CONFIGURATION,
    DEPLOYMENT,
    EVENT,
    HORIZONTAL_POD_AUTOSCALER,
    KINGRESS,
    LEASE,
    POD_AUTOSCALER,
    SECRET,
    SERVERLESS_SERVICE,
    SERVICE,
    SERVICE_ACCOUNT,
    TRIGGER,
)
from tests.component.embedded_api import embedded

WRITTEN = {
    "controllers": (CONFIGURATION, DEPLOYMENT, KINGRESS, POD_AUTOSCALER, SERVICE, TRIGGER),
    "autoscaler": (SERVERLESS_SERVICE, SERVICE, HORIZONTAL_POD_AUTOSCALER),
}


def one(name: str, kind: str) -> Object:
    path = SHIPPED / "controllers" / f"{name}.yaml"
    (found,) = [obj for obj in read_manifests(path) if obj["kind"] == kind]
    return found


def may(rules: list[Object], resource: Resource, verb: str, subresource: str = "") -> bool:
    name = f"{resource.plural}/{subresource}" if subresource else resource.plural
    return any(
        resource.group in rule["apiGroups"] and {name, "*"} & set(rule["resources"]) and verb in rule["verbs"]
        for rule in rules
    )


def watched(name: str, cluster: EmbeddedApi) -> list[Resource]:
    """Return the kinds that the component watches."""
    clock, api = SystemClock(), cluster.in_process()
    informers = Informers(api, clock)
    serving = ServingControllers(api, informers, clock, AsWritten())
    if name == "autoscaler":
        informers = Informers(api, clock)
        Autoscaler(api, informers, clock, serving.settings, ("127.0.0.1", 0))
    else:
        EventingControllers(api, informers, clock)
    return informers.kinds()


@pytest.mark.parametrize("name", list(WRITTEN))
async def test_an_api_takes_them_and_they_grant_what_is_read_and_written(name: str, tmp_path: Path) -> None:
    async with embedded(tmp_path) as cluster:
        cluster.apply(SHIPPED / "controllers")
        kinds = watched(name, cluster)
    rules = one(name, "ClusterRole")["rules"]
    assert kinds
    assert [kind for kind in kinds for verb in ("get", "list", "watch") if not may(rules, kind, verb)] == []
    for kind in WRITTEN[name]:
        assert all(may(rules, kind, verb) for verb in ("create", "update", "delete")), kind
    assert all(may(rules, EVENT, verb) for verb in ("get", "create", "patch"))
    assert may(rules, POD_AUTOSCALER, "update", "status")


@pytest.mark.parametrize("name", list(WRITTEN))
def test_the_lease_is_the_one_that_the_command_takes(name: str) -> None:
    rules = one(name, "Role")["rules"]
    assert all(may(rules, LEASE, verb) for verb in ("create", "get", "update"))
    (named,) = [rule["resourceNames"] for rule in rules if "resourceNames" in rule]
    assert named == [f"eventmesh-{name}"]


def test_the_replica_of_the_autoscaler_that_listens_is_the_ready_one() -> None:
    (container,) = one("autoscaler", "Deployment")["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert container["readinessProbe"]["tcpSocket"]["port"] == port["name"]
    assert f"--address=0.0.0.0:{port['containerPort']}" in container["args"]
    (front,) = one("autoscaler", "Service")["spec"]["ports"]
    assert front["targetPort"] == port["name"]


def test_the_controllers_keep_tokens_of_sink_bindings_in_secrets() -> None:
    rules = one("controllers", "ClusterRole")["rules"]
    assert may(rules, SERVICE_ACCOUNT, "create", "token")
    assert all(may(rules, SECRET, verb) for verb in ("create", "update", "delete"))


def test_the_autoscaler_scales_deployments_and_makes_none() -> None:
    rules = one("autoscaler", "ClusterRole")["rules"]
    assert may(rules, DEPLOYMENT, "patch") and may(rules, DEPLOYMENT, "patch", "scale")
    assert not may(rules, DEPLOYMENT, "create") and not may(rules, DEPLOYMENT, "delete")
