"""The verbs of kubectl that no other test is about, by its oldest and newest version, on a whole mesh."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

NODE = "local"
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, labels: {app: NAME}}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers: [{name: app, image: dev.local/hello, ports: [{containerPort: 8080}]}]
"""


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


@pytest.fixture(params=["kubectl-oldest", "kubectl-newest"])
def kubectl(request: pytest.FixtureRequest, shared_mesh: MeshProcess, tmp_path: Path) -> CommandLine:
    kubectl = CommandLine(request.param, shared_mesh.kubeconfig, tmp_path)
    kubectl.environment["KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] = "true"  # the oldest speaks SPDY alone otherwise
    return kubectl


async def rolled_out(kubectl: CommandLine, name: str) -> None:
    await kubectl("apply", "-f", "-", stdin=WEB.replace("NAME", name))
    done = await kubectl("rollout", "status", f"deploy/{name}", "--timeout=60s")
    assert done.endswith(f'deployment "{name}" successfully rolled out\n')


async def until_shown(kubectl: CommandLine, words: tuple[str, ...], text: str) -> str:
    """Return what a command shows as soon as `text` is in it."""
    async with asyncio.timeout(WAIT_S):
        while text not in (shown := await kubectl(*words)):
            await asyncio.sleep(0.1)
    return shown


async def test_a_cordoned_node_takes_no_new_pods_until_it_is_uncordoned(kubectl: CommandLine) -> None:
    await rolled_out(kubectl, "web")
    await kubectl("cordon", NODE)
    assert " Ready,SchedulingDisabled " in await kubectl("get", "nodes")
    drained = await kubectl("drain", NODE, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s")
    assert f"node/{NODE} drained\n" in drained
    pods = ("get", "pods", "-l", "app=web")
    assert " 0/1 " in await until_shown(kubectl, pods, " Pending ")
    unschedulable = "0/1 nodes are available: 1 node(s) were unschedulable."
    described = await until_shown(kubectl, ("describe", "pods", "-l", "app=web"), "FailedScheduling")
    assert unschedulable in described
    await kubectl("wait", "--for=condition=PodScheduled=False", "pod", "-l", "app=web", "--timeout=60s")
    await kubectl("uncordon", NODE)
    await kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert " Running " in await kubectl(*pods)
    await kubectl("delete", "deploy", "-l", "app=web", "--wait")


async def test_a_deployment_is_changed_scaled_and_looked_at(kubectl: CommandLine) -> None:
    await rolled_out(kubectl, "shop")
    await kubectl("annotate", "deploy/shop", "kubernetes.io/change-cause=the first")
    assert "the first" in await kubectl("rollout", "history", "deploy/shop")
    assert "dev.local/hello" in await kubectl("rollout", "history", "deploy/shop", "--revision=1")
    await kubectl("set", "resources", "deploy/shop", "--limits=memory=128Mi")
    await kubectl("set", "serviceaccount", "deploy/shop", "default")
    await kubectl("set", "env", "deploy/shop", "A=b")
    assert "A=b" in await kubectl("set", "env", "deploy/shop", "--list")
    await kubectl("rollout", "status", "deploy/shop", "--timeout=60s")
    shown = json.loads(await kubectl("get", "deploy", "shop", "-o", "json"))["spec"]["template"]["spec"]
    assert shown["containers"][0]["resources"] == {"limits": {"memory": "128Mi"}}
    assert shown["serviceAccountName"] == "default"
    await kubectl("scale", "deploy/shop", "--replicas=2", "--current-replicas=1")
    late = await kubectl.run("scale", "deploy/shop", "--replicas=5", "--current-replicas=1")
    assert (late.code, late.err) == (1, "error: Expected replicas to be 1, was 2\n")
    refused = await kubectl.run("label", "deploy/shop", "app=other")
    assert (refused.code, refused.err.strip()) == (
        1,
        "error: 'app' already has a value (shop), and --overwrite is false",
    )
    await kubectl("label", "deploy/shop", "extra=1")
    await kubectl("label", "deploy/shop", "extra-")
    columns = "custom-columns=NAME:.metadata.name,WANTED:.spec.replicas,EXTRA:.metadata.labels.extra"
    assert (await kubectl("get", "deploy", "shop", "-o", columns)).split()[3:] == ["shop", "2", "<none>"]
    assert "replaced" in await kubectl("replace", "--force", "-f", "-", stdin=WEB.replace("NAME", "shop"))
    await kubectl("delete", "deploy", "shop")


async def test_a_service_is_exposed_and_its_events_and_use_are_shown(kubectl: CommandLine) -> None:
    await rolled_out(kubectl, "site")
    assert await kubectl("expose", "deploy/site", "--port=80", "--target-port=8080") == "service/site exposed\n"
    await kubectl("set", "selector", "svc/site", "app=site")
    assert "ScalingReplicaSet" in await kubectl("events", "--for", "deploy/site")
    assert "app " in await until_use_is_known(kubectl, "pod", "-l", "app=site", "--containers")
    assert NODE in await until_use_is_known(kubectl, "node")
    assert "site" in (await kubectl("__complete", "get", "deploy", "")).splitlines()
    await kubectl("delete", "deploy/site", "svc/site")


async def until_use_is_known(kubectl: CommandLine, *what: str) -> str:
    """Return what `top` shows; a pod that has just begun was not looked at yet, and it says so."""
    async with asyncio.timeout(WAIT_S):
        while (shown := await kubectl.run("top", *what)).code != 0 or len(shown.out.splitlines()) < 2:
            assert not shown.err or "not" in shown.err
            await asyncio.sleep(0.5)
    return shown.out


async def test_what_is_run_is_waited_for_and_deleted(kubectl: CommandLine) -> None:
    await kubectl("run", "once", "--image=dev.local/hello", "--restart=Never", "--port=8080")
    await kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/once", "--timeout=60s")
    await kubectl("delete", "pod/once", "--now")
    await kubectl("wait", "--for=delete", "pod/once", "--timeout=60s")
    # Attached to while it sleeps, or shown by its log when it has ended before.
    run = ("run", "word", "--image=dev.local/hello", "--restart=Never", "--rm", "-i", "--command", "--")
    assert "a word\n" in await kubectl(*run, "sh", "-c", "sleep 1; echo a word")
    gone = await kubectl.run("get", "pod", "word")
    assert gone.err == 'Error from server (NotFound): pods "word" not found\n'


async def test_a_directory_of_kustomize_is_applied_compared_and_deleted(kubectl: CommandLine, tmp_path: Path) -> None:
    directory = tmp_path / "overlay"
    directory.mkdir()
    (directory / "kustomization.yaml").write_text(
        "namePrefix: k-\nresources: [one.yaml]\nconfigMapGenerator:\n- {name: made, literals: [a=b]}\n"
    )
    (directory / "one.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: b}\n")
    assert "name: k-one" in await kubectl("kustomize", str(directory))
    assert "configmap/k-one created" in await kubectl("apply", "-k", str(directory))
    assert await kubectl("diff", "-k", str(directory)) == ""
    assert (await kubectl("delete", "-k", str(directory))).count("deleted") == 2


async def test_the_cluster_its_kinds_and_its_configuration_are_shown(
    kubectl: CommandLine, shared_mesh: MeshProcess, tmp_path: Path
) -> None:
    assert "Kubernetes control plane" in await kubectl("cluster-info")
    assert "dumped to" in await kubectl("cluster-info", "dump", "--output-directory", str(tmp_path / "dump"))
    assert "deployments" in await kubectl("api-resources", "--api-group=apps")
    assert "serving.knative.dev/v1\n" in await kubectl("api-versions")
    viewed = await kubectl("config", "view")
    assert "current-context: eventmesh" in viewed and "token: REDACTED" in viewed
    assert await kubectl("get", "--raw", "/readyz") == "ok"
    verbose = await kubectl("get", "--raw", "/readyz?verbose&exclude=etcd")
    assert verbose == "[+]ping ok\n[+]etcd excluded: ok\n[+]informer-sync ok\nreadyz check passed\n"
    assert await kubectl("get", "--raw", "/livez/ping") == "ok"
    assert "apiVersion" in await kubectl("explain", "deploy", "--recursive")
    assert "complete" in await kubectl("completion", "bash")
    assert "*.*" in await kubectl("auth", "can-i", "--list")


async def test_the_proxy_serves_the_api_without_a_token(kubectl: CommandLine) -> None:
    proxy = await kubectl.start("proxy", "--port=0")
    try:
        assert proxy.stdout is not None
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
            said = (await proxy.stdout.readline()).decode()
            url = f"http://{said.strip().rpartition(' ')[2]}/api/v1/namespaces/default"
            async with session.get(url) as answer:
                assert (await answer.json())["metadata"]["name"] == "default"
    finally:
        proxy.kill()
        await proxy.communicate()
