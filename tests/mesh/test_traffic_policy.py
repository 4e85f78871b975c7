"""A TrafficPolicy for a function, as somebody with kubectl and nothing else meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine

pytestmark = pytest.mark.peer

FLAKY = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += self.path == "/flaky"
        self.send_response(503 if self.path == "/flaky" and Handler.asked % 3 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
POLICY = """
apiVersion: eventmesh.io/v1alpha1
kind: TrafficPolicy
metadata: {name: patient}
spec:
  targetRefs: [{group: serving.knative.dev, kind: Service, name: flaky}]
  timeouts: {request: 20s}
  retry: {attempts: 2, codes: [503], backoff: 1ms}
"""


async def test_a_function_is_asked_again_as_its_policy_says(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine, tmp_path: Path
) -> None:
    add_function(shared_mesh, tmp_path / "flaky", "flaky", FLAKY)
    await kubectl("apply", "-f", "-", stdin=POLICY)
    await kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=TargetNotFound", "tp/patient", "--timeout=60s")
    await kn("service", "create", "flaky", "--image", "dev.local/flaky", "--scale-min", "1")
    await kubectl("wait", "--for=condition=Ready", "trafficpolicy/patient", "--timeout=60s")
    assert (await shared_mesh.get("flaky", "/flaky")).status == 200
    shown = await shared_mesh.eventmesh("routes", "flaky.default.localhost/flaky")
    assert shown.code == 0, shown.err
    assert "timeout 20 s, retries 2" in shown.out
    columns = (await kubectl("get", "tp", "patient", "--no-headers")).split()
    assert columns[:3] == ["patient", "flaky", "True"]
    refused = await kubectl.run("apply", "-f", "-", stdin=POLICY.replace("20s", "20").replace("[503]", "[200]"))
    assert refused.code != 0
    assert "spec.timeouts.request" in refused.err
