"""Every example does what its README says, with the README's own commands, and nothing of it goes past the mesh."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import POD
from tests.mesh.objects import until_none
from tests.mesh.processes import MeshProcess
from tests.mesh.readme import REPOSITORY, Shell
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

EXAMPLES = REPOSITORY / "functions" / "examples"
QUICK_SLEEP = REPOSITORY / "functions" / "demo" / "quick-sleep.yaml"
CALLER_PATIENCE_S = 0.5


@pytest.fixture(scope="module")
def examples(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """All examples deployed into one mesh, side by side, each as its README says."""
    shell = Shell(shared_mesh, tmp_path_factory.mktemp("home"))

    async def deploy() -> None:
        await shell.run(f"kubectl apply -f {QUICK_SLEEP}")
        await asyncio.gather(*(shell.follow(readme) for readme in sorted(EXAMPLES.glob("*/README.md"))))

    asyncio.run(deploy())
    return shell


def pods_of(service: str) -> str:
    return f"serving.knative.dev/service={service}"


@contextmanager
def sidecar_stopped(pod: dict[str, dict[str, str]]) -> Iterator[None]:
    """Stop the process that listens on the pod's address, which is its sidecar, and let it go on afterwards."""
    listening = [found for found in psutil.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
    (pid,) = {found.pid for found in listening if found.laddr and found.laddr.ip == pod["status"]["podIP"]}
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def pod_with(api: HttpApi, selector: str) -> dict[str, dict[str, str]]:
    pods = (await api.list(POD, "default", label_selector=selector)).items
    (pod,) = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
    return pod


def test_every_example_has_what_an_example_needs(examples: Shell) -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert names == {"hello-http", "order-events", "order-pipeline", "stock-check", "bolt-hello", "dubbo-hello"}
    for name in names:
        assert f"]({name}/README.md)" in (EXAMPLES / "README.md").read_text()
        assert list((EXAMPLES / name).glob("*.yaml"))


@pytest.mark.parametrize("service", ["hello", "bolt-caller", "dubbo-caller"])
async def test_an_example_sleeps_and_is_woken_through_every_hop(
    examples: Shell, shared_mesh: MeshProcess, service: str
) -> None:
    async with shared_mesh.api() as api:
        await until_none(api, POD, pods_of(service))
        woken = await shared_mesh.get(service, "/?name=Grace")
        assert woken.status == 200 and "Grace" in woken.body
        assert woken.via == "1.1 sidecar, 1.1 activator, 1.1 gateway"
        assert len((await api.list(POD, "default", label_selector=pods_of(service))).items) == 1


async def test_events_wake_the_steps_of_the_pipeline_and_each_event_is_seen_by_the_journal(
    examples: Shell, shared_mesh: MeshProcess
) -> None:
    async with shared_mesh.api() as api:
        for step in ("order-price", "order-ship"):
            await until_none(api, POD, pods_of(step))
    await examples.run('eventmesh send --broker orders --type order.placed --subject 43 --data \'{"items": ["pot"]}\'')
    types: list[str] = []
    async with asyncio.timeout(WAIT_S):
        while "order.shipped" not in types:
            lines = (await examples.run(f"kubectl logs -l {pods_of('order-journal')} --tail=-1")).splitlines()
            events = [json.loads(line) for line in lines if line.startswith("{")]
            types = [event["type"] for event in events if event["subject"] == "43"]
    assert sorted(types) == ["order.placed", "order.priced", "order.shipped"]


async def test_an_http_call_fails_while_the_sidecar_stands_still_and_works_again_after(
    examples: Shell, shared_mesh: MeshProcess
) -> None:
    assert (await shared_mesh.get("hello")).status == 200
    async with shared_mesh.api() as api:
        pod = await pod_with(api, pods_of("hello"))
    with sidecar_stopped(pod), pytest.raises(TimeoutError):
        await shared_mesh.get("hello", timeout_s=CALLER_PATIENCE_S)
    assert (await shared_mesh.get("hello")).status == 200


async def test_a_bolt_call_fails_while_the_services_sidecar_stands_still_and_works_again_after(
    examples: Shell, shared_mesh: MeshProcess
) -> None:
    assert (await shared_mesh.get("bolt-caller")).status == 200
    async with shared_mesh.api() as api:
        pod = await pod_with(api, "app=bolt-hello")
    with sidecar_stopped(pod):
        failed = await shared_mesh.get("bolt-caller")
    assert (failed.status, json.loads(failed.body)) == (502, {"bolt_status": 7})
    assert (await shared_mesh.get("bolt-caller")).status == 200
