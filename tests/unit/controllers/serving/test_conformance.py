"""What Serving's conformance suite asks of the API (knative/serving, test/conformance/api/v1), under the suite's names.

The suite itself runs against a mesh with `make conformance`; these say the same in a second, on every change.
"""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.serving.names import CONFIGURATION_GENERATION
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.objects import annotations_of, labels_of
from eventmesh.kube.resources import CONFIGURATION, KINGRESS, KSERVICE, REVISION, ROUTE, SERVICE
from eventmesh.kube.status import condition, is_ready
from tests.unit.controllers.serving.world import World

IMAGE = "dev.local/hello"
NEVER: dict[str, Any] = {"timeoutSeconds": 7}


def template(**spec: Any) -> Object:
    return {"template": {"spec": {"containers": [{"image": IMAGE}], **spec}}}


async def made(world: World, resource: Resource, spec: Object, **metadata: Any) -> Object:
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
    return await world.user.create(resource, obj, "default")


async def updated(world: World, **spec: Any) -> None:
    await world.change(KSERVICE, "hello", {"spec": template(**spec)})


def assert_failed(obj: Object) -> None:
    """The object is not Ready, and says why to a machine and to a person."""
    ready = condition(obj, "Ready") or {}
    assert ready["status"] == "False" and ready["reason"] and ready["message"]


@pytest.mark.parametrize(("resource", "name"), [(CONFIGURATION, "hello"), (ROUTE, "hello"), (REVISION, "hello-00001")])
async def test_configuration_route_and_revision_get_and_list(world: World, resource: Resource, name: str) -> None:
    await world.deploy()
    await world.ready()
    found = await world.user.get(resource, name, "default")
    listing = await world.user.list(resource, "default")
    assert [obj["metadata"]["uid"] for obj in listing.items] == [found["metadata"]["uid"]]
    assert is_ready(found)


async def test_update_configuration_metadata(world: World) -> None:
    await made(world, CONFIGURATION, template(), name="hello")
    before = await world.until(REVISION, "hello-00001", lambda obj: True)
    for field, key in (("labels", "labelX"), ("annotations", "annotationA")):
        changed = await world.change(CONFIGURATION, "hello", {"metadata": {field: {key: "x", f"{key}-more": "y"}}})
        await world.until_condition(CONFIGURATION, "hello", "Ready", "Unknown")
        assert changed["metadata"]["generation"] == 1
    assert await world.names(REVISION) == {"hello-00001"}
    after = await world.get(REVISION, "hello-00001")
    assert labels_of(after) == labels_of(before)
    assert "annotationA" not in annotations_of(after)


async def test_container_error_msg(world: World) -> None:
    world.images.missing.add("dev.local/lost")
    await world.deploy(image="dev.local/lost")
    assert_failed(await world.until_condition(KSERVICE, "hello", "Ready", "False", "RevisionFailed"))
    assert_failed(await world.until_condition(CONFIGURATION, "hello", "Ready", "False", "RevisionFailed"))
    assert_failed(await world.until_condition(REVISION, "hello-00001", "Ready", "False", "ContainerMissing"))
    assert_failed(await world.until_condition(ROUTE, "hello", "Ready", "False"))


async def test_container_exiting_msg(world: World) -> None:
    await world.deploy()
    await world.until(REVISION, "hello-00001", lambda obj: True)
    await world.pod_crashes("hello-00001", 5, "Crashed...")
    revision = await world.until_condition(REVISION, "hello-00001", "Ready", "False", "ExitCode5")
    assert "Crashed..." in (condition(revision, "Ready") or {})["message"]
    assert_failed(await world.until_condition(CONFIGURATION, "hello", "Ready", "False", "RevisionFailed"))
    assert_failed(await world.until_condition(KSERVICE, "hello", "Ready", "False", "RevisionFailed"))


async def test_service_generate_name(world: World) -> None:
    first, second = [await made(world, KSERVICE, template(), generateName="gen-") for _ in range(2)]
    names = [obj["metadata"]["name"] for obj in (first, second)]
    assert names[0] != names[1] and all(name.startswith("gen-") for name in names)
    await world.ready(names[0], f"{names[0]}-00001")


async def test_route_and_config_generate_name(world: World) -> None:
    configuration = (await made(world, CONFIGURATION, template(), generateName="gen-"))["metadata"]["name"]
    traffic = [{"configurationName": configuration, "percent": 100}]
    route = (await made(world, ROUTE, {"traffic": traffic}, generateName="gen-"))["metadata"]["name"]
    await world.until(REVISION, f"{configuration}-00001", lambda obj: True)
    await world.pod_runs(f"{configuration}-00001")
    await world.control_acknowledges(f"{configuration}-00001")
    await world.control_publishes(route)
    await world.until_condition(ROUTE, route, "Ready", "True")


async def test_service_account_validation(world: World) -> None:
    with pytest.raises(ApiError) as refused:
        await made(world, KSERVICE, template(serviceAccountName="foo@bar.baz"), name="hello")
    rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
    assert f"foo@bar.baz: spec.template.spec.serviceAccountName\n{rule}" in refused.value.message


async def test_service_create_list_and_delete(world: World) -> None:
    await world.deploy()
    await world.ready()
    listing = await world.user.list(KSERVICE, "default", field_selector="metadata.name=hello")
    assert [obj["metadata"]["name"] for obj in listing.items] == ["hello"]
    await world.user.delete(KSERVICE, "hello", "default")
    for resource in (KSERVICE, CONFIGURATION, ROUTE, REVISION, KINGRESS):
        await world.until_gone(resource, "hello-00001" if resource is REVISION else "hello")


async def test_service_create_and_update(world: World) -> None:
    await world.deploy()
    await world.ready()
    await updated(world, timeoutSeconds=7)
    await world.ready(revision="hello-00002")
    service = await world.get(KSERVICE, "hello")
    await world.change(KSERVICE, "hello", {"metadata": {"labels": {"tier": "web"}}})
    relabelled = await world.until(ROUTE, "hello", lambda obj: labels_of(obj).get("tier") == "web")
    assert (await world.get(KSERVICE, "hello"))["metadata"]["generation"] == service["metadata"]["generation"] == 2
    assert relabelled["metadata"]["generation"] == 1
    assert await world.names(REVISION) == {"hello-00001", "hello-00002"}
    revision = await world.get(REVISION, "hello-00002")
    configuration = await world.get(CONFIGURATION, "hello")
    assert labels_of(revision)[CONFIGURATION_GENERATION] == "2" == str(configuration["metadata"]["generation"])
    latest = {configuration["status"][f"latest{kind}RevisionName"] for kind in ("Created", "Ready")}
    assert latest == {"hello-00002"}


async def test_service_byo_name(world: World) -> None:
    named: Object = {"metadata": {"name": "hello-byo"}, "spec": {"containers": [{"image": IMAGE}]}}
    await made(world, KSERVICE, {"template": named}, name="hello")
    await world.ready(revision="hello-byo")
    again = {"template": {**named, "spec": {**named["spec"], **NEVER}}}
    with pytest.raises(ApiError, match="Saw the following changes without a name change"):
        await world.change(KSERVICE, "hello", {"spec": again})
    other = {"template": {**again["template"], "metadata": {"name": "hello-byo-2"}}}
    await world.change(KSERVICE, "hello", {"spec": other})
    await world.ready(revision="hello-byo-2")


async def test_rollback_byo_name(world: World) -> None:
    def named(name: str, **spec: Any) -> Object:
        return {"template": {"metadata": {"name": name}, "spec": {"containers": [{"image": IMAGE}], **spec}}}

    await made(world, KSERVICE, named("hello-old"), name="hello")
    await world.ready(revision="hello-old")
    await world.change(KSERVICE, "hello", {"spec": named("hello-new", timeoutSeconds=7)})
    await world.ready(revision="hello-new")
    old = (await world.get(REVISION, "hello-old"))["spec"]
    await world.change(KSERVICE, "hello", {"spec": named("hello-old", timeoutSeconds=old["timeoutSeconds"])})
    await world.ready(revision="hello-old")
    status = (await world.get(CONFIGURATION, "hello"))["status"]
    assert status["latestCreatedRevisionName"] == status["latestReadyRevisionName"] == "hello-old"


async def test_service_with_traffic_split(world: World) -> None:
    one, two, three = (f"hello-{number:05}" for number in (1, 2, 3))

    def row(tag: str, revision: str | None = None, percent: int | None = None) -> Object:
        target = {"tag": tag, "percent": percent, "revisionName": revision, "latestRevision": revision is None}
        return {key: value for key, value in target.items() if value is not None}

    async def routed(*rows: Object, latest: str, extra: Object | None = None) -> None:
        await world.change(KSERVICE, "hello", {"spec": {"traffic": list(rows), **(extra or {})}})
        if extra:
            await world.until(REVISION, latest, lambda obj: True)
            await world.pod_runs(latest)
            await world.control_acknowledges(latest)
        names = {each["tag"] for each in rows}
        wanted = [(r["tag"], r.get("revisionName", latest), r.get("percent", 0)) for r in rows]
        await world.until(KINGRESS, "hello", lambda obj: len(obj["spec"]["rules"]) == 2 + 2 * len(names))

        def told(obj: Object) -> bool:
            found = obj["status"].get("traffic") or []
            return [(r.get("tag"), r["revisionName"], r["percent"]) for r in found] == wanted

        await world.until(ROUTE, "hello", told)
        await world.control_publishes("hello")
        await world.until_condition(KSERVICE, "hello", "Ready", "True")

    await world.deploy()
    await world.ready()
    await routed(row("current", one, 100), row("latest"), latest=one)
    await routed(row("current", one, 100), row("latest"), latest=two, extra=template(timeoutSeconds=2))
    await routed(row("current", one, 80), row("candidate", two, 20), row("latest"), latest=two)
    third = template(timeoutSeconds=3)
    await routed(row("current", one, 80), row("candidate", two, 20), row("latest"), latest=three, extra=third)
    await routed(row("current", two, 100), row("latest"), latest=three)


@pytest.mark.parametrize("field", ["annotations", "labels"])
async def test_annotation_and_label_propagation(world: World, field: str) -> None:
    await world.deploy()
    await world.ready()
    key = "testKey"

    def has(obj: Object) -> bool:
        return (obj["metadata"].get(field) or {}).get(key) == "testValue"

    children = (CONFIGURATION, ROUTE, SERVICE)
    await world.change(KSERVICE, "hello", {"metadata": {field: {key: "testValue"}}})
    for resource in children:
        await world.until(resource, "hello", has)
    await world.change(KSERVICE, "hello", {"metadata": {field: {key: None}}})
    for resource in children:
        await world.until(resource, "hello", lambda obj: not has(obj))


async def test_subroute_visibility(world: World) -> None:
    visibility = "networking.knative.dev/visibility"

    def public(obj: Object) -> set[str]:
        rules = obj["spec"]["rules"]
        return {host for rule in rules if rule["visibility"] == "ExternalIP" for host in rule["hosts"]}

    async def url_of(tag: str, expected: str) -> None:
        await world.until(
            ROUTE,
            "hello",
            lambda obj: expected in {r.get("url") for r in obj["status"]["traffic"] if r.get("tag") == tag},
        )

    await world.deploy()
    await world.ready()
    traffic = [{"latestRevision": True, "percent": 100, "tag": "mine"}]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": traffic}})
    both = {"hello.default.localhost", "mine-hello.default.localhost"}
    await world.until(KINGRESS, "hello", lambda obj: public(obj) == both)
    await world.change(SERVICE, "mine-hello", {"metadata": {"labels": {visibility: "cluster-local"}}})
    await world.until(KINGRESS, "hello", lambda obj: public(obj) == {"hello.default.localhost"})
    await url_of("mine", "http://mine-hello.default.svc.cluster.local")
    await world.change(SERVICE, "mine-hello", {"metadata": {"labels": {visibility: None}}})
    await world.until(KINGRESS, "hello", lambda obj: public(obj) == both)
    await url_of("mine", "http://mine-hello.default.localhost:8080")
    await world.change(KSERVICE, "hello", {"metadata": {"labels": {visibility: "cluster-local"}}})
    await world.until(KINGRESS, "hello", lambda obj: public(obj) == set())
    await world.change(KSERVICE, "hello", {"metadata": {"labels": {visibility: None}}})
    await world.until(KINGRESS, "hello", lambda obj: public(obj) == both)


async def test_label_propagation_of_serving(world: World) -> None:
    await world.deploy()
    await world.ready()
    revision = labels_of(await world.get(REVISION, "hello-00001"))
    prefix = "serving.knative.dev/"
    assert revision[f"{prefix}configuration"] == revision[f"{prefix}service"] == "hello"
    for resource in (CONFIGURATION, ROUTE, SERVICE):
        assert labels_of(await world.get(resource, "hello"))[f"{prefix}service"] == "hello"
