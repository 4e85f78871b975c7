"""Settings and the gradual rollout through a whole mesh: kn waits for its end, and no request fails."""

from __future__ import annotations

import asyncio

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.resources import KINGRESS
from tests.mesh.objects import add_function
from tests.mesh.processes import Answer, MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

DURATION = "serving.knative.dev/rollout-duration"


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


def share_of(ingress: Object, revision: str) -> int:
    splits = ingress["spec"]["rules"][0]["http"]["paths"][0]["splits"]
    found: int = next((split["percent"] for split in splits if split["serviceName"] == revision), 0)
    return found


async def shares(mesh: MeshProcess, revision: str, since: str) -> list[int]:
    """Return the shares that a revision has one after the other since a resource version, up to all there is."""
    seen: list[int] = []
    async with mesh.api() as api, asyncio.timeout(WAIT_S):
        async for event in api.watch(KINGRESS, "default", resource_version=since):
            share = share_of(event.object, revision)
            if share and share not in seen:
                seen.append(share)
            if share == 100:
                break
    return seen


async def ask_until(mesh: MeshProcess, done: asyncio.Event) -> list[Answer]:
    answers: list[Answer] = []
    while not done.is_set():
        answers += await mesh.get_many("rolled", 50)
    return answers


async def test_a_new_revision_gets_its_traffic_in_steps_and_no_request_fails(
    shared_mesh: MeshProcess, kn: CommandLine
) -> None:
    await kn("service", "create", "rolled", "--image", "dev.local/hello", "--annotation-service", f"{DURATION}=4s")
    async with shared_mesh.api() as api:
        since = (await api.list(KINGRESS, "default")).resource_version
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(ask_until(shared_mesh, done))
        seen = tasks.create_task(shares(shared_mesh, "rolled-00002", since))
        printed = await kn("service", "update", "rolled", "--env", "COLOUR=blue")
        done.set()
    assert "Service 'rolled' updated to latest revision 'rolled-00002' is available at URL:" in printed
    # How many steps fit into four seconds depends on how long the first percent took to arrive.
    assert seen.result()[0] == 1 and seen.result()[-1] == 100
    assert len(seen.result()) >= 2 and seen.result() == sorted(seen.result())
    assert {answer.status for answer in asked.result()} == {200}
    assert {answer.body.split()[0] for answer in asked.result()} <= {"rolled-00001", "rolled-00002"}
    after = await shared_mesh.get_many("rolled", 20)
    assert {answer.body.split()[0] for answer in after} == {"rolled-00002"}


async def test_a_setting_that_makes_no_sense_is_refused_by_servings_webhook(kubectl: CommandLine) -> None:
    wrong = '{"data": {"revision-timeout-seconds": "700"}}'
    patch = ("patch", "configmap", "config-defaults", "-n", "knative-serving", "--type=merge", "-p", wrong)
    refused = await kubectl.run(*patch)
    assert refused.code == 1
    assert 'admission webhook "config.webhook.serving.knative.dev" denied the request' in refused.err
    told = "revision-timeout-seconds (700) cannot be greater than max-revision-timeout-seconds (600)"
    assert told in refused.err
