"""kubectl, as people use it, against the embedded API on its port: the oldest that is promised, and the newest."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from eventmesh.cluster.api.shipped import SHIPPED
from eventmesh.kube.resources import DEPLOYMENT, KSERVICE, POD
from tests.component.embedded_api import Served
from tests.component.test_certificate_signing_requests import SIGNER, request
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer


@pytest.fixture(params=["kubectl-oldest", "kubectl-newest"])
def kubectl(request: pytest.FixtureRequest, cluster: Served, tmp_path: Path) -> CommandLine:
    """Return one of those that `tools/kubectl` builds; other tests have the one that this machine has."""
    return CommandLine(request.param, cluster.kubeconfig, tmp_path)


FUNCTION = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello, labels: {tier: web}}
spec:
  template:
    spec:
      containers:
      - image: dev.local/hello
"""
CONTAINER = {"name": "c", "image": "dev.local/x"}
DEPLOYMENT_YAML = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: dev.local/web
        env: [{name: A, value: "1"}]
"""


async def test_version_and_discovery(kubectl: CommandLine) -> None:
    assert "Server Version: v1.33.0+eventmesh" in await kubectl("version")
    names = (await kubectl("api-resources", "-o", "name")).split()
    assert {"pods", "deployments.apps", "services.serving.knative.dev", "brokers.eventing.knative.dev"} <= set(names)


async def test_apply_creates_changes_and_leaves_alone(kubectl: CommandLine) -> None:
    assert await kubectl("apply", "-f", "-", stdin=FUNCTION) == "service.serving.knative.dev/hello created\n"
    assert await kubectl("apply", "-f", "-", stdin=FUNCTION) == "service.serving.knative.dev/hello unchanged\n"
    changed = FUNCTION.replace("dev.local/hello", "dev.local/other")
    assert await kubectl("apply", "-f", "-", stdin=changed) == "service.serving.knative.dev/hello configured\n"
    path = "jsonpath={.spec.template.spec.containers[0].image} {.metadata.generation}"
    assert await kubectl("get", "ksvc", "hello", "-o", path) == "dev.local/other 2"


async def test_apply_of_a_built_in_kind_merges_by_name(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT_YAML)
    assert await kubectl("apply", "-f", "-", stdin=DEPLOYMENT_YAML) == "deployment.apps/web unchanged\n"
    await kubectl("set", "env", "deployment/web", "B=2")
    changed = DEPLOYMENT_YAML.replace('value: "1"', 'value: "9"')
    assert await kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"
    env = await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env}")
    assert json.loads(env) == [{"name": "A", "value": "9"}, {"name": "B", "value": "2"}]


async def test_apply_removes_from_a_list_what_it_no_longer_says(kubectl: CommandLine) -> None:
    first = DEPLOYMENT_YAML.replace('{name: A, value: "1"}', '{name: A, value: "1"}, {name: C, value: "3"}')
    await kubectl("apply", "-f", "-", stdin=first)
    await kubectl("set", "env", "deployment/web", "B=2")
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT_YAML)
    env = await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}")
    assert env.split() == ["A", "B"]


async def test_unknown_field_is_refused_before_anything_is_stored(kubectl: CommandLine) -> None:
    wrong = FUNCTION.replace("spec:\n  template", "spec:\n  templates: 1\n  template", 1)
    result = await kubectl.run("apply", "-f", "-", stdin=wrong)
    assert result.code == 1 and 'strict decoding error: unknown field "spec.templates"' in result.err
    wrong = DEPLOYMENT_YAML.replace("image:", "imagge:")
    result = await kubectl.run("create", "-f", "-", stdin=wrong)
    assert 'unknown field "spec.template.spec.containers[0].imagge"' in result.err
    assert await kubectl("get", "ksvc,deploy") == ""


async def test_tables_show_the_columns_of_the_kind(kubectl: CommandLine, cluster: Served) -> None:
    await kubectl("apply", "-f", "-", stdin=FUNCTION)
    api = cluster.api.in_process()
    stored = await api.get(KSERVICE, "hello", "default")
    status = {"url": "http://hello", "conditions": [{"type": "Ready", "status": "True"}]}
    await api.replace(KSERVICE, {**stored, "status": status}, subresource="status")
    header, row = (await kubectl("get", "ksvc")).splitlines()
    assert header.split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    assert row.split() == ["hello", "http://hello", "True"]
    assert "default" in await kubectl("get", "ksvc", "-A", "-l", "tier=web", "-o", "wide")
    assert await kubectl("get", "ksvc", "-l", "tier=db") == ""


async def test_create_sends_protobuf_that_is_understood(kubectl: CommandLine, tmp_path: Path) -> None:
    certificate = tmp_path / "tls"
    await kubectl("create", "namespace", "shop")
    await kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", "shop")
    await kubectl("create", "secret", "generic", "s", "--from-literal=p=geheim", "-n", "shop")
    await kubectl("create", "secret", "tls", "t", f"--cert={certificate}/ca.crt", f"--key={certificate}/ca.key")
    await kubectl("create", "serviceaccount", "robot", "-n", "shop")
    await kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods", "-n", "shop")
    await kubectl("create", "rolebinding", "rb", "--role=reader", "--serviceaccount=shop:robot", "-n", "shop")
    await kubectl("create", "deployment", "web", "--image=dev.local/web", "--replicas=0", "--port=8080")
    await kubectl("create", "job", "once", "--image=dev.local/job", "--", "run", "--fast")
    await kubectl("create", "cronjob", "often", "--image=dev.local/job", "--schedule=*/5 * * * *")
    await kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    await kubectl("create", "ingress", "web", "--rule=shop.example/cart=web:80")
    secret = json.loads(await kubectl("get", "secret", "s", "-n", "shop", "-o", "json"))
    assert secret["data"] == {"p": "Z2VoZWlt"}
    web = json.loads(await kubectl("get", "deploy", "web", "-o", "json"))
    assert web["spec"]["replicas"] == 0
    assert web["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    job = json.loads(await kubectl("get", "job", "once", "-o", "json"))
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["run", "--fast"]
    service = json.loads(await kubectl("get", "svc", "web", "-o", "json"))
    assert service["spec"]["ports"] == [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}]
    ingress = json.loads(await kubectl("get", "ingress", "web", "-o", "json"))
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] == {"number": 80}


async def test_lists_come_in_chunks(kubectl: CommandLine) -> None:
    many = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number:02}"}} for number in range(25)]
    await kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": many}))
    expected = [f"configmap/c{number:02}" for number in range(25)]
    for chunk in ("--chunk-size=7", "--chunk-size=1", "--chunk-size=0"):
        assert (await kubectl("get", "cm", "-o", "name", chunk)).split() == expected
        table = await kubectl("get", "cm", chunk, "--no-headers")
        assert [f"configmap/{line.split()[0]}" for line in table.splitlines()] == expected


async def test_label_annotate_patch_scale_and_restart(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT_YAML)
    await kubectl("label", "deploy", "web", "tier=front")
    await kubectl("annotate", "deploy", "web", "note=seen")
    await kubectl("patch", "deploy", "web", "-p", '{"spec":{"revisionHistoryLimit":3}}')
    await kubectl("patch", "deploy", "web", "--type=json", "-p", '[{"op":"remove","path":"/metadata/labels/tier"}]')
    await kubectl("scale", "deploy", "web", "--replicas=5")
    await kubectl("set", "image", "deploy/web", "main=dev.local/newer")
    await kubectl("rollout", "restart", "deploy/web")
    stored = json.loads(await kubectl("get", "deploy", "web", "-o", "json"))
    assert stored["metadata"]["annotations"]["note"] == "seen" and "labels" not in stored["metadata"]
    assert (stored["spec"]["replicas"], stored["spec"]["revisionHistoryLimit"]) == (5, 3)
    template = stored["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "dev.local/newer"
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


async def test_edit_saves_what_the_editor_left(kubectl: CommandLine, tmp_path: Path) -> None:
    await kubectl("create", "configmap", "c", "--from-literal=a=before")
    kubectl.environment["EDITOR"] = "sed -i s/before/after/"
    assert "configmap/c edited" in await kubectl("edit", "configmap", "c")
    assert await kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}") == "after"


async def test_wait_sees_a_condition_arrive(kubectl: CommandLine, cluster: Served) -> None:
    await kubectl("apply", "-f", "-", stdin=FUNCTION)
    waiting = asyncio.get_running_loop().create_task(
        kubectl("wait", "ksvc/hello", "--for=condition=Ready", "--timeout=60s")
    )
    while not any(cluster.api.store._watches["services.serving.knative.dev"]):
        await asyncio.sleep(0.01)
    api = cluster.api.in_process()
    stored = await api.get(KSERVICE, "hello", "default")
    status = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
    await api.replace(KSERVICE, {**stored, "status": status}, subresource="status")
    assert await waiting == "service.serving.knative.dev/hello condition met\n"


async def test_rollout_status_follows_to_the_end(kubectl: CommandLine, cluster: Served) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT_YAML)
    following = asyncio.get_running_loop().create_task(kubectl("rollout", "status", "deploy/web", "--timeout=60s"))
    while not any(cluster.api.store._watches["deployments.apps"]):
        await asyncio.sleep(0.01)
    api = cluster.api.in_process()
    stored = await api.get(DEPLOYMENT, "web", "default")
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    status = {"observedGeneration": stored["metadata"]["generation"], **counts}
    await api.replace(DEPLOYMENT, {**stored, "status": status}, subresource="status")
    assert "successfully rolled out" in await following


async def test_delete_waits_until_the_object_is_gone(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=FUNCTION)
    assert 'service.serving.knative.dev "hello" deleted' in await kubectl("delete", "ksvc", "hello")
    result = await kubectl.run("get", "ksvc", "hello")
    assert (result.code, result.err) == (
        1,
        'Error from server (NotFound): services.serving.knative.dev "hello" not found\n',
    )


async def test_deleting_a_namespace_empties_it(kubectl: CommandLine) -> None:
    await kubectl("create", "namespace", "shop")
    await kubectl("create", "configmap", "c", "-n", "shop")
    await kubectl("delete", "namespace", "shop", "--timeout=60s")
    result = await kubectl.run("get", "configmap", "c", "-n", "shop")
    assert "not found" in result.err


async def test_describe_reads_the_object_and_its_events(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT_YAML + "---" + FUNCTION)
    described = await kubectl("describe", "deploy", "web")
    assert re.search("^Replicas: +2 desired", described, re.MULTILINE)
    assert re.search("^Events: +<none>", described, re.MULTILINE)
    assert "Image:  dev.local/hello" in await kubectl("describe", "ksvc", "hello")
    assert "Status:       Active" in await kubectl("describe", "ns", "default")


async def test_explain_knows_built_in_and_custom_kinds(kubectl: CommandLine) -> None:
    assert "containerPort\t<integer>" in await kubectl("explain", "pod.spec.containers.ports")
    assert "The revision to run" in await kubectl("explain", "ksvc.spec.template")
    result = await kubectl.run("explain", "ksvc.spec.nothing")
    assert result.code == 1 and 'field "nothing" does not exist' in result.err


async def test_dry_run_and_diff_store_nothing(kubectl: CommandLine) -> None:
    assert "created (server dry run)" in await kubectl("apply", "--dry-run=server", "-f", "-", stdin=FUNCTION)
    assert await kubectl("get", "ksvc") == ""
    await kubectl("apply", "-f", "-", stdin=FUNCTION)
    result = await kubectl.run("diff", "-f", "-", stdin=FUNCTION.replace("dev.local/hello", "dev.local/other"))
    assert result.code == 1 and "+      - image: dev.local/other" in result.out
    assert "dev.local/hello" in await kubectl("get", "ksvc", "hello", "-o", "yaml")


async def test_get_watch_prints_changes_as_they_come(kubectl: CommandLine) -> None:
    watching = await kubectl.start("get", "cm", "-w", "-o", "name")
    try:
        assert watching.stdout is not None
        async with asyncio.timeout(WAIT_S):
            await kubectl("create", "configmap", "first")
            while await watching.stdout.readline() != b"configmap/first\n":
                pass
            await kubectl("create", "configmap", "late")
            assert await watching.stdout.readline() == b"configmap/late\n"
    finally:
        watching.kill()
        await watching.communicate()


async def test_deleting_a_placed_pod_leaves_it_to_its_runtime(kubectl: CommandLine, cluster: Served) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "dev.local/x"}]},
    }
    await kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    await kubectl("delete", "pod", "p", "--wait=false")
    assert "Terminating" in await kubectl("get", "pod", "p")
    await cluster.api.in_process().delete(POD, "p", "default", grace_seconds=0)
    assert (await kubectl.run("get", "pod", "p")).code == 1


async def test_every_shipped_manifest_applies(kubectl: CommandLine) -> None:
    output = await kubectl("apply", "-R", "-f", str(SHIPPED))
    assert "customresourcedefinition.apiextensions.k8s.io/services.serving.knative.dev" in output
    again = await kubectl("apply", "-R", "-f", str(SHIPPED))
    assert again and all(line.endswith("unchanged") for line in again.splitlines())


async def test_access_questions_are_answered(kubectl: CommandLine) -> None:
    assert await kubectl("auth", "can-i", "delete", "pods") == "yes\n"
    assert "kubernetes-admin" in await kubectl("auth", "whoami")


async def test_rights_are_given_looked_at_and_kept(kubectl: CommandLine) -> None:
    robot = "--as=system:serviceaccount:shop:robot"
    await kubectl("create", "namespace", "shop")
    await kubectl("create", "serviceaccount", "robot", "-n", "shop")
    refused = await kubectl.run("get", "pods", "-n", "shop", robot)
    assert refused.code == 1 and refused.err == (
        'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:shop:robot" cannot list '
        'resource "pods" in API group "" in the namespace "shop"\n'
    )
    await kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log", "-n", "shop")
    await kubectl("create", "rolebinding", "rb", "--role=reader", "--serviceaccount=shop:robot", "-n", "shop")
    assert await kubectl("get", "pods", "-n", "shop", robot) == ""
    assert (await kubectl.run("auth", "can-i", "delete", "pods", "-n", "shop", robot)).out == "no\n"
    assert await kubectl("auth", "can-i", "get", "pods/log", "-n", "shop", robot) == "yes\n"
    listed = (await kubectl("auth", "can-i", "--list", "-n", "shop", robot)).splitlines()
    assert any(line.split() == ["pods/log", "[]", "[]", "[get", "list]"] for line in listed)
    assert (await kubectl("auth", "can-i", "--list")).splitlines()[1].split() == ["*.*", "[]", "[]", "[*]"]
    whoami = await kubectl("auth", "whoami", "--as=ann", "--as-group=devs")
    assert "ann" in whoami and "[devs system:authenticated]" in whoami
    described = await kubectl("describe", "rolebinding", "rb", "-n", "shop")
    assert "ServiceAccount  robot  shop" in described
    more = ("create", "role", "more", "--verb=delete", "--resource=pods", "-n", "shop")
    escalated = await kubectl.run(*more, "--as=kim", "--as-group=devs")
    assert escalated.code == 1 and 'cannot create resource "roles"' in escalated.err
    await kubectl("create", "rolebinding", "keeps", "--clusterrole=admin", "--group=devs", "-n", "shop")
    await kubectl(*more, "--as=kim", "--as-group=devs")
    beyond = ("create", "rolebinding", "all", "--clusterrole=cluster-admin", "--user=kim", "-n", "shop")
    escalated = await kubectl.run(*beyond, "--as=kim", "--as-group=devs")
    assert "is attempting to grant RBAC permissions not currently held:" in escalated.err


async def test_reconciled_roles_are_as_written(kubectl: CommandLine) -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    await kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps({**role, "rules": [rule]}))
    more = {**rule, "verbs": ["get", "list"]}
    assert "reconciled" in await kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps({**role, "rules": [more]}))
    stored = json.loads(await kubectl("get", "clusterrole", "r", "-o", "json"))
    assert {verb for rule in stored["rules"] for verb in rule["verbs"]} == {"get", "list"}


async def test_what_is_not_there_is_told_by_a_sentence(kubectl: CommandLine) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [CONTAINER]}}
    await kubectl("create", "-f", "-", stdin=json.dumps(pod))
    debugged = await kubectl.run("debug", "p", "--image=dev.local/x")
    assert debugged.code == 1 and "ephemeral containers are disabled for this cluster" in debugged.err
    assert (await kubectl.run("top", "pod")).err == "error: Metrics API not available\n"


async def test_wrong_token_is_unauthorized(kubectl: CommandLine, cluster: Served) -> None:
    config = cluster.kubeconfig
    config.write_text(config.read_text().replace(cluster.server.credentials.token, "wrong"))
    result = await kubectl.run("get", "ns")
    assert result.code == 1 and "You must be logged in to the server" in result.err


async def test_create_token_is_accepted_as_a_login(kubectl: CommandLine) -> None:
    await kubectl("create", "serviceaccount", "robot")
    token = (await kubectl("create", "token", "robot", "--duration=15m")).strip()
    who = json.loads(await kubectl("--token", token, "auth", "whoami", "-o", "json"))
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"
    refused = await kubectl.run("create", "token", "robot", "--duration=1m")
    assert refused.code == 1 and "may not specify a duration less than 10 minutes" in refused.err


async def test_signing_requests_are_shown_approved_and_denied(kubectl: CommandLine, tmp_path: Path) -> None:
    manifest = tmp_path / "requests.json"
    items = [request(name, expirationSeconds=3600) for name in ("good", "bad")]
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    await kubectl("apply", "-f", str(manifest))
    assert re.search(r"good +\d+s +example\.com/mesh +\S+ +60m +Pending", await kubectl("get", "csr"))
    assert "approved" in await kubectl("certificate", "approve", "good")
    assert "denied" in await kubectl("certificate", "deny", "bad")
    shown = await kubectl("get", "csr", "--field-selector", f"spec.signerName={SIGNER}")
    assert re.search(r"good .* Approved\b", shown) and re.search(r"bad .* Denied\b", shown)
    assert "example.com/mesh" in await kubectl("describe", "csr", "good")
