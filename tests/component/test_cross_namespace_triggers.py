"""Triggers of brokers of other namespaces: who may make them, and what they get while the switch is on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.cluster.api.writing import WriteOptions
from eventmesh.kube.api import ApiError, Object, PatchType
from eventmesh.kube.eventing_features import CROSS_NAMESPACE
from eventmesh.kube.resources import BROKER, CONFIG_MAP, NAMESPACE, ROLE_BINDING, TRIGGER
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import event_headers
from tests.waiting import WAIT_S

ELSEWHERE = "orders"
REFERENCE = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": "shop", "namespace": ELSEWHERE}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        api = made.mesh.bench.api
        for name in (ELSEWHERE, "knative-eventing"):
            if name not in {found["metadata"]["name"] for found in (await api.list(NAMESPACE)).items}:
                await api.create(NAMESPACE, {"metadata": {"name": name}})
        await api.create(BROKER, {"metadata": {"name": "shop"}, "spec": {}}, ELSEWHERE)
        await switch(made, "enabled")
        yield made


async def switch(world: World, value: str) -> None:
    api, data = world.mesh.bench.api, {CROSS_NAMESPACE: value}
    try:
        await api.patch(CONFIG_MAP, "config-features", {"data": data}, "knative-eventing")
    except ApiError:
        await api.create(CONFIG_MAP, {"metadata": {"name": "config-features"}, "data": data}, "knative-eventing")


def trigger(url: str) -> Object:
    spec = {"brokerRef": REFERENCE, "subscriber": {"uri": url}}
    return {"metadata": {"name": "far", "namespace": "default"}, "spec": spec}


async def made(world: World, url: str) -> None:
    """Make the Trigger once the switch has been heard of."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await world.mesh.bench.api.create(TRIGGER, trigger(url), "default")
            except ApiError as error:
                assert CROSS_NAMESPACE in error.message
                await asyncio.sleep(0.02)
            else:
                return


async def send(world: World, event_id: str) -> None:
    answer = await world.ask(f"/{ELSEWHERE}/shop", headers=event_headers(event_id))
    assert answer.status == 202, answer.text


def is_switched_off(found: Object) -> bool:
    return (condition(found, "BrokerReady") or {}).get("reason") == "CrossNamespaceDisabled"


async def test_a_trigger_gets_the_events_of_a_broker_elsewhere_while_the_switch_is_on(world: World) -> None:
    sink, bench = await world.subscriber(), world.mesh.bench
    await made(world, sink.url)
    found = await bench.until(TRIGGER, "far", is_ready)
    assert found["metadata"]["labels"]["eventing.knative.dev/broker"] == "shop"
    await world.log.heard("delivering", trigger="default/far")
    await send(world, "1")
    await sink.until(lambda: sink.ids() == {"1"})
    await switch(world, "disabled")
    await bench.until(TRIGGER, "far", is_switched_off)
    with pytest.raises(ApiError, match=f"a broker of {ELSEWHERE} can be named only while {CROSS_NAMESPACE} is enabled"):
        await bench.api.create(TRIGGER, {**trigger(sink.url), "metadata": {"name": "another"}}, "default")
    await switch(world, "enabled")
    await bench.until(TRIGGER, "far", is_ready)
    await send(world, "2")
    await sink.until(lambda: sink.ids() == {"1", "2"})


async def test_who_makes_it_must_be_let_by_those_whose_broker_it_is(world: World) -> None:
    bench = world.mesh.bench
    await made(world, "http://127.0.0.1:1")
    await bench.api.delete(TRIGGER, "far", "default")
    registry = bench.embedded.registry
    served = registry.catalog.of(TRIGGER)
    assert served is not None

    def write(user: str) -> Object:
        groups = ("devs", "system:authenticated")
        return registry.create(served, trigger("http://127.0.0.1:1"), "default", WriteOptions(user, groups)).object

    with pytest.raises(ApiError) as refused:
        write("ann")
    assert refused.value.code == 400
    assert refused.value.message.endswith(
        f"validation failed: user ann is not authorized to get target resource in namespace: {ELSEWHERE}: "
        "spec.BrokerNamespace"
    )
    reference = {"apiGroup": ROLE_BINDING.group, "kind": "ClusterRole", "name": "crossnamespace-subscriber"}
    binding = {"metadata": {"name": "guests"}, "roleRef": reference, "subjects": [{"kind": "Group", "name": "devs"}]}
    await bench.api.create(ROLE_BINDING, binding, ELSEWHERE)
    assert write("ann")["spec"]["brokerRef"] == REFERENCE
    await bench.api.delete(ROLE_BINDING, "guests", ELSEWHERE)
    turned = {"spec": {"subscriber": {"uri": "http://127.0.0.1:2"}}}
    with pytest.raises(ApiError, match="is not authorized to get target resource"):
        registry.patch(served, turned, PatchType.MERGE, "far", "default", WriteOptions("ann", ("devs",)))
