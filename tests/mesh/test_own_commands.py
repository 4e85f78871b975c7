"""eventmesh's own commands, for who has neither kn nor kubectl."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

from tests.mesh.objects import add_function, service
from tests.mesh.processes import EVENTMESH, MeshProcess
from tests.waiting import WAIT_S

READER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(self.headers["ce-type"], self.headers["ce-colour"], body, flush=True)
        self.send_response(202)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
EVENTING = [
    {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "post"}},
    {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": "reader"},
        "spec": {
            "broker": "post",
            "subscriber": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "reader"}},
        },
    },
]


async def test_apply_get_send_and_logs_tell_one_story(shared_mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(shared_mesh, tmp_path / "reader", "reader", READER)
    manifest = tmp_path / "reader.yaml"
    manifest.write_text(
        "\n---\n".join(json.dumps(obj) for obj in [service("reader", "dev.local/reader", min_scale="1"), *EVENTING])
    )
    applied = await shared_mesh.eventmesh("apply", "-f", str(manifest))
    assert applied.out == "services/reader created\nbrokers/post created\ntriggers/reader created\n"
    async with asyncio.timeout(WAIT_S):
        for kind in ("ksvc", "broker", "trigger"):
            while not (await shared_mesh.eventmesh("get", kind)).out.endswith("True\n"):
                pass
    (shown,) = json.loads((await shared_mesh.eventmesh("get", "ksvc", "-o", "json")).out)
    assert shown["metadata"]["name"] == "reader"
    sent = await shared_mesh.eventmesh(
        "send", "--broker", "post", "--type", "letter", "--id", "7", "--extension", "colour=blue", "--data", '"hi"'
    )
    assert sent.out.startswith("event 7 of type letter accepted by broker post (202 after ")
    async with asyncio.timeout(WAIT_S):
        while (logs := await shared_mesh.eventmesh("logs", "reader")).out != 'letter blue "hi"\n':
            assert logs.code == 0
    async with asyncio.timeout(WAIT_S):
        while "delivered" not in (told := await shared_mesh.eventmesh("events", "trace", "7")).out:
            assert told.code == 0, told.err
    assert "  letter  id=7  source=/eventmesh/send  broker=default/post\n" in told.out
    assert "  default/reader  attempt 1  202 after " in told.out
    event = tmp_path / "event.json"
    event.write_text('{"specversion": "1.0", "id": "1", "source": "/s", "type": "letter"}')
    tested = await shared_mesh.eventmesh("events", "test-filter", str(event), "--trigger", "reader")
    assert (tested.code, tested.out) == (0, "passes\n  spec: without a filter every event passes\n")
    stamp, _, line = (await shared_mesh.eventmesh("logs", "reader", "--timestamps")).out.partition(" ")
    assert line == 'letter blue "hi"\n'
    assert datetime.fromisoformat(stamp).tzinfo is not None
    told = json.loads((await shared_mesh.eventmesh("status", "-o", "json")).out)
    (reader,) = (row for row in told["functions"] if row["name"] == "reader")
    assert (reader["ready"], reader["revision"], reader["pods"]) == ("True", "reader-00001", 1)
    (post,) = (row for row in told["brokers"] if row["name"] == "post")
    assert (post["ready"], post["triggers"], post["dead"]) == ("True", 1, 0)
    assert {row["role"] for row in told["dataPlanes"]} >= {"gateway", "activator"}
    again = await shared_mesh.eventmesh("apply", "-f", str(manifest))
    assert again.out.count("configured\n") == 3


async def test_what_runs_here_is_told_by_its_directory_alone(shared_mesh: MeshProcess) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    flags = ("--data-dir", str(shared_mesh.data_dir))

    def ask(*words: str) -> str:
        command = [*EVENTMESH, *words, *flags]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    told = json.loads(await asyncio.to_thread(ask, "status", "-o", "json"))
    assert told["mesh"]["pid"] == shared_mesh.pid
    assert {row["pid"] for row in told["processes"]} >= {shared_mesh.pid, *shared_mesh.named("eventmesh-gatew")}
    shown = await asyncio.to_thread(ask, "status")
    for head in ("PROCESS", "DATA PLANE"):
        assert f"\n{head} " in shown
    exported = await asyncio.to_thread(ask, "env", "--shell", "sh")
    assert exported.splitlines()[0] == f"export KUBECONFIG={shared_mesh.kubeconfig}"
    found = {row["subject"]: row for row in json.loads(await asyncio.to_thread(ask, "check", "-o", "json"))}
    assert found["mesh"]["found"] == f"process {shared_mesh.pid} runs on {shared_mesh.data_dir}"
    assert "held by the mesh" in found["ports"]["found"]
    command = ["check", "-o", "json", "--kubeconfig", str(shared_mesh.kubeconfig)]
    found = {row["subject"]: row for row in json.loads(await asyncio.to_thread(ask, *command))}
    assert found["kinds"] == {"subject": "kinds", "standing": "ok", "found": "Serving, Eventing and ours are there"}
