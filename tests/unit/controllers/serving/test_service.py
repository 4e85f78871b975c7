"""Services over the embedded API: what is made of them, and what their status says on the way."""

import pytest

from eventmesh.controllers.serving.names import (
    CONFIGURATION_GENERATION,
    CREATOR,
    LAST_MODIFIER,
    ROUTES,
    ROUTING_STATE,
)
from eventmesh.controllers.serving.names import SERVICE as SERVICE_LABEL
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import (
    CONFIGURATION,
    DEPLOYMENT,
    KINGRESS,
    KSERVICE,
    POD_AUTOSCALER,
    REVISION,
    ROUTE,
    SERVERLESS_SERVICE,
    SERVICE,
)
from eventmesh.kube.status import condition, conditions_of
from tests.unit.controllers.serving.world import DIGEST, World

CHAIN: tuple[tuple[Resource, str], ...] = (
    (KSERVICE, "hello"),
    (CONFIGURATION, "hello"),
    (REVISION, "hello-00001"),
    (ROUTE, "hello"),
)


def conditions(obj: Object) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in conditions_of(obj)}


async def test_a_service_becomes_ready_when_all_have_done_their_part(world: World) -> None:
    await world.deploy()
    status = (await world.ready())["status"]
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 1,
        "latestCreatedRevisionName": "hello-00001",
        "latestReadyRevisionName": "hello-00001",
        "url": "http://hello.default.localhost:8080",
        "address": {"url": "http://hello.default.svc.cluster.local"},
        "traffic": [{"revisionName": "hello-00001", "percent": 100, "latestRevision": True}],
    }
    service = await world.get(KSERVICE, "hello")
    assert conditions(service) == {"ConfigurationsReady": "True", "Ready": "True", "RoutesReady": "True"}


async def test_each_object_is_owned_by_the_one_it_was_made_for(world: World) -> None:
    await world.deploy()
    await world.ready()
    owners: tuple[tuple[Resource, str, Resource, str], ...] = (
        (CONFIGURATION, "hello", KSERVICE, "hello"),
        (ROUTE, "hello", KSERVICE, "hello"),
        (REVISION, "hello-00001", CONFIGURATION, "hello"),
        (DEPLOYMENT, "hello-00001-deployment", REVISION, "hello-00001"),
        (POD_AUTOSCALER, "hello-00001", REVISION, "hello-00001"),
        (SERVERLESS_SERVICE, "hello-00001", POD_AUTOSCALER, "hello-00001"),
        (SERVICE, "hello-00001", SERVERLESS_SERVICE, "hello-00001"),
        (SERVICE, "hello-00001-private", SERVERLESS_SERVICE, "hello-00001"),
        (SERVICE, "hello", ROUTE, "hello"),
        (KINGRESS, "hello", ROUTE, "hello"),
    )
    for resource, name, owner_resource, owner_name in owners:
        obj, owner = await world.get(resource, name), await world.get(owner_resource, owner_name)
        assert obj["metadata"]["ownerReferences"] == [owner_reference(owner_resource, owner)], name


async def test_a_revision_is_labelled_as_kn_reads_it(world: World) -> None:
    service = await world.deploy()
    await world.ready()
    revision = await world.get(REVISION, "hello-00001")
    configuration = await world.get(CONFIGURATION, "hello")
    assert labels_of(revision) == {
        "serving.knative.dev/configuration": "hello",
        "serving.knative.dev/configurationGeneration": "1",
        "serving.knative.dev/configurationUID": configuration["metadata"]["uid"],
        "serving.knative.dev/routingState": "active",
        "serving.knative.dev/service": "hello",
        "serving.knative.dev/serviceUID": service["metadata"]["uid"],
    }
    annotations = annotations_of(revision)
    assert (annotations[CREATOR], annotations[ROUTES]) == ("alice", "hello")
    assert annotations_of(configuration)[ROUTES] == "hello"
    assert revision["status"]["containerStatuses"] == [
        {"name": "user-container", "imageDigest": f"dev.local/hello@{DIGEST}"}
    ]
    assert (revision["status"]["actualReplicas"], revision["status"]["desiredReplicas"]) == (1, 1)


async def test_nothing_is_ready_before_the_data_plane_has_the_routes(world: World) -> None:
    await world.deploy()
    await world.until(REVISION, "hello-00001", lambda obj: True)
    await world.pod_runs("hello-00001")
    await world.control_acknowledges("hello-00001")
    service = await world.until(KSERVICE, "hello", lambda obj: conditions(obj).get("ConfigurationsReady") == "True")
    assert conditions(service)["Ready"] == "Unknown"
    route = await world.until_condition(ROUTE, "hello", "IngressReady", "Unknown", "IngressNotConfigured")
    assert route["status"]["traffic"][0]["revisionName"] == "hello-00001"
    assert route["status"]["url"] == "http://hello.default.localhost:8080"


async def test_an_unknown_image_fails_every_object_with_a_reason(world: World) -> None:
    world.images.missing.add("dev.local/hello")
    await world.deploy()
    for resource, name in CHAIN:
        obj = await world.until_condition(resource, name, "Ready", "False")
        ready = condition(obj, "Ready") or {}
        assert ready["reason"], resource
        assert ready["message"], resource
    revision = await world.until_condition(REVISION, "hello-00001", "ContainerHealthy", "False", "ContainerMissing")
    message = (condition(revision, "ContainerHealthy") or {})["message"]
    assert message == (
        'Unable to fetch image "dev.local/hello": unknown image dev.local/hello: known are dev.local/hello'
    )
    assert await world.names(DEPLOYMENT) == set()


async def test_an_image_that_was_added_later_is_found(world: World) -> None:
    world.images.missing.add("dev.local/hello")
    await world.deploy()
    await world.until_condition(KSERVICE, "hello", "Ready", "False")
    world.images.missing.clear()
    await world.change(REVISION, "hello-00001", {"metadata": {"labels": {"look": "again"}}})
    service = await world.ready()
    assert service["status"]["latestReadyRevisionName"] == "hello-00001"


async def test_a_container_that_exits_fails_every_object_with_its_last_words(world: World) -> None:
    await world.deploy()
    await world.pod_crashes("hello-00001", 7, "no such module: flask")
    for resource, name in CHAIN:
        await world.until_condition(resource, name, "Ready", "False")
    revision = await world.until_condition(REVISION, "hello-00001", "ContainerHealthy", "False", "ExitCode7")
    message = "Container failed with: no such module: flask"
    assert (condition(revision, "ContainerHealthy") or {})["message"] == message
    configuration = await world.get(CONFIGURATION, "hello")
    assert (condition(configuration, "Ready") or {})["message"] == (
        f'Revision "hello-00001" failed with message: {message}.'
    )


async def test_a_container_that_recovers_makes_the_service_ready(world: World) -> None:
    await world.deploy()
    await world.pod_crashes("hello-00001", 1, "database away")
    await world.until_condition(KSERVICE, "hello", "Ready", "False")
    await world.ready()


async def test_pods_that_do_not_come_up_in_time_fail_the_revision(world: World) -> None:
    await world.deploy()
    await world.until(DEPLOYMENT, "hello-00001-deployment", lambda obj: True)
    reason = {"reason": "ProgressDeadlineExceeded", "message": "has timed out progressing."}
    await world.deployment_says("hello-00001", {"type": "Progressing", "status": "False", **reason})
    revision = await world.until_condition(REVISION, "hello-00001", "ResourcesAvailable", "False")
    assert (condition(revision, "Ready") or {})["reason"] == "ProgressDeadlineExceeded"


async def test_a_new_revision_takes_over_only_when_it_is_ready(world: World) -> None:
    await world.deploy()
    await world.ready()
    await world.change(KSERVICE, "hello", {"spec": {"template": {"spec": {"timeoutSeconds": 7}}}})
    await world.until(REVISION, "hello-00002", lambda obj: labels_of(obj)[CONFIGURATION_GENERATION] == "2")
    service = await world.until_condition(KSERVICE, "hello", "Ready", "Unknown")
    assert service["status"]["latestReadyRevisionName"] == "hello-00001"
    assert service["status"]["traffic"][0]["revisionName"] == "hello-00001"
    # The one that is coming up is already reachable for all that matters: it must not be scaled down.
    await world.until(REVISION, "hello-00002", lambda obj: labels_of(obj)[ROUTING_STATE] == "active")
    await world.pod_runs("hello-00002")
    await world.control_acknowledges("hello-00002")
    ingress = await world.until(KINGRESS, "hello", lambda obj: obj["metadata"]["generation"] == 2)
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["splits"][0]["serviceName"] == "hello-00002"
    # Requests still reach the old one until the data plane has taken the new routes.
    assert labels_of(await world.get(REVISION, "hello-00001"))[ROUTING_STATE] == "active"
    await world.control_publishes("hello")
    service = await world.until_condition(KSERVICE, "hello", "Ready", "True")
    assert service["status"]["traffic"][0]["revisionName"] == "hello-00002"
    old = await world.until(REVISION, "hello-00001", lambda obj: labels_of(obj)[ROUTING_STATE] == "reserve")
    assert ROUTES not in annotations_of(old)
    autoscaler = await world.until(
        POD_AUTOSCALER, "hello-00001", lambda obj: bool(obj["spec"]["reachability"] == "Unreachable")
    )
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == "hello-00001-deployment"


async def test_metadata_of_a_service_makes_no_revision_and_reaches_its_children(world: World) -> None:
    await world.deploy()
    await world.ready()
    added = {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}
    await world.change(KSERVICE, "hello", added)
    children: tuple[tuple[Resource, str], ...] = ((CONFIGURATION, "hello"), (ROUTE, "hello"), (SERVICE, "hello"))
    for resource, name in children:
        await world.until(
            resource,
            name,
            lambda obj: labels_of(obj).get("team") == "a" and annotations_of(obj).get("note") == "b",
        )
    await world.change(KSERVICE, "hello", {"metadata": {"labels": {"team": None}, "annotations": {"note": None}}})
    for resource, name in children:
        child = await world.until(
            resource, name, lambda obj: "team" not in labels_of(obj) and "note" not in annotations_of(obj)
        )
        assert labels_of(child)[SERVICE_LABEL] == "hello"
        assert {CREATOR, LAST_MODIFIER} <= annotations_of(child).keys()
    assert await world.names(REVISION) == {"hello-00001"}


async def test_a_configuration_of_somebody_else_is_left_alone_and_told(world: World) -> None:
    spec = {"template": {"spec": {"containers": [{"image": "dev.local/other"}]}}}
    other = {"apiVersion": CONFIGURATION.api_version, "kind": "Configuration", "metadata": {"name": "hello"}}
    await world.user.create(CONFIGURATION, {**other, "spec": spec}, "default")
    await world.deploy()
    service = await world.until_condition(KSERVICE, "hello", "ConfigurationsReady", "False", "NotOwned")
    assert (condition(service, "Ready") or {})["message"] == (
        'There is an existing Configuration "hello" that we do not own.'
    )
    configuration = await world.get(CONFIGURATION, "hello")
    assert configuration["spec"]["template"]["spec"]["containers"][0]["image"] == "dev.local/other"


async def test_an_authors_own_revision_name_is_used_and_a_taken_one_is_told(world: World) -> None:
    await world.deploy(metadata={"name": "hello-v1"})
    await world.ready(revision="hello-v1")
    spec = {"containers": [{"image": "dev.local/x"}]}
    taken = {"apiVersion": REVISION.api_version, "kind": "Revision", "metadata": {"name": "hello-v2"}, "spec": spec}
    await world.user.create(REVISION, taken, "default")
    await world.change(KSERVICE, "hello", {"spec": {"template": {"metadata": {"name": "hello-v2"}}}})
    configuration = await world.until_condition(CONFIGURATION, "hello", "Ready", "False", "RevisionNotOwned")
    assert configuration["status"]["latestReadyRevisionName"] == "hello-v1"


async def test_a_deleted_revision_of_the_present_generation_is_made_again(world: World) -> None:
    await world.deploy()
    first = (await world.ready())["status"]["latestReadyRevisionName"]
    uid = (await world.get(REVISION, first))["metadata"]["uid"]
    await world.user.delete(REVISION, first, "default")
    await world.until(REVISION, first, lambda obj: bool(obj["metadata"]["uid"] != uid))


async def test_a_deleted_service_takes_everything_with_it(world: World) -> None:
    await world.deploy()
    await world.ready()
    await world.user.delete(KSERVICE, "hello", "default")
    kinds: tuple[tuple[Resource, str], ...] = (
        (REVISION, "hello-00001"),
        (KINGRESS, "hello"),
        (SERVERLESS_SERVICE, "hello-00001"),
    )
    for resource, name in kinds:
        await world.until_gone(resource, name)


async def test_status_is_written_after_the_answer_and_only_when_it_changes(world: World) -> None:
    created = await world.deploy()
    assert "status" not in created
    await world.ready()
    before = await world.get(KSERVICE, "hello")
    world.serving.services.controller.enqueue(world.key("hello"))
    await world.change(KSERVICE, "hello", {"metadata": {"labels": {"a": "b"}}})
    await world.until(ROUTE, "hello", lambda obj: labels_of(obj).get("a") == "b")
    after = await world.get(KSERVICE, "hello")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"] == before["status"]


@pytest.mark.parametrize(
    ("kind", "reason"), [("ResourcesAvailable", "Deploying"), ("ContainerHealthy", "Deploying"), ("Active", "Queued")]
)
async def test_a_revision_on_its_way_says_so(world: World, kind: str, reason: str) -> None:
    await world.deploy()
    await world.until(POD_AUTOSCALER, "hello-00001", lambda obj: "status" in obj)
    revision = await world.until_condition(REVISION, "hello-00001", kind, "Unknown")
    assert (condition(revision, kind) or {})["reason"] in (reason, "Deploying", "NotReady")
