"""What kubectl shows of pods and of what makes them, in a whole mesh."""

from __future__ import annotations

import asyncio
import base64

import pytest
import yaml

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.path.exists(os.environ["SICK"]) else 200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
HELPER = """
import os, time
print("helper", "with" if "PORT" in os.environ else "without", "a port", flush=True)
time.sleep(600)
"""
TWO = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: two}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/min-scale: "1"}
    spec:
      containers:
      - name: web
        image: dev.local/server
        ports: [{containerPort: 8080}]
        env: [{name: SICK, value: "/tmp/sick"}]
        livenessProbe: {httpGet: {path: /healthz}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 1}
      - {name: helper, image: dev.local/helper}
"""
PREPARED = """
apiVersion: v1
kind: Pod
metadata: {name: prepared}
spec:
  restartPolicy: Never
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - {name: beside, image: dev.local/helper, restartPolicy: Always}
  - name: first
    image: dev.local/helper
    command: [sh, -c, "echo prepared > /shared/word"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: app
    image: dev.local/helper
    command: [cat, /shared/word]
    volumeMounts: [{name: shared, mountPath: /shared}]
"""
# What a cluster mounts into every pod, as `kubectl get pod -o yaml` shows it there.
TRUSTING = """
apiVersion: v1
kind: Pod
metadata: {name: trusting}
spec:
  restartPolicy: Never
  volumes:
  - name: kube-api-access
    projected:
      sources:
      - serviceAccountToken: {expirationSeconds: 3607, path: token}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
  containers:
  - name: app
    image: dev.local/helper
    command: [sh, -c, "cd /var/run/secrets/kubernetes.io/serviceaccount; ls; cat namespace ca.crt"]
    volumeMounts: [{name: kube-api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
"""
ROLLED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: rolled}
spec:
  replicas: 2
  selector: {matchLabels: {app: rolled}}
  template:
    metadata: {labels: {app: rolled}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: dev.local/server
        ports: [{containerPort: 8080}]
        env: [{name: SICK, value: "/no/such/file"}, {name: VERSION, value: one}]
"""


@pytest.fixture(scope="module", autouse=True)
def images(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name, program in (("server", SERVER), ("helper", HELPER)):
        add_function(shared_mesh, tmp_path_factory.mktemp("image") / name, name, program)


async def until(kubectl: CommandLine, *command: str, shows: str) -> str:
    """Return what a command prints as soon as `shows` is in it."""
    async with asyncio.timeout(WAIT_S):
        while shows not in (text := await kubectl(*command)):
            await asyncio.sleep(0.1)
    return text


async def test_a_function_with_a_side_container_shows_both_and_is_restarted_when_its_liveness_fails(
    kubectl: CommandLine,
) -> None:
    await kubectl("apply", "-f", "-", stdin=TWO)
    await kubectl("wait", "--for=condition=Ready", "ksvc/two", "--timeout=60s")
    pod = (await kubectl("get", "pod", "-l", "serving.knative.dev/service=two", "-o", "name")).strip()
    assert await until(kubectl, "logs", pod, "-c", "helper", shows="a port\n") == "helper without a port\n"
    assert (await kubectl.run("logs", pod, "-c", "nobody")).code == 1
    # Gone with this run of the container.
    await kubectl("exec", pod, "-c", "web", "--", "touch", "/tmp/sick")  # noqa: S108
    told = await until(kubectl, "describe", pod, shows="will be restarted")
    assert "Liveness probe failed: HTTP probe failed with statuscode: 503" in told
    assert "Container web failed liveness probe, will be restarted" in told
    path = "jsonpath={.status.containerStatuses[0].lastState.terminated.reason}"
    assert await until(kubectl, "get", pod, "-o", path, shows="Error") == "Error"


async def test_an_init_container_prepares_what_the_work_then_finds(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=PREPARED)
    await kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/prepared", "--timeout=60s")
    assert await kubectl("logs", "prepared") == "prepared\n"
    shown = await kubectl("describe", "pod", "prepared")
    assert shown.count("Reason:       Completed") == 2
    assert (await kubectl("get", "pod", "prepared", "--no-headers")).split()[1:3] == ["0/2", "Completed"]


async def test_a_job_is_created_waited_for_read_and_deleted(kubectl: CommandLine) -> None:
    await kubectl("create", "job", "once", "--image=dev.local/helper", "--", "echo", "done")
    waited = await kubectl("wait", "--for=condition=complete", "job/once", "--timeout=60s")
    assert waited == "job.batch/once condition met\n"
    assert await kubectl("logs", "job/once") == "done\n"
    _, row = (await kubectl("get", "job", "once")).splitlines()
    assert row.split()[1:3] == ["Complete", "1/1"]
    assert "Job completed" in await kubectl("describe", "job", "once")
    await kubectl("create", "cronjob", "nightly", "--image=dev.local/helper", "--schedule=0 3 * * *", "--", "echo", "z")
    await kubectl("create", "job", "now", "--from=cronjob/nightly")
    await kubectl("wait", "--for=condition=complete", "job/now", "--timeout=60s")
    assert await kubectl("logs", "job/now") == "z\n"
    await kubectl("delete", "job/once", "job/now", "cronjob/nightly")
    assert await until(kubectl, "get", "jobs,cronjobs", "-o", "name", shows="") == ""


async def test_a_deployment_is_rolled_out_undone_restarted_and_paused(kubectl: CommandLine) -> None:
    async def rolled_out() -> None:
        told = await kubectl("rollout", "status", "deployment/rolled", "--timeout=60s")
        assert told.endswith('deployment "rolled" successfully rolled out\n')

    async def version() -> str:
        path = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='VERSION')].value}"
        return await kubectl("get", "deployment", "rolled", "-o", path)

    await kubectl("apply", "-f", "-", stdin=ROLLED)
    await rolled_out()
    await kubectl("set", "env", "deployment/rolled", "VERSION=two")
    await kubectl("annotate", "deployment/rolled", "kubernetes.io/change-cause=version two")
    await rolled_out()
    history = await until(kubectl, "rollout", "history", "deployment/rolled", shows="version two")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert await kubectl("rollout", "undo", "deployment/rolled") == "deployment.apps/rolled rolled back\n"
    await rolled_out()
    assert await version() == "one"
    history = await until(kubectl, "rollout", "history", "deployment/rolled", shows="\n3 ")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]
    await kubectl("rollout", "undo", "deployment/rolled", "--to-revision=2")
    assert await version() == "two"
    await rolled_out()
    await kubectl("rollout", "pause", "deployment/rolled")
    await kubectl("set", "env", "deployment/rolled", "VERSION=three")
    assert "DeploymentPaused" in await until(kubectl, "describe", "deployment", "rolled", shows="DeploymentPaused")
    assert "VERSION:  two" in await kubectl("describe", "pod", "-l", "app=rolled")
    await kubectl("rollout", "resume", "deployment/rolled")
    await rolled_out()
    await kubectl("rollout", "restart", "deployment/rolled")
    await rolled_out()
    await kubectl("delete", "deployment", "rolled")


async def test_a_pod_mounts_what_it_trusts_the_api_by(kubectl: CommandLine, shared_mesh: MeshProcess) -> None:
    await kubectl("create", "namespace", "trusting")
    await kubectl("apply", "-n", "trusting", "-f", "-", stdin=TRUSTING)
    await kubectl("wait", "-n", "trusting", "--for=jsonpath={.status.phase}=Succeeded", "pod/trusting", "--timeout=30s")
    authority = yaml.safe_load(shared_mesh.kubeconfig.read_text())["clusters"][0]["cluster"]
    expected = base64.b64decode(authority["certificate-authority-data"]).decode()
    shown = await kubectl("logs", "-n", "trusting", "trusting")
    assert shown == f"ca.crt\nnamespace\ntoken\ntrusting{expected}"
    published = await kubectl("get", "cm", "kube-root-ca.crt", "-o", r"jsonpath={.data.ca\.crt}")
    assert published == expected
    await kubectl("delete", "namespace", "trusting", "--timeout=30s")
