"""A route on its way to a new revision, over the embedded API."""

from __future__ import annotations

from eventmesh.controllers.serving.names import ROLLOUT, ROLLOUT_DURATION, ROUTING_STATE
from eventmesh.controllers.serving.rollout import read
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of
from eventmesh.kube.resources import KINGRESS, KSERVICE, REVISION, ROUTE
from tests.unit.controllers.serving.test_route import shares
from tests.unit.controllers.serving.world import World

HOST = "hello.default.localhost"


def split(ingress: Object, host: str = HOST) -> dict[str, int]:
    return shares(ingress).get(host, {})


async def second_revision(world: World) -> None:
    """Have revision 2 ready, and traffic about to move over 100 seconds."""
    await world.deploy()
    await world.ready()
    await world.change(KSERVICE, "hello", {"metadata": {"annotations": {ROLLOUT_DURATION: "101s"}}})
    await world.until(ROUTE, "hello", lambda obj: ROLLOUT_DURATION in annotations_of(obj))
    await world.change(KSERVICE, "hello", {"spec": {"template": {"spec": {"timeoutSeconds": 7}}}})
    await world.until(REVISION, "hello-00002", lambda obj: True)
    await world.pod_runs("hello-00002")
    await world.control_acknowledges("hello-00002")


async def step(world: World, seconds: float) -> None:
    """Let time pass; the queue's own timer is the machine's."""
    world.clock.ahead_s += seconds
    world.serving.routes.controller.enqueue(world.key("hello"))


async def test_traffic_moves_from_one_percent_on_and_the_old_revision_stays_awake_until_the_end(world: World) -> None:
    await second_revision(world)
    ingress = await world.until(KINGRESS, "hello", lambda obj: len(split(obj)) == 2)
    assert split(ingress) == {"hello-00001": 99, "hello-00002": 1}
    await world.until_condition(ROUTE, "hello", "IngressReady", "Unknown", "IngressNotConfigured")
    await world.control_publishes("hello")
    route = await world.until_condition(ROUTE, "hello", "IngressReady", "Unknown", "RolloutInProgress")
    assert [(row["revisionName"], row["percent"]) for row in route["status"]["traffic"]] == [
        ("hello-00001", 99),
        ("hello-00002", 1),
    ]
    service = await world.until_condition(KSERVICE, "hello", "Ready", "Unknown", "RolloutInProgress")
    assert sum(row["percent"] for row in service["status"]["traffic"]) == 100
    await step(world, 1.5)
    ingress = await world.until(KINGRESS, "hello", lambda obj: split(obj) == {"hello-00001": 98, "hello-00002": 2})
    kept = read(annotations_of(ingress)[ROLLOUT])
    assert kept is not None and kept.configurations[0].steps.size == 1
    await world.control_publishes("hello")
    assert labels_of(await world.get(REVISION, "hello-00001"))[ROUTING_STATE] == "active"
    for _ in range(98):
        before = split(await world.get(KINGRESS, "hello"))
        await step(world, 1.5)
        await world.until(KINGRESS, "hello", lambda obj, known=before: split(obj) != known)  # type: ignore[misc]
    assert split(await world.get(KINGRESS, "hello")) == {"hello-00002": 100}
    assert labels_of(await world.get(REVISION, "hello-00001"))[ROUTING_STATE] == "active"
    await world.control_publishes("hello")
    await world.until_condition(KSERVICE, "hello", "Ready", "True")
    await world.until(REVISION, "hello-00001", lambda obj: labels_of(obj)[ROUTING_STATE] == "reserve")


async def test_a_rollout_that_is_called_off_ends_at_once(world: World) -> None:
    await second_revision(world)
    await world.until(KINGRESS, "hello", lambda obj: len(split(obj)) == 2)
    await world.control_publishes("hello")
    await world.until_condition(ROUTE, "hello", "IngressReady", "Unknown", "RolloutInProgress")
    await world.change(KSERVICE, "hello", {"metadata": {"annotations": {ROLLOUT_DURATION: None}}})
    await world.until(KINGRESS, "hello", lambda obj: split(obj) == {"hello-00002": 100})


async def test_going_back_to_a_named_revision_does_not_wait(world: World) -> None:
    await second_revision(world)
    await world.until(KINGRESS, "hello", lambda obj: len(split(obj)) == 2)
    traffic = [{"revisionName": "hello-00001", "percent": 100}]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": traffic}})
    await world.until(KINGRESS, "hello", lambda obj: split(obj) == {"hello-00001": 100})


async def test_a_tag_of_the_newest_moves_beside_the_route(world: World) -> None:
    await world.deploy()
    await world.ready()
    await world.configure("config-network", {"rollout-duration": "120"})
    traffic = [{"latestRevision": True, "percent": 100}, {"latestRevision": True, "tag": "next"}]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": traffic}})
    tagged = "next-hello.default.localhost"
    await world.until(KINGRESS, "hello", lambda obj: split(obj, tagged) == {"hello-00001": 100})
    await world.change(KSERVICE, "hello", {"spec": {"template": {"spec": {"timeoutSeconds": 7}}}})
    await world.until(REVISION, "hello-00002", lambda obj: True)
    await world.pod_runs("hello-00002")
    await world.control_acknowledges("hello-00002")
    ingress = await world.until(KINGRESS, "hello", lambda obj: len(split(obj)) == 2)
    assert split(ingress) == split(ingress, tagged) == {"hello-00001": 99, "hello-00002": 1}


async def test_a_rollout_goes_on_without_a_revision_that_was_deleted(world: World) -> None:
    await second_revision(world)
    await world.until(KINGRESS, "hello", lambda obj: len(split(obj)) == 2)
    await world.user.delete(REVISION, "hello-00001", "default")
    await world.until(KINGRESS, "hello", lambda obj: split(obj) == {"hello-00002": 100})
