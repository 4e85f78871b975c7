"""kubectl's ways of looking, deleting and creating that no other file is about: what it shows, watches and waits for.

By the oldest that is promised, and by the newest.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.peers.command_line import CommandLine
from tests.peers.manifests import DEPLOYMENT
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]


@asynccontextmanager
async def started(kubectl: CommandLine, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a command that does not end by itself; yield what it prints."""
    process = await kubectl.start(*arguments)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            yield process.stdout
    finally:
        process.kill()
        await process.communicate()


async def test_lists_are_sorted_labelled_and_printed_by_template(kubectl: CommandLine) -> None:
    for name, value in (("first", "3"), ("second", "1"), ("third", "2")):
        await kubectl("create", "configmap", name, f"--from-literal=order={value}")
        await kubectl("label", "configmap", name, f"place={name}")
    mine = ("get", "configmap", "-l", "place")
    by_order = await kubectl(*mine, "--sort-by={.data.order}", "-o", "name")
    assert by_order.split() == ["configmap/second", "configmap/third", "configmap/first"]
    table = (await kubectl(*mine, "--sort-by={.data.order}", "--no-headers")).splitlines()
    assert [row.split()[0] for row in table] == ["second", "third", "first"]
    assert "place=first" in await kubectl(*mine, "--show-labels")
    columns = (await kubectl(*mine, "-L", "place")).splitlines()
    assert columns[0].split()[-1] == "PLACE" and columns[1].split()[-1] == "first"
    template = "go-template={{range .items}}{{.metadata.name}}={{.data.order}} {{end}}"
    assert await kubectl(*mine, "-o", template) == "first=3 second=1 third=2 "
    path = 'jsonpath={range .items[?(@.data.order=="2")]}{.metadata.name}{"\\n"}{end}'
    assert await kubectl(*mine, "-o", path) == "third\n"
    assert await kubectl("get", "configmap", "none", "--ignore-not-found") == ""


async def test_get_all_shows_what_runs_here_and_everywhere(kubectl: CommandLine, namespace: str) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    await kubectl("autoscale", "deployment", "web", "--max=3")
    names = (await kubectl("get", "all", "-o", "name")).split()
    # An autoscaler once, although two versions are served.
    assert sorted(names) == ["deployment.apps/web", "horizontalpodautoscaler.autoscaling/web", "service/web"]
    everywhere = await kubectl("get", "all", "-A")
    assert any(line.split()[:2] == [namespace, "deployment.apps/web"] for line in everywhere.splitlines())


async def test_one_object_is_watched_and_events_are_named(kubectl: CommandLine) -> None:
    await kubectl("create", "configmap", "c")
    words = ("get", "configmap", "c", "--watch", "--output-watch-events", "--no-headers")
    async with started(kubectl, *words) as shown:
        assert (await shown.readline()).split()[:2] == [b"ADDED", b"c"]
        await kubectl("create", "configmap", "other")
        await kubectl("annotate", "configmap", "c", "a=b")
        assert (await shown.readline()).split()[:2] == [b"MODIFIED", b"c"]
        await kubectl("delete", "configmap", "c")
        assert (await shown.readline()).split()[:2] == [b"DELETED", b"c"]


# The oldest cannot wait for what is not there yet.
@pytest.mark.parametrize("kubectl_home", ["kubectl-newest"], indirect=True)
async def test_wait_sees_an_object_come(kubectl: CommandLine) -> None:
    waiting = asyncio.get_running_loop().create_task(kubectl("wait", "--for=create", "configmap/late", "--timeout=20s"))
    await asyncio.sleep(0)
    await kubectl("create", "configmap", "late")
    assert await waiting == "configmap/late condition met\n"


async def test_deletion_takes_or_leaves_what_is_owned(kubectl: CommandLine) -> None:
    await kubectl("create", "configmap", "owner")
    uid = await kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    for cascade, left in (("orphan", "configmap/owned\n"), ("foreground", ""), ("background", "")):
        owned = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "owned", "labels": {"mine": "yes"}, "ownerReferences": [reference]},
        }
        await kubectl("apply", "-f", "-", stdin=json.dumps(owned))
        await kubectl("delete", "configmap", "owner", f"--cascade={cascade}")
        listed = ("get", "configmap", "-l", "mine", "-o", "name")
        async with asyncio.timeout(WAIT_S):
            while await kubectl(*listed) != left:
                await asyncio.sleep(0.1)
        await kubectl("delete", "configmap", "owned", "--ignore-not-found")
        await kubectl("create", "configmap", "owner")
        reference["uid"] = await kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")


async def test_all_of_a_kind_or_of_a_label_are_deleted(kubectl: CommandLine) -> None:
    for name in "abc":
        await kubectl("create", "secret", "generic", name)
    await kubectl("label", "secret", "a", "b", "kind=two")
    deleted = await kubectl("delete", "secret", "-l", "kind=two")
    assert [line.split()[1] for line in deleted.splitlines()] == ['"a"', '"b"']
    assert await kubectl("get", "secret", "-o", "name") == "secret/c\n"
    assert '"c" deleted' in await kubectl("delete", "secret", "--all")
    assert await kubectl("get", "secret") == ""


async def test_further_kinds_are_created_from_flags_and_described(kubectl: CommandLine, namespace: str) -> None:
    registry = ("--docker-server=example.com", "--docker-username=u", "--docker-password=p")
    for words in (
        ("quota", "q", "--hard=pods=2"),
        ("poddisruptionbudget", "b", "--selector=app=web", "--min-available=1"),
        ("priorityclass", f"p-{namespace}", "--value=10", "--description=urgent"),
        ("clusterrole", f"r-{namespace}", "--verb=get", "--non-resource-url=/metrics"),
        ("clusterrolebinding", f"r-{namespace}", f"--clusterrole=r-{namespace}", "--user=ann"),
        ("service", "externalname", "away", "--external-name=example.com"),
        ("service", "nodeport", "node", "--tcp=80:8080"),
        ("service", "loadbalancer", "load", "--tcp=80:8080"),
        ("secret", "docker-registry", "pull", *registry),
    ):
        assert "created" in await kubectl("create", *words), words
    assert "q" in (await kubectl("describe", "quota", "q")).split()
    assert "Min available:  1" in await kubectl("describe", "pdb", "b")
    assert "urgent" in await kubectl("describe", "priorityclass", f"p-{namespace}")
    assert "/metrics" in await kubectl("describe", "clusterrole", f"r-{namespace}")
    heads, row = (await kubectl("get", "clusterrolebinding", f"r-{namespace}", "-o", "wide")).splitlines()
    assert heads.split() == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    assert row.split()[1::2] == [f"ClusterRole/r-{namespace}", "ann"]
    assert (await kubectl("get", "pdb", "b", "--no-headers")).split()[:4] == ["b", "1", "N/A", "0"]
    priority = (await kubectl("get", "priorityclass", f"p-{namespace}", "--no-headers")).split()
    assert priority[1:3] == ["10", "false"]
    assert "CREATED AT" in await kubectl("get", "clusterrole", f"r-{namespace}")
    await kubectl("set", "subject", "clusterrolebinding", f"r-{namespace}", "--group=devs")
    assert "devs" in await kubectl("describe", "clusterrolebinding", f"r-{namespace}")
    kinds = (await kubectl("get", "svc", "--no-headers")).splitlines()
    shown = [line.split()[:2] for line in kinds]
    assert shown == [["away", "ExternalName"], ["load", "LoadBalancer"], ["node", "NodePort"]]
    path = "jsonpath={.type}"
    assert await kubectl("get", "secret", "pull", "-o", path) == "kubernetes.io/dockerconfigjson"
    # Of namespaces it says what quotas and limits they have.
    assert "Resource Quotas" in await kubectl("describe", "namespace", namespace)
    await kubectl(
        "delete",
        f"priorityclass/p-{namespace}",
        f"clusterrole/r-{namespace}",
        f"clusterrolebinding/r-{namespace}",
    )


async def test_a_node_is_tainted_and_contexts_are_listed(kubectl: CommandLine) -> None:
    assert await kubectl("taint", "node", "local", "slow=yes:NoSchedule") == "node/local tainted\n"
    assert "slow=yes:NoSchedule" in await kubectl("describe", "node", "local")
    assert await kubectl("taint", "node", "local", "slow-") == "node/local untainted\n"
    assert await kubectl("config", "current-context") == "eventmesh\n"
    assert "eventmesh" in await kubectl("config", "get-contexts")


async def test_what_was_last_applied_is_shown_and_set(kubectl: CommandLine) -> None:
    await kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    await kubectl("apply", "set-last-applied", "--create-annotation", "-f", "-", stdin=DEPLOYMENT)
    shown = json.loads(await kubectl("apply", "view-last-applied", "deploy/web", "-o", "json"))
    assert shown["spec"]["replicas"] == 2
    local = await kubectl("set", "image", "--local", "-f", "-", "main=dev.local/new", "-o", "name", stdin=DEPLOYMENT)
    assert local == "deployment.apps/web\n"


async def test_a_scale_is_read_and_patched_by_itself(kubectl: CommandLine) -> None:
    await kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    path = "jsonpath={.kind} {.spec.replicas}"
    assert await kubectl("get", "deploy", "web", "--subresource=scale", "-o", path) == "Scale 2"
    more = ("--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":4}}')
    await kubectl("patch", "deploy", "web", *more)
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "4"


FURTHER = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec:
  replicas: 2
  serviceName: s
  selector: {matchLabels: {app: s}}
  template:
    metadata: {labels: {app: s}}
    spec: {containers: [{name: main, image: dev.local/s}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: d}
spec:
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {nodeSelector: {disk: fast}, containers: [{name: main, image: dev.local/d}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q}
spec: {hard: {pods: "10"}}
"""


async def test_further_kinds_have_the_columns_that_they_have_elsewhere(kubectl: CommandLine, namespace: str) -> None:
    volume = f"volume-of-{namespace}"
    spec = {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp"}}
    whole = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec}
    await kubectl("apply", "-f", "-", stdin=FURTHER)
    await kubectl("apply", "-f", "-", stdin=json.dumps(whole))
    for what, columns, cells in (
        ("sts/s", "NAME READY AGE CONTAINERS IMAGES", "s 0/2"),
        (
            "ds/d",
            "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS IMAGES SELECTOR",
            "d 0 0 0 0 0 disk=fast",
        ),
        (
            f"pv/{volume}",
            "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE"
            " VOLUMEMODE",
            f"{volume} 5Gi RWO",
        ),
        ("pvc/c", "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE VOLUMEMODE", "c"),
        ("quota/q", "NAME REQUEST LIMIT AGE", "q"),
    ):
        head, row = (await kubectl("get", what, "-o", "wide")).splitlines()
        assert head.split() == columns.split()
        assert row.split()[: len(cells.split())] == cells.split()
    await kubectl("delete", "pv", volume)
