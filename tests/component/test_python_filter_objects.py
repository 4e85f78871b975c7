"""PythonFilter objects at work: a sidecar of its own process obeys them live under a real control, and their conditions
tell what has become of them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.kube.api import Object
from eventmesh.kube.resources import PYTHON_FILTER
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.access.by_name import NAMES
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import connected
from tests.component.control_bench import Bench
from tests.component.planes import ask, backend
from tests.component.processes import DataPlaneProcess, data_plane
from tests.waiting import WAIT_S

TENANTS = """
import itertools
from eventmesh.dataplane.filters import Go, Reply, Seen, factory, filter

@filter
async def tenant(request: Seen) -> Go | Reply:
    return Go() if "x-api-key" in request.headers else Reply(401)

@filter
def closed(request: Seen) -> Reply:
    return Reply(410)

@factory
def status(config):
    if not isinstance(config["status"], int):
        raise ValueError(f"status: {config['status']!r} is no status")
    counted = itertools.count(config["status"])
    return lambda request: Reply(next(counted)) if config["header"] in request.headers else Go()

@filter
def broken(request: Seen) -> Go:
    raise RuntimeError("as asked")
"""
LABELS = {"app": "cart"}
QUEUE_PROBE = {"k-network-probe": "queue"}


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


@asynccontextmanager
async def workload(bench: Bench, tmp_path: Path) -> AsyncIterator[DataPlaneProcess]:
    """Run a function, and before it a sidecar that has these filters and that control tells what to do."""
    directory = tmp_path / "filters"
    directory.mkdir()
    (directory / "tenants.py").write_text(TENANTS)
    async with AsyncExitStack() as stack:
        function = await stack.enter_async_context(backend())
        pod_ip = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        where = f"{pod_ip}:0", f"127.0.0.1:{bench.port}"
        file = tmp_path / "b.json"
        file.write_text(json.dumps(bootstrap("sidecar", "cart-1", *where, namespace="default", labels=LABELS)))
        pod = {"USER_PORT": function.rpartition(":")[2], "SERVING_POD": "cart-1", "SERVING_POD_IP": pod_ip}
        env = {**pod, "EVENTMESH_FILTERS": str(directory)}
        yield await stack.enter_async_context(data_plane("sidecar", file, env=env))


async def status(sidecar: DataPlaneProcess, **headers: str) -> int:
    return (await ask(sidecar.addresses["inbound"], headers=headers)).status


def programmed(obj: Object) -> tuple[Any, Any]:
    found = condition(obj, "Programmed") or {}
    return found.get("status"), found.get("reason")


def refused(obj: Object) -> bool:
    return programmed(obj) == ("False", "ConfigurationRefused")


async def say(bench: Bench, called: str, /, **spec: Any) -> None:
    """Have the spec of a stored filter be this."""
    stored = await bench.api.get(PYTHON_FILTER, called, "default")
    await bench.api.replace(PYTHON_FILTER, {**stored, "spec": {"file": "tenants.py", **spec}})


async def until_answered(sidecar: DataPlaneProcess, expected: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while await status(sidecar) != expected:
            await asyncio.sleep(0.01)


async def test_a_sidecar_asks_the_filter_that_an_object_names_as_that_changes(bench: Bench, tmp_path: Path) -> None:
    async with workload(bench, tmp_path) as sidecar:
        assert await status(sidecar) == 200
        await bench.create(PYTHON_FILTER, "paying", {"file": "tenants.py", "name": "tenant"})
        await bench.until(PYTHON_FILTER, "paying", is_ready)
        # Until a sidecar has reached control nobody waits for it.
        await until_answered(sidecar, 401)
        assert (await status(sidecar), await status(sidecar, **{"x-api-key": "k"})) == (401, 200)
        await say(bench, "paying", name="closed", selector={"matchLabels": LABELS})
        await until_answered(sidecar, 410)
        await say(bench, "paying", name="broken", statusOnError=500)
        await until_answered(sidecar, 500)
        await say(bench, "paying", name="broken", failStrategy="FAIL_OPEN")
        await until_answered(sidecar, 200)
        await say(bench, "paying", name="closed")
        await until_answered(sidecar, 410)
        await say(bench, "paying", name="closed", selector={"matchLabels": {"app": "till"}})
        await until_answered(sidecar, 200)
        await say(bench, "paying", name="closed")
        await until_answered(sidecar, 410)
        await bench.api.delete(PYTHON_FILTER, "paying", "default")
        await until_answered(sidecar, 200)


async def test_an_unknown_filter_is_refused_in_its_condition_and_what_was_in_force_stays(
    bench: Bench, tmp_path: Path
) -> None:
    async with workload(bench, tmp_path) as sidecar:
        await bench.create(PYTHON_FILTER, "good", {"file": "tenants.py", "name": "tenant"})
        await bench.until(PYTHON_FILTER, "good", is_ready)
        await until_answered(sidecar, 401)
        await bench.create(PYTHON_FILTER, "bad", {"file": "tenants.py", "name": "tenand"})
        bad = await bench.until(PYTHON_FILTER, "bad", refused)
        words = "filter tenants.py: has no filter 'tenand'; it has: broken, closed, status, tenant"
        assert words in (condition(bad, "Programmed") or {})["message"]
        assert programmed(bench.stored(PYTHON_FILTER, "good")) == ("True", "Programmed")
        assert (await status(sidecar), await status(sidecar, **{"x-api-key": "k"})) == (401, 200)
        await say(bench, "bad", name="closed")
        await bench.until(PYTHON_FILTER, "bad", is_ready)
        assert await status(sidecar, **{"x-api-key": "k"}) == 410, "a sidecar that control knows is waited for"


async def test_objects_that_name_one_function_with_other_settings_have_a_filter_each(
    bench: Bench, tmp_path: Path
) -> None:
    async with workload(bench, tmp_path) as sidecar:
        spec = {"file": "tenants.py", "name": "status"}
        await bench.create(PYTHON_FILTER, "a", {**spec, "config": {"status": 410, "header": "x-a"}})
        await bench.create(PYTHON_FILTER, "b", {**spec, "config": {"status": 420, "header": "x-b"}})
        for name in "ab":
            await bench.until(PYTHON_FILTER, name, is_ready)
        async with asyncio.timeout(WAIT_S):
            while await status(sidecar, **{"x-b": ""}) == 200:
                await asyncio.sleep(0.01)
        said = [await status(sidecar, **{header: ""}) for header in ("x-a", "x-b", "x-a", "x-c")]
        assert said == [410, 421, 411, 200]

        await say(bench, "b", name="status", config={"status": "none", "header": "x-b"})
        bad = await bench.until(PYTHON_FILTER, "b", refused)
        words = (
            "cart-1: inbound: filter tenants.py: 'status' in python:default/b refuses"
            """ {"header":"x-b","status":"none"}: status: 'none' is no status"""
        )
        assert words in (condition(bad, "Programmed") or {})["message"]
        assert programmed(bench.stored(PYTHON_FILTER, "a")) == ("True", "Programmed")
        said = [await status(sidecar, **{header: ""}) for header in ("x-a", "x-b")]
        assert said == [412, 422], "the former configuration is in force, and its filters are those that they were"

        await say(bench, "b", name="status", config={"status": 430, "header": "x-b"})
        await bench.until(PYTHON_FILTER, "b", is_ready)
        said = [await status(sidecar, **{header: ""}) for header in ("x-a", "x-b")]
        assert said == [413, 430], "a filter whose settings stay is not made again"


async def test_settings_that_would_not_arrive_as_written_are_invalid(bench: Bench) -> None:
    spec = {"file": "tenants.py", "name": "status", "config": {"status": 2**60}}
    await bench.create(PYTHON_FILTER, "a", spec)
    told = await bench.until(
        PYTHON_FILTER, "a", lambda obj: (condition(obj, "Accepted") or {}).get("status") == "False"
    )
    message = (condition(told, "Accepted") or {})["message"]
    assert message.startswith("1152921504606846976 is a whole number") and message.endswith(": spec.config.status")


async def test_a_sidecar_whose_first_terms_are_refused_lets_nobody_in_until_there_are_some_it_can_carry_out(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.create(PYTHON_FILTER, "paying", {"file": "tenants.py", "name": "tenand"})
    async with workload(bench, tmp_path) as sidecar:
        await bench.until(PYTHON_FILTER, "paying", refused)
        assert await status(sidecar) == 403, "without a policy in force nobody knows who may come in"
        assert await status(sidecar, **QUEUE_PROBE) == 503, "whether it is ready is told to whoever asks"
        await say(bench, "paying", name="tenant")
        await until_answered(sidecar, 401)
        assert (await status(sidecar, **{"x-api-key": "k"}), await status(sidecar, **QUEUE_PROBE)) == (200, 200)


async def test_a_sidecar_whose_first_terms_are_refused_lets_all_in_once_nobody_asks_for_them(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.create(PYTHON_FILTER, "paying", {"file": "tenants.py", "name": "tenand"})
    async with workload(bench, tmp_path) as sidecar:
        await bench.until(PYTHON_FILTER, "paying", refused)
        assert await status(sidecar) == 403
        await bench.api.delete(PYTHON_FILTER, "paying", "default")
        await until_answered(sidecar, 200)
        assert await status(sidecar, **QUEUE_PROBE) == 200


async def test_a_first_filter_that_is_unknown_stops_no_workload_that_control_let_serve_without(
    bench: Bench, tmp_path: Path
) -> None:
    async with workload(bench, tmp_path) as sidecar:
        async with asyncio.timeout(WAIT_S):
            while not any(
                one.stream.node.id == "cart-1" and one.stream.subscription(ResourceType.LISTENER).acknowledged >= 0
                for one in bench.control.acks.connections()
            ):
                await asyncio.sleep(0.01)
        await bench.create(PYTHON_FILTER, "bad", {"file": "tenants.py", "name": "tenand"})
        await bench.until(PYTHON_FILTER, "bad", refused)
        assert (await status(sidecar), await status(sidecar, **QUEUE_PROBE)) == (200, 200)


async def test_an_envoy_beside_a_workload_is_told_nothing_and_the_condition_names_it(bench: Bench) -> None:
    async with connected(bench.port, "sidecar", "local", namespace="default", filters=NAMES) as envoy:
        await bench.create(PYTHON_FILTER, "paying", {"file": "tenants.py", "name": "tenant"})
        told = await bench.until(
            PYTHON_FILTER, "paying", lambda obj: programmed(obj) == ("False", "UnsupportedDataPlane")
        )
        assert "sidecar-1: an Envoy runs no filters in Python" in (condition(told, "Programmed") or {})["message"]
        assert not any(b"python" in body for body in envoy.held[ResourceType.EXTENSION].values())
    await bench.until(PYTHON_FILTER, "paying", is_ready)
