"""kn's domain commands against a whole mesh: a domain leads to a function, and to a plain Service."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine

pytestmark = pytest.mark.peer

IMAGE = "dev.local/hello"
PLAIN = """
apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: plain-1, labels: {kubernetes.io/service-name: plain}}
addressType: IPv4
ports: [{name: http, port: 1}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
---
apiVersion: serving.knative.dev/v1beta1
kind: DomainMapping
metadata: {name: plain.example.com}
spec: {ref: {apiVersion: v1, kind: Service, name: plain}}
"""


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with the hosts it was asked for."""

    def do_GET(self) -> None:
        body = json.dumps([self.headers["Host"], self.headers["K-Original-Host"]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def backend() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


async def test_a_domain_leads_to_a_function_until_it_is_updated_and_to_nobody_once_deleted(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine
) -> None:
    for name in ("blue", "green"):
        await kn("service", "create", name, "--image", IMAGE)
    host = "www.example.com"
    assert await kn("domain", "create", host, "--ref", "ksvc:blue") == (
        f"Domain mapping '{host}' created in namespace 'default'.\n"
    )
    await kubectl("wait", "--for=condition=Ready", f"domainmapping/{host}", "--timeout=30s")
    answer, *_ = await shared_mesh.ask(host)
    assert answer.body.startswith("blue-00001 ")
    # One way through the gateway, not two.
    assert answer.via.count("gateway") == 1
    url = f"http://{host}:{shared_mesh.gateway_port}"
    assert [host, url, "True", "blue"] in [line.split() for line in (await kn("domain", "list")).splitlines()]
    described = await kn("domain", "describe", host)
    assert url in described
    for kind in ("Ready", "CertificateProvisioned", "DomainClaimed", "IngressReady", "ReferenceResolved"):
        assert f"++ {kind}" in described
    assert (await kubectl("get", "clusterdomainclaim", host, "-o", "jsonpath={.spec.namespace}")) == "default"
    generation = await kubectl("get", "dm", host, "-o", "jsonpath={.metadata.generation}")
    await kn("domain", "update", host, "--ref", "ksvc:green")
    observed = f"--for=jsonpath={{.status.observedGeneration}}={int(generation) + 1}"
    await kubectl("wait", observed, f"domainmapping/{host}", "--timeout=30s")
    await kubectl("wait", "--for=condition=Ready", f"domainmapping/{host}", "--timeout=30s")
    assert (await shared_mesh.ask(host))[0].body.startswith("green-00001 ")
    await kn("domain", "delete", host)
    await kubectl("wait", "--for=delete", f"kingress/{host}", "--timeout=30s")
    assert host not in await kubectl("get", "clusterdomainclaim", "-o", "name")


async def test_a_domain_leads_to_a_plain_service_under_that_services_name(
    shared_mesh: MeshProcess, kubectl: CommandLine, backend: int
) -> None:
    await kubectl("apply", "-f", "-", stdin=PLAIN.replace("port: 1}", f"port: {backend}}}"))
    await kubectl("wait", "--for=condition=Ready", "dm/plain.example.com", "--timeout=30s")
    (answer,) = await shared_mesh.ask("plain.example.com")
    assert json.loads(answer.body) == ["plain.default.svc.cluster.local", "plain.example.com"]


async def test_a_domain_that_another_namespace_has_is_refused_by_its_name(
    kn: CommandLine, kubectl: CommandLine
) -> None:
    await kubectl("create", "namespace", "elsewhere")
    await kn("service", "create", "mine", "--image", IMAGE, "--no-wait")
    await kn("domain", "create", "taken.example.com", "--ref", "ksvc:mine")
    await kubectl("wait", "--for=condition=DomainClaimed", "dm/taken.example.com", "--timeout=30s")
    await kubectl("apply", "-n", "elsewhere", "-f", "-", stdin=PLAIN.replace("plain.example", "taken.example"))
    refused = "--for=condition=DomainClaimed=False"
    await kubectl("wait", refused, "dm/taken.example.com", "-n", "elsewhere", "--timeout=30s")
    told = await kn("domain", "describe", "taken.example.com", "-n", "elsewhere")
    assert "DomainAlreadyClaimed" in told
    wrong = await kn.run("domain", "create", "single", "--ref", "ksvc:mine")
    assert wrong.code == 1 and 'invalid name "single": ' in wrong.err
