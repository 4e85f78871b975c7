"""kn's domain commands against a whole mesh: a domain leads to a function, and to a plain Service."""

from __future__ import annotations

import asyncio
import base64
import http.client
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

IMAGE = "dev.local/hello"
FILES = Path(__file__).parents[1] / "vectors" / "tls"
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
    await kubectl("wait", "--for=condition=Ready", f"domainmapping/{host}", "--timeout=60s")
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
    await kubectl("wait", observed, f"domainmapping/{host}", "--timeout=60s")
    await kubectl("wait", "--for=condition=Ready", f"domainmapping/{host}", "--timeout=60s")
    assert (await shared_mesh.ask(host))[0].body.startswith("green-00001 ")
    await kn("domain", "delete", host)
    await kubectl("wait", "--for=delete", f"kingress/{host}", "--timeout=60s")
    assert host not in await kubectl("get", "clusterdomainclaim", "-o", "name")


async def test_a_domain_with_a_certificate_is_served_under_tls_and_its_certificate_exchanged(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine
) -> None:
    await kn("service", "create", "secured", "--image", IMAGE)
    certificate = ("--cert", str(FILES / "server.pem"), "--key", str(FILES / "server.key"))
    await kubectl("create", "secret", "tls", "cert", *certificate)
    await kn("domain", "create", "a.apps.example.com", "--ref", "ksvc:secured", "--tls", "cert")
    await kubectl("wait", "--for=condition=Ready", "dm/a.apps.example.com", "--timeout=60s")
    url = urlsplit(await kubectl("get", "dm", "a.apps.example.com", "-o", "jsonpath={.status.url}"))
    assert (url.scheme, url.hostname) == ("https", "a.apps.example.com")
    answer, names = await asyncio.to_thread(ask_securely, url.port or 0, "a.apps.example.com")
    assert answer.startswith("secured-00001 ") and "*.apps.example.com" in names
    renewed = base64.b64encode((FILES / "other.pem").read_bytes()).decode()
    key = base64.b64encode((FILES / "other.key").read_bytes()).decode()
    await kubectl("patch", "secret", "cert", "-p", json.dumps({"data": {"tls.crt": renewed, "tls.key": key}}))
    async with asyncio.timeout(WAIT_S):
        while "other.example.com" not in names:
            answer, names = await asyncio.to_thread(ask_securely, url.port or 0, "a.apps.example.com")
            assert answer.startswith("secured-00001 ")
    await kubectl("delete", "secret", "cert")
    await kubectl("wait", "--for=condition=Ready=False", "dm/a.apps.example.com", "--timeout=60s")
    message = await kubectl("get", "dm", "a.apps.example.com", "-o", "jsonpath={.status.conditions[*].message}")
    assert "there is no Secret default/cert of type kubernetes.io/tls" in message


def ask_securely(port: int, host: str) -> tuple[str, set[str]]:
    """Return the answer to GET / and the host names of the certificate that was shown, signed by our authority."""
    context = ssl.create_default_context(cafile=str(FILES / "authority.pem"))
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        names = x509.load_der_x509_certificate(shown).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(secure)
        response.begin()
        return response.read().decode(), set(names.value.get_values_for_type(x509.DNSName))


async def test_a_domain_leads_to_a_plain_service_under_that_services_name(
    shared_mesh: MeshProcess, kubectl: CommandLine, backend: int
) -> None:
    await kubectl("apply", "-f", "-", stdin=PLAIN.replace("port: 1}", f"port: {backend}}}"))
    await kubectl("wait", "--for=condition=Ready", "dm/plain.example.com", "--timeout=60s")
    (answer,) = await shared_mesh.ask("plain.example.com")
    assert json.loads(answer.body) == ["plain.default.svc.cluster.local", "plain.example.com"]


async def test_a_request_names_a_tag_by_header_at_the_route_and_at_its_domain(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine
) -> None:
    feature = '{"data": {"tag-header-based-routing": "enabled"}}'
    await kubectl("patch", "configmap", "config-features", "-n", "knative-serving", "--type=merge", "-p", feature)
    await kn("service", "create", "tagged", "--image", IMAGE)
    await kn("service", "update", "tagged", "--env", "COLOUR=blue", "--tag", "tagged-00001=old")
    await kn("domain", "create", "tagged.example.com", "--ref", "ksvc:tagged")
    await kubectl("wait", "--for=condition=Ready", "dm/tagged.example.com", "--timeout=60s")
    for host in ("tagged.default.localhost", "tagged.example.com"):
        for tag, revision in (("old", "tagged-00001"), ("unknown", "tagged-00002")):
            (answer,) = await shared_mesh.ask(host, Knative_Serving_Tag=tag)
            assert answer.body.startswith(f"{revision} "), (host, tag)


async def test_a_domain_that_another_namespace_has_is_refused_by_its_name(
    kn: CommandLine, kubectl: CommandLine
) -> None:
    await kubectl("create", "namespace", "elsewhere")
    await kn("service", "create", "mine", "--image", IMAGE, "--no-wait")
    await kn("domain", "create", "taken.example.com", "--ref", "ksvc:mine")
    await kubectl("wait", "--for=condition=DomainClaimed", "dm/taken.example.com", "--timeout=60s")
    await kubectl("apply", "-n", "elsewhere", "-f", "-", stdin=PLAIN.replace("plain.example", "taken.example"))
    refused = "--for=condition=DomainClaimed=False"
    await kubectl("wait", refused, "dm/taken.example.com", "-n", "elsewhere", "--timeout=60s")
    told = await kn("domain", "describe", "taken.example.com", "-n", "elsewhere")
    assert "DomainAlreadyClaimed" in told
    wrong = await kn.run("domain", "create", "single", "--ref", "ksvc:mine")
    assert wrong.code == 1 and 'invalid name "single": ' in wrong.err
