"""The Python client of the Kubernetes project: legacy discovery, typed models that refuse what is out of order."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, watch
from kubernetes.dynamic import DynamicClient

from tests.component import processes
from tests.component.embedded_api import Served
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

# The package leaves these two untyped.
_DYNAMIC: Any = DynamicClient
_WATCH: Any = watch.Watch


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


# What follows runs in a process of its own: the package keeps sockets of failed requests until it ends.

EVENTS = """
from kubernetes import client, config
config.load_kube_config()
core, newer = client.CoreV1Api(), client.EventsV1Api()
involved = {"kind": "Pod", "name": "p", "namespace": "default"}
event = {"metadata": {"name": "e"}, "involvedObject": involved, "message": "it runs", "reason": "Started"}
stamp = "2026-01-01T00:00:00Z"
core.create_namespaced_event("default", {**event, "firstTimestamp": stamp, "lastTimestamp": stamp, "count": 1})
newer.create_namespaced_event("default", {
    "metadata": {"name": "n"}, "eventTime": "2026-01-01T00:00:00.000001Z", "reportingController": "robot",
    "reportingInstance": "robot-1", "action": "Starting", "reason": "Started", "regarding": involved,
    "note": "it starts", "type": "Normal",
})
print(sorted(item.note for item in newer.list_namespaced_event("default").items))
print(sorted(item.message for item in core.list_namespaced_event("default").items))
"""

ELECTION = """
from datetime import datetime
from kubernetes import client, config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
config.load_kube_config()

def candidate(name):
    lock = LeaseLock("leader", "default", name)
    settings = electionconfig.Config(lock, 17, 15, 5, onstarted_leading=print, onstopped_leading=print)
    return leaderelection.LeaderElection(settings)

ann, bob = candidate("ann"), candidate("bob")
print([ann.try_acquire_or_renew(), bob.try_acquire_or_renew(), ann.try_acquire_or_renew()])
# Who writes from what it read before the other renewed has lost.
stale = client.CoordinationV1Api().read_namespaced_lease("leader", "default")
ann.try_acquire_or_renew()
bob.election_config.lock.lease_reference = stale
now = str(datetime.now())
record = leaderelection.LeaderElectionRecord("bob", "17", now, now)
print(bob.election_config.lock.update("leader", "default", record))
print(client.CoordinationV1Api().read_namespaced_lease("leader", "default").spec.holder_identity)
"""

APPLY = """
from kubernetes import config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError
maps = DynamicClient(config.new_client_from_config()).resources.get(api_version="v1", kind="ConfigMap")
body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
where = {"name": "a", "namespace": "default"}
print(maps.server_side_apply(body=body, field_manager="robot", **where).data.k)
changed = {**body, "data": {"k": "w"}}
try:
    maps.server_side_apply(body=changed, field_manager="rival", **where)
except ConflictError:
    print("conflict")
print(maps.server_side_apply(body=changed, field_manager="rival", force_conflicts=True, **where).data.k)
"""


ROBOT = """
from kubernetes import client, config
config.load_kube_config()
core, rbac = client.CoreV1Api(), client.RbacAuthorizationV1Api()
core.create_namespaced_service_account("default", {"metadata": {"name": "robot"}})
issued = core.create_namespaced_service_account_token("robot", "default", {"spec": {}}).status.token
admin = client.Configuration.get_default_copy()
known = client.Configuration(host=admin.host, api_key={"authorization": f"Bearer {issued}"})
known.ssl_ca_cert = admin.ssl_ca_cert
robot = client.CoreV1Api(client.ApiClient(known))
may = client.AuthorizationV1Api(client.ApiClient(known)).create_self_subject_access_review
asked = {"spec": {"resourceAttributes": {"verb": "list", "resource": "configmaps", "namespace": "default"}}}
def attempt():
    try:
        return [item.metadata.name for item in robot.list_namespaced_config_map("default").items]
    except client.ApiException as error:
        return (error.status, error.reason)
print(attempt(), may(asked).status.allowed)
rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
rbac.create_namespaced_role("default", {"metadata": {"name": "lists"}, "rules": [rule]})
reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lists"}
subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
rbac.create_namespaced_role_binding("default", {
    "metadata": {"name": "lists"}, "roleRef": reference, "subjects": [subject],
})
print(attempt(), may(asked).status.allowed)
rbac.delete_namespaced_role_binding("lists", "default")
print(attempt(), may(asked).status.allowed)
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param(EVENTS, ["['it runs', 'it starts']"] * 2, id="events of both groups are its models"),
        pytest.param(ELECTION, ["[True, False, True]", "False", "ann"], id="its leader election elects one"),
        pytest.param(
            ROBOT,
            ["(403, 'Forbidden') False", "[] True", "(403, 'Forbidden') False"],
            id="a token is worth a role",
        ),
        pytest.param(APPLY, ["v", "conflict", "w"], id="its dynamic client applies on the server"),
    ],
)
async def test_programs_of_the_package(cluster: Served, tmp_path: Path, program: str, said: list[str]) -> None:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path)}
    running = processes.program(sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE)
    async with running as process, asyncio.timeout(WAIT_S):
        out, _ = await process.communicate()
    assert (process.returncode, out.decode().splitlines()) == (0, said)
