"""A function from its deployment to its sleep and back, through every hop of a real mesh."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from eventmesh.kube.resources import KSERVICE, POD, SERVERLESS_SERVICE
from eventmesh.kube.status import CONTAINERS_SILENT, condition, is_ready
from tests.mesh.objects import FUNCTION, add_function, deploy, service, sleep_soon, until, until_none
from tests.mesh.processes import MeshProcess


async def test_a_function_answers_sleeps_and_wakes_at_the_next_request(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await sleep_soon(api)
        ready = await deploy(api, service("hello", window="6s"))
        assert ready["status"]["url"] == f"http://hello.default.localhost:{mesh.gateway_port}"
        first = await mesh.get("hello")
        assert (first.status, first.body.split()[0]) == (200, "hello-00001")
        assert "gateway" in first.via
        assert "sidecar" in first.via
        await until_none(api, POD)
        asleep = await api.get(SERVERLESS_SERVICE, "hello-00001", "default")
        assert asleep["spec"]["mode"] == "Proxy"
        woken = await mesh.get("hello")
        assert woken.status == 200
        assert woken.body != first.body
        for hop in ("gateway", "activator", "sidecar"):
            assert hop in woken.via


async def test_many_requests_at_once_wake_a_function_once_and_are_all_answered(
    mesh: MeshProcess, tmp_path: Path
) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", initial_scale="1", max_scale="1", window="6s"))
        answers = await asyncio.gather(*(mesh.get("hello") for _ in range(20)))
        assert [answer for answer in answers if answer.status != 200] == []
        assert len({answer.body for answer in answers}) == 1


SLOW = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])\nsignal.sigwait([signal.SIGCONT])\n"
"""What a function does first that waits until it is told to go on."""


async def test_a_pod_whose_function_is_not_there_yet_is_told_to_run_and_not_to_be_ready(
    mesh: MeshProcess, tmp_path: Path
) -> None:
    add_function(mesh, tmp_path / "hello", program=SLOW + FUNCTION)
    async with mesh.api() as api:
        await api.create(KSERVICE, service("hello"), "default")
        async for event in api.watch(POD, "default"):
            pod = event.object
            if (pod.get("status") or {}).get("phase") == "Running":
                break
        told = condition(pod, "Ready")
        assert told is not None and told["status"] == "False"
        assert told.get("reason") != CONTAINERS_SILENT, "long before anybody wonders where it is"
        assert pod["status"]["podIP"]
        while not is_ready(await api.get(KSERVICE, "hello", "default")):
            # It may not wait for it yet.
            for pid in mesh.named("python"):
                os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.02)
        assert (await mesh.get("hello")).status == 200


async def test_an_image_that_does_not_exist_is_told_on_the_service(mesh: MeshProcess) -> None:
    async with mesh.api() as api:
        await api.create(KSERVICE, service("lost", "dev.local/nobody"), "default")
        failed = await until(
            api, KSERVICE, "lost", lambda obj: (condition(obj, "Ready") or {}).get("status") == "False"
        )
        assert "dev.local/nobody" in str(condition(failed, "Ready"))


async def test_nothing_reaches_a_function_but_through_its_sidecar(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
        assert (await mesh.get("hello")).status == 200
        (pod,) = (await api.list(POD, "default")).items
        with pytest.raises(OSError):
            await asyncio.open_connection(pod["status"]["podIP"], 8080)
        (sidecar,) = mesh.named("eventmesh-sidec")
        os.kill(sidecar, signal.SIGSTOP)
        call = asyncio.get_running_loop().create_task(mesh.get("hello"))
        done, _ = await asyncio.wait((call,), timeout=1.0)
        assert not done
        os.kill(sidecar, signal.SIGCONT)
        assert (await call).status == 200


async def test_an_update_moves_requests_to_the_new_revision_without_a_failure(
    mesh: MeshProcess, tmp_path: Path
) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        stored = await deploy(api, service("hello", min_scale="1"))
        spec = service("hello", min_scale="2")["spec"]
        failures = []
        updated = asyncio.Event()

        async def call_on() -> None:
            while not updated.is_set():
                answer = await mesh.get("hello")
                if answer.status != 200:
                    failures.append(answer)

        caller = asyncio.get_running_loop().create_task(call_on())
        await api.replace(KSERVICE, {**stored, "spec": spec})
        await until(api, KSERVICE, "hello", lambda obj: obj["status"].get("latestReadyRevisionName") == "hello-00002")
        while not (await mesh.get("hello")).body.startswith("hello-00002"):
            await asyncio.sleep(0.02)
        updated.set()
        await caller
        assert failures == []
