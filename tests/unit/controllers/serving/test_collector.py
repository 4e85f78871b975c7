"""Revisions that are let go, over the embedded API."""

from __future__ import annotations

from eventmesh.controllers.serving.names import NO_GC, ROUTING_STATE
from eventmesh.kube.objects import labels_of
from eventmesh.kube.resources import DEPLOYMENT, KSERVICE, REVISION
from tests.unit.controllers.serving.world import World

AT_ONCE = {"min-non-active-revisions": "0", "max-non-active-revisions": "0"}


async def revisions(world: World, count: int) -> None:
    """Have so many revisions of `hello`, the last in service."""
    await world.deploy()
    await world.ready()
    for number in range(2, count + 1):
        await world.change(KSERVICE, "hello", {"spec": {"template": {"spec": {"timeoutSeconds": number}}}})
        await world.ready(revision=f"hello-{number:05}")
    for number in range(1, count):
        await world.until(REVISION, f"hello-{number:05}", lambda obj: labels_of(obj)[ROUTING_STATE] == "reserve")


async def test_revisions_out_of_use_go_with_all_they_own_and_the_one_in_service_stays(world: World) -> None:
    await revisions(world, 3)
    assert await world.names(REVISION) == {"hello-00001", "hello-00002", "hello-00003"}
    await world.configure("config-gc", {"min-non-active-revisions": "0", "max-non-active-revisions": "1"})
    await world.until_gone(REVISION, "hello-00001")
    await world.until_gone(DEPLOYMENT, "hello-00001-deployment")
    assert await world.names(REVISION) == {"hello-00002", "hello-00003"}
    await world.configure("config-gc", AT_ONCE)
    await world.until_gone(REVISION, "hello-00002")
    assert await world.names(REVISION) == {"hello-00003"}


async def test_a_revision_that_a_route_names_or_that_is_marked_stays(world: World) -> None:
    await revisions(world, 4)
    await world.change(REVISION, "hello-00001", {"metadata": {"annotations": {NO_GC: "true"}}})
    traffic = [{"latestRevision": True, "percent": 100}, {"revisionName": "hello-00002", "tag": "old"}]
    await world.change(KSERVICE, "hello", {"spec": {"traffic": traffic}})
    await world.until(REVISION, "hello-00002", lambda obj: labels_of(obj)[ROUTING_STATE] == "active")
    await world.configure("config-gc", AT_ONCE)
    await world.until_gone(REVISION, "hello-00003")
    assert await world.names(REVISION) == {"hello-00001", "hello-00002", "hello-00004"}


async def test_a_revision_that_ages_is_looked_at_again_when_it_is_due(world: World) -> None:
    await revisions(world, 2)
    limits = {"retain-since-create-time": "1s", "retain-since-last-active-time": "1s", "min-non-active-revisions": "0"}
    await world.configure("config-gc", limits)
    await world.until_gone(REVISION, "hello-00001")
