"""`eventmesh controllers` and `eventmesh autoscaler` as processes of their own, several of each, one at work."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from eventmesh.cli.main import main
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.knative import BROKER_CLASS, CLASS_ANNOTATION
from eventmesh.kube.resources import BROKER, CONFIGURATION, KSERVICE, LEASE, POD_AUTOSCALER, SERVERLESS_SERVICE
from tests.component.embedded_api import served
from tests.component.processes import program
from tests.free_ports import free_port
from tests.waiting import WAIT_S

SPACE = "default"


class Replica:
    """A started command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def works(self) -> None:
        """Return when this replica says that it leads."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while b": working" not in (line := await self.process.stdout.readline()):
                assert line, "it has ended"

    async def end(self, number: int) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()


@asynccontextmanager
async def replicas(count: int, command: str, kubeconfig: Path, *flags: str) -> AsyncIterator[list[Replica]]:
    """Run so many replicas of a command, which follow one another within a second or two."""
    words = (sys.executable, "-m", "eventmesh.cli.main", command, "--kubeconfig", str(kubeconfig), *flags)
    async with AsyncExitStack() as stack:
        started = [program(*words, "--lease-duration-s", "5", stdout=asyncio.subprocess.PIPE) for _ in range(count)]
        yield [Replica(await stack.enter_async_context(process)) for process in started]


async def until(api: Api, resource: Resource, name: str, holds: Callable[[Object], bool] = lambda obj: True) -> Object:
    """Return the object once there is one for which `holds`."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                found = await api.get(resource, name, SPACE)
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                if holds(found):
                    return found
            await asyncio.sleep(0.02)


async def deploy(api: Api, name: str) -> None:
    """Create a Service, with what Serving's webhook would have filled in."""
    container = {"name": "user-container", "image": "example.com/app@sha256:" + "0" * 64}
    spec = {
        "template": {"spec": {"containers": [container], "timeoutSeconds": 300}},
        "traffic": [{"latestRevision": True, "percent": 100}],
    }
    await api.create(KSERVICE, {"metadata": {"name": name}, "spec": spec}, SPACE)


async def first_at_work(among: list[Replica]) -> Replica:
    """Return the replica that leads."""
    waits = {asyncio.ensure_future(replica.works()): replica for replica in among}  # noqa: TID251 - a race of two
    done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    leader = done.pop()
    leader.result()
    return waits[leader]


async def holder(api: Api, lease: str) -> str:
    found: str = (await api.get(LEASE, lease, "eventmesh-system"))["spec"]["holderIdentity"]
    return found


async def test_another_replica_goes_on_when_the_one_at_work_is_killed(tmp_path: Path) -> None:
    async with served(tmp_path) as cluster, replicas(2, "controllers", cluster.kubeconfig) as two:
        api = cluster.api.in_process()
        leader = await first_at_work(two)
        (other,) = (replica for replica in two if replica is not leader)
        await deploy(api, "one")
        await until(api, CONFIGURATION, "one")
        await leader.end(signal.SIGKILL)
        await other.works()
        await deploy(api, "two")
        await until(api, CONFIGURATION, "two")
        await until(api, POD_AUTOSCALER, "two-00001")
        assert await other.end(signal.SIGTERM) == 0
        assert await holder(api, "eventmesh-controllers") == ""


async def test_only_eventing_leaves_serving_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as cluster, replicas(1, "controllers", cluster.kubeconfig, "--only=eventing") as (one,):
        api = cluster.api.in_process()
        await one.works()
        await deploy(api, "one")
        ours = {CLASS_ANNOTATION: BROKER_CLASS}
        await api.create(BROKER, {"metadata": {"name": "b", "annotations": ours}, "spec": {}}, SPACE)
        await until(api, BROKER, "b", lambda obj: bool(obj.get("status")))
        assert "status" not in await api.get(KSERVICE, "one", SPACE)
        assert await one.end(signal.SIGINT) == 0


async def test_the_autoscaler_that_works_is_the_one_that_listens(tmp_path: Path) -> None:
    port = free_port()
    address = f"--address=127.0.0.1:{port}"
    async with (
        served(tmp_path) as cluster,
        replicas(1, "controllers", cluster.kubeconfig, "--only=serving"),
        replicas(2, "autoscaler", cluster.kubeconfig, address) as two,
    ):
        api = cluster.api.in_process()
        leader = await first_at_work(two)
        (other,) = (replica for replica in two if replica is not leader)
        await deploy(api, "one")
        await until(api, SERVERLESS_SERVICE, "one-00001")
        assert await leader.end(signal.SIGTERM) == 0
        await other.works()
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        await deploy(api, "two")
        await until(api, SERVERLESS_SERVICE, "two-00001")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["controllers", "--lease-duration-s", "0"], "--lease-duration-s: 0 is no number of seconds"),
        (["controllers", "--broker-url", "brokers.example.com"], "--broker-url: 'brokers.example.com' is no URL"),
        (["autoscaler", "--address", "8080"], "--address: '8080' is no address"),
    ],
)
def test_a_wrong_flag_is_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert re.search(re.escape(said), capsys.readouterr().err)
