"""Gateway API for functions, as somebody with kn and kubectl meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine

pytestmark = pytest.mark.peer

HELLO = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello from {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
OBJECTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: eventmesh
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.shop.test"}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: greet}
spec:
  parentRefs: [{name: front}]
  hostnames: [www.shop.test]
  rules:
    - matches: [{path: {type: PathPrefix, value: /greet}}]
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
      backendRefs: [{name: greeter, port: 80}]
"""


async def test_a_function_is_reached_by_a_route_of_gateway_api(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine, tmp_path: Path
) -> None:
    add_function(shared_mesh, tmp_path / "greeter", "greeter", HELLO)
    await kn("service", "create", "greeter", "--image", "dev.local/greeter")
    await kubectl("apply", "-f", "-", stdin=OBJECTS)
    await kubectl("wait", "--for=condition=Programmed", "gateway/front", "--timeout=60s")
    path = '{.status.parents[0].conditions[?(@.type=="Programmed")].status}'
    await kubectl("wait", f"--for=jsonpath={path}=True", "httproute/greet", "--timeout=60s")
    (answer,) = await shared_mesh.ask("www.shop.test", path="/greet/you")
    assert (answer.status, answer.body) == (200, "hello from /you")
    columns = (await kubectl("get", "gtw", "front", "--no-headers")).split()
    assert columns[:4] == ["front", "eventmesh", "127.0.0.1", "True"]
    refused = await kubectl.run("apply", "-f", "-", stdin=OBJECTS.replace("PathPrefix", "Prefix"))
    assert refused.code != 0
    assert "Unsupported value" in refused.err
