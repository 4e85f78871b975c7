"""KafkaSinks while no Kafka is there: who is answered what, and who may send at all. tests/peers has a real one."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP, KAFKA_SINK
from eventmesh.kube.status import condition
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import event_headers

HOST = "kafka-sink-ingress.knative-eventing.svc.cluster.local"
SPEC = {"bootstrapServers": ["127.0.0.1:1"], "topic": "orders"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def failed(world: World, name: str) -> Object:
    def holds(obj: Object) -> bool:
        return (condition(obj, "TopicReady") or {}).get("status") == "False"

    return condition(await world.mesh.bench.until(KAFKA_SINK, name, holds), "TopicReady") or {}


async def test_what_no_sink_can_take_is_told_and_an_event_is_not_acknowledged_before_kafka_has_it(
    world: World,
) -> None:
    await world.mesh.bench.create(KAFKA_SINK, "orders", SPEC)
    told = await failed(world, "orders")
    assert (told["reason"], told["message"]) == ("ConnectionFailed", "Kafka at 127.0.0.1:1: no server lets us in")
    headers = {**event_headers("1"), "host": HOST}
    avro = {"host": HOST, "content-type": "application/cloudevents+avro"}
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (503, "could not be written to topic orders; send it again later", {}),
        (404, 'no kafkasink "none" in namespace "default"', {"path": "/default/none"}),
        (400, "/<namespace>/<kafkasink>", {"path": "/default"}),
        (405, "POST", {"method": "PUT"}),
        (400, '"id"', {"headers": {name: value for name, value in headers.items() if name != "ce-id"}}),
        (415, "application/cloudevents+avro", {"headers": avro}),
        (413, "", {"body": io.BytesIO(b"x" * 1_048_577)}),
    ]
    for status, text, asked in cases:
        answer = await world.ask(**{"path": "/default/orders", "headers": headers, **asked})
        assert answer.status == status and text in answer.text, (asked, answer)
    assert (await world.ask("/default/orders", headers=headers)).headers["retry-after"] == "1"
    await world.mesh.bench.api.delete(KAFKA_SINK, "orders", "default")
    await world.log.heard("not connected", sink="default/orders")
    assert (await world.ask("/default/orders", headers=headers)).status == 404


async def test_a_secret_that_lets_nobody_in_is_told(world: World) -> None:
    await world.mesh.bench.create(KAFKA_SINK, "let-in", {**SPEC, "auth": {"secret": {"ref": {"name": "login"}}}})
    told = await failed(world, "let-in")
    assert (told["reason"], told["message"]) == (
        "SecretInvalid",
        'auth.secret.ref.name: secret "login" not found',
    )


async def test_while_authentication_is_on_an_address_tells_its_audience_and_nobody_is_let_in_without_a_token(
    world: World,
) -> None:
    features = {"metadata": {"name": "config-features"}, "data": {"authentication-oidc": "enabled"}}
    await world.mesh.bench.api.create(CONFIG_MAP, features, "knative-eventing")
    await world.mesh.bench.create(KAFKA_SINK, "orders", SPEC)

    def tells(obj: Object) -> bool:
        return "audience" in ((obj.get("status") or {}).get("address") or {})

    made = await world.mesh.bench.until(KAFKA_SINK, "orders", tells)
    assert made["status"]["address"]["audience"] == "eventing.knative.dev/kafkasink/default/orders"
    answer = await world.ask("/default/orders", headers={**event_headers("1"), "host": HOST})
    assert answer.status == 401
