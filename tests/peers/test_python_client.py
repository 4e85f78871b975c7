"""The Python client of the Kubernetes project: legacy discovery, typed models that refuse what is out of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, watch
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock import leaselock

from tests.component.embedded_api import Served, served

pytestmark = pytest.mark.peer

# The package leaves these untyped.
_DYNAMIC: Any = DynamicClient
_WATCH: Any = watch.Watch
_ELECTION: Any = leaderelection
_SETTINGS: Any = electionconfig.Config
_LOCK: Any = leaselock.LeaseLock


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture
async def connection(cluster: Served) -> AsyncIterator[Any]:
    made = await asyncio.to_thread(config.new_client_from_config, str(cluster.kubeconfig))
    yield made
    await asyncio.to_thread(made.close)


async def test_typed_models_accept_our_objects(connection: Any) -> None:
    def use() -> tuple[list[str], str, list[str]]:
        core: Any = client.CoreV1Api(connection)
        apps: Any = client.AppsV1Api(connection)
        namespaces = [item.metadata.name for item in core.list_namespace().items]
        pod = {"containers": [{"name": "c", "image": "dev.local/x"}]}
        template = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
        deployment = apps.create_namespaced_deployment("default", {"metadata": {"name": "web"}, "spec": spec})
        core.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": pod})
        pods = [item.metadata.name for item in core.list_pod_for_all_namespaces().items]
        core.list_node()
        core.list_event_for_all_namespaces()
        return namespaces, deployment.spec.strategy.type, pods

    namespaces, strategy, pods = await asyncio.to_thread(use)
    assert {"default", "knative-serving"} <= set(namespaces)
    assert (strategy, pods) == ("RollingUpdate", ["p"])


async def test_dynamic_client_finds_custom_kinds_by_legacy_discovery(connection: Any) -> None:
    def use() -> list[str]:
        functions = _DYNAMIC(connection).resources.get(api_version="serving.knative.dev/v1", kind="Service")
        body = {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": "hello"},
            "spec": {"template": {"spec": {"containers": [{"image": "dev.local/x"}]}}},
        }
        functions.create(body=body, namespace="default")
        return [item.metadata.name for item in functions.get(namespace="default").items]

    assert await asyncio.to_thread(use) == ["hello"]


async def test_watch_of_the_package_sees_changes(connection: Any) -> None:
    def use() -> list[tuple[str, str]]:
        core: Any = client.CoreV1Api(connection)
        core.create_namespaced_config_map("kube-public", {"metadata": {"name": "a"}})
        core.delete_namespaced_config_map("a", "kube-public")
        listing = core.list_namespaced_config_map("kube-public")
        core.create_namespaced_config_map("kube-public", {"metadata": {"name": "b"}})
        core.patch_namespaced_config_map("b", "kube-public", {"data": {"k": "v"}})
        stream = _WATCH().stream(
            core.list_namespaced_config_map,
            "kube-public",
            resource_version=listing.metadata.resource_version,
            timeout_seconds=1,
        )
        return [(event["type"], event["object"].metadata.name) for event in stream]

    assert await asyncio.to_thread(use) == [("ADDED", "b"), ("MODIFIED", "b")]


async def test_events_of_both_groups_are_models_of_the_package(connection: Any) -> None:
    def use() -> list[tuple[str, str]]:
        involved = {"kind": "Pod", "name": "p", "namespace": "default"}
        stamp = "2026-01-01T00:00:00Z"
        event = {"metadata": {"name": "e"}, "involvedObject": involved, "message": "it runs", "reason": "Started"}
        core: Any = client.CoreV1Api(connection)
        core.create_namespaced_event("default", {**event, "firstTimestamp": stamp, "lastTimestamp": stamp, "count": 1})
        newer: Any = client.EventsV1Api(connection)
        newer.create_namespaced_event(
            "default",
            {
                "metadata": {"name": "n"},
                "eventTime": "2026-01-01T00:00:00.000001Z",
                "reportingController": "robot",
                "reportingInstance": "robot-1",
                "action": "Starting",
                "reason": "Started",
                "regarding": involved,
                "note": "it starts",
                "type": "Normal",
            },
        )
        seen = {item.metadata.name: item.note for item in newer.list_namespaced_event("default").items}
        told = {item.metadata.name: item.message for item in core.list_namespaced_event("default").items}
        return [(seen["e"], seen["n"]), (told["e"], told["n"])]

    assert await asyncio.to_thread(use) == [("it runs", "it starts"), ("it runs", "it starts")]


async def test_leader_election_of_the_package_elects_one(connection: Any) -> None:
    def candidate(name: str) -> Any:
        lock = _LOCK("leader", "default", name)
        lock.api_instance = client.CoordinationV1Api(connection)
        settings = _SETTINGS(lock, 17, 15, 5, onstarted_leading=print, onstopped_leading=print)
        return _ELECTION.LeaderElection(settings)

    def use() -> list[bool]:
        ann, bob = candidate("ann"), candidate("bob")
        outcomes = [ann.try_acquire_or_renew(), bob.try_acquire_or_renew(), ann.try_acquire_or_renew()]
        # Who writes from what it read before the other renewed has lost.
        leases: Any = client.CoordinationV1Api(connection)
        stale = leases.read_namespaced_lease("leader", "default")
        outcomes.append(ann.try_acquire_or_renew())
        bob.election_config.lock.lease_reference = stale
        record = _ELECTION.LeaderElectionRecord("bob", "17", str(datetime.now()), str(datetime.now()))
        outcomes.append(bob.election_config.lock.update("leader", "default", record))
        held = leases.read_namespaced_lease("leader", "default")
        return [*outcomes, held.spec.holder_identity == "ann"]

    assert await asyncio.to_thread(use) == [True, False, True, True, False, True]


async def test_dynamic_client_applies_on_the_server(connection: Any) -> None:
    def use() -> tuple[str, str]:
        maps = _DYNAMIC(connection).resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
        made = maps.server_side_apply(body=body, name="a", namespace="default", field_manager="robot")
        changed = {**body, "data": {"k": "w"}}
        with pytest.raises(ConflictError):
            maps.server_side_apply(body=changed, name="a", namespace="default", field_manager="rival")
        forced = maps.server_side_apply(
            body=changed, name="a", namespace="default", field_manager="rival", force_conflicts=True
        )
        return made.data.k, forced.data.k

    assert await asyncio.to_thread(use) == ("v", "w")
