"""Routes over the embedded API: shares, tags, hosts, visibility."""

import json
from typing import Any

from eventmesh.controllers.serving.names import ROUTES, ROUTING_STATE
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of
from eventmesh.kube.resources import CONFIG_MAP, CONFIGURATION, KINGRESS, KSERVICE, REVISION, ROUTE, SERVICE
from eventmesh.kube.status import condition
from tests.unit.controllers.serving.world import World


async def two_revisions(world: World) -> None:
    """Have revisions 1 and 2 of `hello`, the second in service."""
    await world.deploy()
    await world.ready()
    await world.change(KSERVICE, "hello", {"spec": {"template": {"spec": {"timeoutSeconds": 7}}}})
    await world.ready(revision="hello-00002")


def shares(ingress: Object) -> dict[str, dict[str, int]]:
    """Return percent by revision by host, of public rules."""
    return {
        rule["hosts"][0]: {s["serviceName"]: s["percent"] for s in rule["http"]["paths"][0]["splits"]}
        for rule in ingress["spec"]["rules"]
        if rule["visibility"] == "ExternalIP"
    }


def target(**fields: Any) -> Object:
    return fields


async def test_a_split_with_tags_reaches_status_ingress_and_services(world: World) -> None:
    await two_revisions(world)
    traffic = [
        target(revisionName="hello-00001", percent=40, tag="old"),
        target(latestRevision=True, percent=60),
        target(latestRevision=True, tag="next"),
    ]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": traffic}})
    ingress = await world.until(KINGRESS, "hello", lambda obj: len(shares(obj)) == 3)
    assert shares(ingress) == {
        "hello.default.localhost": {"hello-00001": 40, "hello-00002": 60},
        "old-hello.default.localhost": {"hello-00001": 100},
        "next-hello.default.localhost": {"hello-00002": 100},
    }
    await world.control_publishes("hello")
    service = await world.until_condition(KSERVICE, "hello", "Ready", "True")
    assert service["status"]["traffic"] == [
        {
            "revisionName": "hello-00001",
            "percent": 40,
            "latestRevision": False,
            "tag": "old",
            "url": "http://old-hello.default.localhost:8080",
        },
        {"revisionName": "hello-00002", "percent": 60, "latestRevision": True},
        {
            "revisionName": "hello-00002",
            "percent": 0,
            "latestRevision": True,
            "tag": "next",
            "url": "http://next-hello.default.localhost:8080",
        },
    ]
    assert {"old-hello", "next-hello", "hello"} <= await world.names(SERVICE)
    await world.until(REVISION, "hello-00001", lambda obj: labels_of(obj)[ROUTING_STATE] == "active")
    await world.change(KSERVICE, "hello", {"spec": {"traffic": [target(latestRevision=True, percent=100)]}})
    await world.until_gone(SERVICE, "old-hello")
    await world.until_gone(SERVICE, "next-hello")
    assert "hello" in await world.names(SERVICE)


async def test_the_ingress_is_what_knative_writes(world: World) -> None:
    await world.deploy()
    await world.ready()
    ingress = await world.get(KINGRESS, "hello")
    paths = [
        {
            "splits": [
                {
                    "serviceNamespace": "default",
                    "serviceName": "hello-00001",
                    "servicePort": 80,
                    "percent": 100,
                    "appendHeaders": {
                        "Knative-Serving-Namespace": "default",
                        "Knative-Serving-Revision": "hello-00001",
                    },
                }
            ]
        }
    ]
    local = ["hello.default", "hello.default.svc", "hello.default.svc.cluster.local"]
    assert ingress["spec"] == {
        "httpOption": "Enabled",
        "rules": [
            {"hosts": local, "visibility": "ClusterLocal", "http": {"paths": paths}},
            {"hosts": ["hello.default.localhost"], "visibility": "ExternalIP", "http": {"paths": paths}},
        ],
    }
    annotations = annotations_of(ingress)
    assert annotations["networking.knative.dev/ingress-class"] == "eventmesh.ingress.networking.knative.dev"
    assert labels_of(ingress)["serving.knative.dev/route"] == "hello"


async def test_the_placeholder_leads_to_the_gateway_once_that_is_known(world: World) -> None:
    await world.deploy()
    await world.ready()
    service = await world.until(SERVICE, "hello", lambda obj: bool(obj["spec"]["externalName"].startswith("gateway.")))
    assert service["spec"]["type"] == "ExternalName"
    assert service["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c"
    assert labels_of(service)["serving.knative.dev/route"] == "hello"


async def test_with_tag_headers_the_routes_own_host_leads_to_its_tags(world: World) -> None:
    await two_revisions(world)
    traffic = [
        target(latestRevision=True, percent=100),
        target(revisionName="hello-00001", tag="old"),
        target(latestRevision=True, tag="next"),
    ]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": traffic}})
    await world.configure("config-features", {"tag-header-based-routing": "enabled"})
    ingress = await world.until(KINGRESS, "hello", lambda obj: len(obj["spec"]["rules"][0]["http"]["paths"]) == 3)
    told = {
        rule["hosts"][0]: [
            (
                path.get("headers", {}).get("Knative-Serving-Tag", {}).get("exact"),
                path.get("appendHeaders"),
                path["splits"][0]["serviceName"],
            )
            for path in rule["http"]["paths"]
        ]
        for rule in ingress["spec"]["rules"]
    }
    by_header = [
        ("next", None, "hello-00002"),
        ("old", None, "hello-00001"),
        (None, {"Knative-Serving-Default-Route": "true"}, "hello-00002"),
    ]
    assert told["hello.default"] == told["hello.default.localhost"] == by_header
    assert told["old-hello.default.localhost"] == [(None, {"Knative-Serving-Tag": "old"}, "hello-00001")]
    hosts = json.loads(annotations_of(ingress)["networking.internal.knative.dev/tag-to-host"])
    assert hosts["old"] == ["old-hello.default.svc.cluster.local", "old-hello.default.localhost"]
    await world.configure("config-features", {"tag-header-based-routing": "allowed"})
    await world.until(KINGRESS, "hello", lambda obj: len(obj["spec"]["rules"][0]["http"]["paths"]) == 1)


async def test_an_h2c_function_is_reached_by_its_own_port(world: World) -> None:
    container = {"image": "dev.local/hello", "ports": [{"name": "h2c", "containerPort": 9000}]}
    await world.deploy(spec={"containers": [container]})
    await world.ready()
    ingress = await world.get(KINGRESS, "hello")
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["splits"][0]["servicePort"] == 81
    public = await world.get(SERVICE, "hello-00001")
    private = await world.get(SERVICE, "hello-00001-private")
    for service, port in ((public, 81), (private, 80)):
        first = service["spec"]["ports"][0]
        assert (first["name"], first["port"], first["targetPort"]) == ("http2", port, 8013)


async def test_a_cluster_local_service_has_no_public_rule(world: World) -> None:
    await world.deploy()
    await world.ready()
    await world.change(
        KSERVICE, "hello", {"metadata": {"labels": {"networking.knative.dev/visibility": "cluster-local"}}}
    )
    ingress = await world.until(KINGRESS, "hello", lambda obj: not shares(obj))
    assert [rule["visibility"] for rule in ingress["spec"]["rules"]] == ["ClusterLocal"]
    await world.control_publishes("hello")
    await world.until(
        KSERVICE, "hello", lambda obj: bool(obj["status"]["url"] == "http://hello.default.svc.cluster.local")
    )


async def test_a_domain_is_taken_over_while_running(world: World) -> None:
    await world.deploy()
    await world.ready()
    await world.configure("config-domain", {"example.com": ""})
    await world.until(KINGRESS, "hello", lambda obj: "hello.default.example.com" in shares(obj))
    await world.until(
        KSERVICE, "hello", lambda obj: bool(obj["status"]["url"] == "http://hello.default.example.com:8080")
    )


async def test_every_setting_has_a_config_map_to_look_at_and_what_was_there_stays(world: World) -> None:
    found = await world.api.list(CONFIG_MAP, "knative-serving")
    names = {obj["metadata"]["name"] for obj in found.items}
    wanted = {"autoscaler", "defaults", "deployment", "domain", "features", "gc", "network"}
    assert {f"config-{name}" for name in wanted} <= names
    await world.configure("config-domain", {"example.com": ""})
    await world.serving.settings.publish(world.api)
    kept = await world.api.get(CONFIG_MAP, "config-domain", "knative-serving")
    assert kept["data"] == {"example.com": ""}


async def test_a_missing_revision_is_told_and_the_old_routes_stay(world: World) -> None:
    await world.deploy()
    await world.ready()
    generation = (await world.get(KINGRESS, "hello"))["metadata"]["generation"]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": [target(revisionName="hello-00009", percent=100)]}})
    route = await world.until_condition(ROUTE, "hello", "AllTrafficAssigned", "False", "RevisionMissing")
    assert (condition(route, "Ready") or {})["message"] == 'Revision "hello-00009" referenced in traffic not found.'
    assert route["status"]["traffic"][0]["revisionName"] == "hello-00001"
    assert (await world.get(KINGRESS, "hello"))["metadata"]["generation"] == generation


async def test_a_bare_route_waits_for_its_configuration(world: World) -> None:
    spec = {"traffic": [target(configurationName="later", percent=100)]}
    route = {"apiVersion": ROUTE.api_version, "kind": "Route", "metadata": {"name": "bare"}, "spec": spec}
    await world.user.create(ROUTE, route, "default")
    found = await world.until_condition(ROUTE, "bare", "AllTrafficAssigned", "False", "ConfigurationMissing")
    assert (condition(found, "Ready") or {})["message"] == 'Configuration "later" referenced in traffic not found.'
    template = {"template": {"spec": {"containers": [{"image": "dev.local/hello"}]}}}
    configuration = {"apiVersion": CONFIGURATION.api_version, "kind": "Configuration", "metadata": {"name": "later"}}
    await world.user.create(CONFIGURATION, {**configuration, "spec": template}, "default")
    await world.until_condition(ROUTE, "bare", "AllTrafficAssigned", "Unknown", "RevisionMissing")
    await world.pod_runs("later-00001")
    await world.control_acknowledges("later-00001")
    await world.until_condition(ROUTE, "bare", "AllTrafficAssigned", "True")
    await world.control_publishes("bare")
    await world.until_condition(ROUTE, "bare", "Ready", "True")


async def test_a_deleted_route_is_struck_from_its_revisions(world: World) -> None:
    await world.deploy()
    await world.ready()
    spec = {"traffic": [target(configurationName="hello", percent=100)]}
    second = {"apiVersion": ROUTE.api_version, "kind": "Route", "metadata": {"name": "second"}, "spec": spec}
    await world.user.create(ROUTE, second, "default")
    await world.until(REVISION, "hello-00001", lambda obj: annotations_of(obj).get(ROUTES) == "hello,second")
    await world.user.delete(ROUTE, "second", "default")
    revision = await world.until(REVISION, "hello-00001", lambda obj: annotations_of(obj).get(ROUTES) == "hello")
    assert labels_of(revision)[ROUTING_STATE] == "active"


async def test_a_service_name_taken_by_somebody_else_is_told(world: World) -> None:
    taken = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello"},
        "spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "x"}},
    }
    await world.user.create(SERVICE, taken, "default")
    await world.deploy()
    await world.until(REVISION, "hello-00001", lambda obj: True)
    await world.pod_runs("hello-00001")
    await world.control_acknowledges("hello-00001")
    route = await world.until_condition(ROUTE, "hello", "IngressReady", "False", "NotOwned")
    assert (condition(route, "Ready") or {})["message"] == 'There is an existing Service "hello" that we do not own.'
