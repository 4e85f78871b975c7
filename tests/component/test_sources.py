"""Sources: real controllers, a real activator, real sinks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.resources import (
    API_SERVER_SOURCE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    KAFKA_SOURCE,
    KAFKA_SOURCE_V1BETA1,
    NAMESPACE,
    PING_SOURCE,
    PING_SOURCE_V1BETA2,
    ROLE_BINDING,
    SECRET,
)
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import SHOP

EACH_SECOND = "* * * * * *"
BROKER_SINK = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": SHOP}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def test_a_ping_source_sends_to_its_sink_without_asking_for_a_reply(world: World) -> None:
    sink = await world.subscriber()
    spec = {"schedule": EACH_SECOND, "sink": {"uri": sink.url}, "data": "tick", "contentType": "text/plain"}
    await world.mesh.bench.create(PING_SOURCE, "clock", spec)
    made = await world.mesh.bench.until(PING_SOURCE, "clock", is_ready)
    source = "/apis/v1/namespaces/default/pingsources/clock"
    assert made["status"]["ceAttributes"] == [{"type": "dev.knative.sources.ping", "source": source}]
    await sink.until(lambda: len(sink.got) >= 2)
    first, second = sink.got[:2]
    assert (first.attributes["source"], first.body, "prefer" in first.headers) == (source, b"tick", False)
    assert first.attributes.keys() == {"id", "source", "type", "specversion", "time"}
    assert first.id != second.id


async def test_a_ping_source_whose_sink_is_a_broker_reaches_its_triggers(world: World) -> None:
    reader = await world.subscriber()
    await world.trigger("reader", reader, type="dev.knative.sources.ping")
    await world.mesh.bench.create(PING_SOURCE, "clock", {"schedule": EACH_SECOND, "sink": BROKER_SINK})
    await reader.until(lambda: bool(reader.got))
    assert "knativearrivaltime" in reader.got[0].attributes


async def test_what_a_sink_refuses_for_a_while_is_sent_again(world: World) -> None:
    refusals = iter((503, 503))
    sink = await world.subscriber(lambda event: web.Response(status=next(refusals, 202)))
    await world.mesh.bench.create(PING_SOURCE, "clock", {"schedule": EACH_SECOND, "sink": {"uri": sink.url}})
    await sink.until(lambda: sink.refused == 2 and bool(sink.got))


async def test_a_source_waits_for_its_sink_and_says_so(world: World) -> None:
    reference = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "later"}
    await world.mesh.bench.create(PING_SOURCE, "clock", {"schedule": EACH_SECOND, "sink": {"ref": reference}})
    waiting = await world.mesh.bench.until(PING_SOURCE, "clock", lambda obj: condition(obj, "Ready") is not None)
    said = condition(waiting, "SinkProvided") or {}
    assert (said["status"], said["message"]) == ("False", 'brokers.eventing.knative.dev "later" not found')


@pytest.mark.parametrize("version", [PING_SOURCE, PING_SOURCE_V1BETA2])
async def test_a_source_that_cannot_work_is_refused_in_every_version(world: World, version: Resource) -> None:
    with pytest.raises(ApiError, match="denied the request: validation failed: .*schedule"):
        await world.mesh.bench.create(version, "clock", {"schedule": "never", "sink": {"uri": "http://x/"}})


def config_map(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"k": "v"}}


async def let_accounts_view(api: Api, namespace: str = "") -> None:
    """Bind what Kubernetes' `view` may read, everywhere or in a namespace, to every service account."""
    reference = {"apiGroup": CLUSTER_ROLE_BINDING.group, "kind": "ClusterRole", "name": "view"}
    subject = {"kind": "Group", "name": "system:serviceaccounts"}
    binding = {"metadata": {"name": "viewers"}, "roleRef": reference, "subjects": [subject]}
    await api.create(ROLE_BINDING if namespace else CLUSTER_ROLE_BINDING, binding, namespace or None)


async def test_an_api_server_source_tells_nothing_that_its_account_may_not_read(world: World) -> None:
    sink, bench = await world.subscriber(), world.mesh.bench
    spec = {"resources": [{"apiVersion": "v1", "kind": "ConfigMap"}], "sink": {"uri": sink.url}}
    await bench.create(API_SERVER_SOURCE, "watch", spec)

    def is_refused(source: Object) -> bool:
        return (condition(source, "SufficientPermissions") or {}).get("status") == "False"

    refused = await bench.until(API_SERVER_SOURCE, "watch", is_refused)
    assert (condition(refused, "Ready") or {})["message"] == (
        'User system:serviceaccount:default:default cannot get, list, watch resource "configmaps" in API group "" in '
        'Namespace "default"'
    )
    await bench.api.create(CONFIG_MAP, config_map("unseen"), "default")
    await let_accounts_view(bench.api, "default")
    changed = {"spec": {"ceOverrides": {"extensions": {"seen": "yes"}}}}
    await bench.api.patch(API_SERVER_SOURCE, "watch", changed, "default")
    await bench.until(API_SERVER_SOURCE, "watch", is_ready)
    await bench.api.create(CONFIG_MAP, config_map("seen"), "default")
    # Asked for something that it may not read, it goes on with what it may, and no further.
    secret = {"spec": {"resources": [{"apiVersion": "v1", "kind": "Secret"}]}}
    await sink.until(lambda: bool(sink.got))
    await bench.api.patch(API_SERVER_SOURCE, "watch", secret, "default")
    await bench.until(API_SERVER_SOURCE, "watch", is_refused)
    await bench.api.create(SECRET, {"metadata": {"name": "hidden"}}, "default")
    # What is in no namespace is not for who may read it in one.
    resources = [{"apiVersion": "v1", "kind": "Namespace"}]
    await bench.create(API_SERVER_SOURCE, "beyond", {**spec, "resources": resources})
    beyond = await bench.until(API_SERVER_SOURCE, "beyond", is_refused)
    told = (condition(beyond, "Ready") or {})["message"]
    assert told.endswith('resource "namespaces" in API group "" at the cluster scope')
    assert {event.attributes["name"] for event in sink.got} == {"seen"}


async def test_an_api_server_source_tells_of_each_change_of_what_it_watches(world: World) -> None:
    sink, api = await world.subscriber(), world.mesh.bench.api
    await let_accounts_view(api)
    await api.create(CONFIG_MAP, config_map("before", team="x"), "default")
    resource = {"apiVersion": "v1", "kind": "ConfigMap", "selector": {"matchLabels": {"team": "x"}}}
    spec = {"resources": [resource], "mode": "Resource", "sink": {"uri": sink.url}}
    await world.mesh.bench.create(API_SERVER_SOURCE, "watch", spec)
    made = await world.mesh.bench.until(API_SERVER_SOURCE, "watch", is_ready)
    assert made["status"]["namespaces"] == ["default"]
    await api.create(CONFIG_MAP, config_map("other", team="y"), "default")
    created = await api.create(CONFIG_MAP, config_map("one", team="x"), "default")
    await api.patch(CONFIG_MAP, "one", {"data": {"k": "w"}}, "default")
    await api.delete(CONFIG_MAP, "one", "default")
    await sink.until(lambda: len(sink.ids()) == 3)
    told = [(event.attributes["type"], event.attributes["name"]) for event in sink.got]
    words = ("add", "update", "delete")
    assert sorted(told) == sorted((f"dev.knative.apiserver.resource.{word}", "one") for word in words)
    (added,) = (event for event in sink.got if event.attributes["type"].endswith("add"))
    assert json.loads(added.body)["metadata"]["uid"] == created["metadata"]["uid"]
    assert added.attributes["subject"] == "/apis/v1/namespaces/default/configmaps/one"


async def test_filters_of_an_api_server_source_hold_back_what_does_not_pass(world: World) -> None:
    sink, api = await world.subscriber(), world.mesh.bench.api
    await let_accounts_view(api)
    spec = {
        "resources": [{"apiVersion": "v1", "kind": "ConfigMap"}],
        "filters": [{"suffix": {"type": ".delete"}}],
        "sink": {"uri": sink.url},
    }
    await world.mesh.bench.create(API_SERVER_SOURCE, "watch", spec)
    await world.mesh.bench.until(API_SERVER_SOURCE, "watch", is_ready)
    await api.create(CONFIG_MAP, config_map("one"), "default")
    await api.delete(CONFIG_MAP, "one", "default")
    await sink.until(lambda: bool(sink.got))
    (event,) = sink.got
    reference = {"kind": "ConfigMap", "name": "one", "namespace": "default", "apiVersion": "v1"}
    assert (event.attributes["type"], json.loads(event.body)) == ("dev.knative.apiserver.ref.delete", reference)


async def test_a_kind_that_nobody_serves_is_told_and_namespaces_are_followed(world: World) -> None:
    sink, bench = await world.subscriber(), world.mesh.bench
    await let_accounts_view(bench.api)
    unknown = {"resources": [{"apiVersion": "example.com/v1", "kind": "Widget"}], "sink": {"uri": sink.url}}
    await bench.create(API_SERVER_SOURCE, "unknown", unknown)
    failed = await bench.until(
        API_SERVER_SOURCE, "unknown", lambda obj: (condition(obj, "Deployed") or {}).get("status") == "False"
    )
    assert "Widget (example.com/v1)" in (condition(failed, "Ready") or {})["message"]
    chosen = {"matchLabels": {"team": "x"}}
    spec = {"resources": [{"apiVersion": "v1", "kind": "ConfigMap"}], "namespaceSelector": chosen}
    await bench.create(API_SERVER_SOURCE, "teams", {**spec, "sink": {"uri": sink.url}})
    await bench.until(API_SERVER_SOURCE, "teams", is_ready)
    await bench.api.create(NAMESPACE, {"metadata": {"name": "x1", "labels": {"team": "x"}}})
    await bench.until(API_SERVER_SOURCE, "teams", lambda obj: obj["status"]["namespaces"] == ["x1"])
    await world.log.heard("watching", 2, source="default/teams")
    await bench.api.create(CONFIG_MAP, config_map("one"), "default")
    await bench.api.create(CONFIG_MAP, config_map("two"), "x1")
    await sink.until(lambda: bool(sink.got))
    assert [event.attributes["name"] for event in sink.got] == ["two"]


@pytest.mark.parametrize("version", [KAFKA_SOURCE, KAFKA_SOURCE_V1BETA1])
async def test_a_kafka_source_whose_servers_nobody_reaches_says_so_and_one_without_consumers_does_not_try(
    world: World, version: Resource
) -> None:
    spec = {"bootstrapServers": ["127.0.0.1:1"], "topics": ["t"], "sink": {"uri": "http://127.0.0.1:9/"}}
    await world.mesh.bench.create(version, "nowhere", spec)

    def failed(obj: Object) -> bool:
        return (condition(obj, "ConnectionEstablished") or {}).get("status") == "False"

    told = condition(await world.mesh.bench.until(KAFKA_SOURCE, "nowhere", failed), "Ready") or {}
    assert (told["reason"], told["message"]) == ("ConnectionFailed", "Kafka at 127.0.0.1:1: no server lets us in")
    idle = await world.mesh.bench.api.patch(KAFKA_SOURCE, "nowhere", {"spec": {"consumers": 0}}, "default")
    made = await world.mesh.bench.until(KAFKA_SOURCE, "nowhere", is_ready)
    assert made["metadata"]["generation"] == idle["metadata"]["generation"]
    assert (condition(made, "Deployed") or {})["message"] == "consumers is 0: nothing is read"
    assert made["status"]["ceAttributes"] == [
        {"type": "dev.knative.kafka.event", "source": "/apis/v1/namespaces/default/kafkasources/nowhere#t"}
    ]
