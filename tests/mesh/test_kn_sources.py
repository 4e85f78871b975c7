"""kn's channel, subscription and source commands against a whole mesh, and the events that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from eventmesh.cli.send import post
from eventmesh.cloudevents.event import Event
from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.mesh.test_kn_events import listed_ready
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

READER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        print("got", self.headers["ce-type"], self.headers["ce-source"], body, flush=True)
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

REPORTS = """
apiVersion: sinks.knative.dev/v1alpha1
kind: JobSink
metadata:
  name: reports
spec:
  job:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: report
              image: dev.local/report
"""

REPORTS_TRIGGER = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: reports
spec:
  broker: reports
  subscriber:
    ref:
      apiVersion: sinks.knative.dev/v1alpha1
      kind: JobSink
      name: reports
"""

REPORT = """
import os
print(open(os.environ["K_EVENT_PATH"] + "/event").read(), flush=True)
"""

RECORDS = """
apiVersion: sources.knative.dev/v1
kind: KafkaSource
metadata: {name: records}
spec:
  bootstrapServers: ["127.0.0.1:1"]
  topics: [orders]
  sink: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: reader}}
"""

SENDER = """
import os, time, urllib.request
headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/sender", "ce-type": "sent"}
event = urllib.request.Request(os.environ["K_SINK"], os.environ["K_SINK"].encode(), headers)
while True:
    try:
        urllib.request.urlopen(event)
        break
    except OSError as error:
        print(error, flush=True)
        time.sleep(0.2)
time.sleep(3600)
"""


@pytest.fixture(scope="module", autouse=True)
def reader(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One function that writes down what it gets, and never sleeps."""
    add_function(shared_mesh, tmp_path_factory.mktemp("reader") / "image", "reader", READER)
    add_function(shared_mesh, tmp_path_factory.mktemp("sender") / "image", "sender", SENDER)
    add_function(shared_mesh, tmp_path_factory.mktemp("report") / "image", "report", REPORT)
    kn = CommandLine("kn", shared_mesh.kubeconfig, tmp_path_factory.mktemp("home"))
    asyncio.run(kn("service", "create", "reader", "--image", "dev.local/reader", "--scale-min", "1"))


async def read(kubectl: CommandLine, holds: Callable[[str], bool]) -> str:
    """Return the first line of the reader's log that `holds`."""
    async with asyncio.timeout(WAIT_S):
        while True:
            log = await kubectl("logs", "-l", "serving.knative.dev/service=reader", "-c", "user-container", "--tail=-1")
            for line in log.splitlines():
                if holds(line):
                    return line
            await asyncio.sleep(0.1)


async def test_a_channel_is_made_listed_described_and_deleted(kn: CommandLine) -> None:
    assert await kn("channel", "create", "pipe") == "Channel 'pipe' created in namespace 'default'.\n"
    row = await listed_ready(kn, "channel", "pipe", column=4)
    assert row[1:3] == ["InMemoryChannel", "http://pipe-kn-channel.default.svc.cluster.local"]
    assert "InMemoryChannel" in await kn("channel", "list-types")
    assert "++ BackingChannelReady" in await kn("channel", "describe", "pipe")
    await kn("channel", "create", "older", "--type", "messaging.knative.dev:v1beta1:InMemoryChannel")
    await listed_ready(kn, "channel", "older", column=4)
    assert await kn("channel", "delete", "older") == "Channel 'older' deleted in namespace 'default'.\n"
    assert "older" not in await kn("channel", "list")


async def test_an_event_is_sent_to_a_channel_from_outside(
    kn: CommandLine, kubectl: CommandLine, shared_mesh: MeshProcess
) -> None:
    await kn("channel", "create", "letters")
    await kn("subscription", "create", "letters", "--channel", "letters", "--sink", "ksvc:reader")
    await listed_ready(kn, "subscription", "letters", column=3)
    sent = await shared_mesh.eventmesh("send", "--channel", "letters", "--type", "letter", "--data", '"dear"')
    assert (sent.code, "accepted by channel letters (202" in sent.out) == (0, True)
    # Whole: another test sends the same function letters.
    await read(kubectl, lambda line: line == 'got letter /eventmesh/send "dear"')
    missing = await shared_mesh.eventmesh("send", "--channel", "nobody", "--type", "letter")
    assert missing.code != 0 and 'channels.messaging.knative.dev "nobody" not found' in missing.err


async def test_pings_go_through_a_channel_to_a_function(kn: CommandLine, kubectl: CommandLine) -> None:
    await kn("channel", "create", "ticks")
    await kn("subscription", "create", "ticks", "--channel", "ticks", "--sink", "ksvc:reader")
    row = await listed_ready(kn, "subscription", "ticks", column=3)
    assert row[1:3] == ["Channel:ticks", "ksvc:reader"]
    # kn takes data that could be base64 for base64.
    each_second = ("--schedule", "* * * * * *", "--data", "a tick")
    await kn("source", "ping", "create", "clock", *each_second, "--sink", "channel:ticks")
    line = await read(kubectl, lambda line: "dev.knative.sources.ping" in line)
    assert line == "got dev.knative.sources.ping /apis/v1/namespaces/default/pingsources/clock a tick"
    assert "++ SinkProvided" in await kn("source", "ping", "describe", "clock")
    await kn("source", "ping", "update", "clock", "--sink", "ksvc:reader", "--data", "a tock")
    await read(kubectl, lambda line: line.endswith("a tock"))
    assert await kn("source", "ping", "delete", "clock") == "Ping source 'clock' deleted in namespace 'default'.\n"
    refused = await kn.run("source", "ping", "create", "never", "--schedule", "never", "--sink", "ksvc:reader")
    assert refused.code == 1 and "expected 5 to 6 fields" in refused.err


async def test_changes_of_the_api_go_to_a_broker(kn: CommandLine, kubectl: CommandLine) -> None:
    await kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount=default:default")
    await kn("broker", "create", "changes")
    await kn("trigger", "create", "changes", "--broker", "changes", "--sink", "ksvc:reader")
    await kn("source", "apiserver", "create", "maps", "--resource", "ConfigMap:v1", "--sink", "broker:changes")
    await listed_ready(kn, "trigger", "changes")
    async with asyncio.timeout(WAIT_S):
        while "++ Ready" not in await kn("source", "apiserver", "describe", "maps"):
            await asyncio.sleep(0.1)
    await kubectl("create", "configmap", "changed")
    line = await read(kubectl, lambda line: "ref.add" in line and '"changed"' in line)
    assert '"kind":"ConfigMap"' in line


async def test_a_container_knows_its_sink(kn: CommandLine, kubectl: CommandLine) -> None:
    await kn("source", "container", "create", "sends", "--image", "dev.local/sender", "--sink", "ksvc:reader")
    # Whole: the sender of another test in this mesh has a sink of its own.
    await read(kubectl, lambda line: line == "got sent /sender http://reader.default.svc.cluster.local")
    async with asyncio.timeout(WAIT_S):
        while "++ Ready" not in (described := await kn("source", "container", "describe", "sends")):
            await asyncio.sleep(0.1)
    assert "dev.local/sender" in described


async def test_events_are_taken_while_clear_text_is_not(
    kn: CommandLine, kubectl: CommandLine, shared_mesh: MeshProcess
) -> None:
    inside = "broker-ingress.knative-eventing.svc.cluster.local/default/closed"
    await kn("broker", "create", "closed")
    await kn("trigger", "create", "closed", "--broker", "closed", "--sink", "ksvc:reader")
    await listed_ready(kn, "trigger", "closed")
    features = ("configmap", "config-features", "-n", "knative-eventing")
    await kubectl("create", *features, "--from-literal=transport-encryption=strict")
    try:
        await described(kn, "broker", "closed", f"URL:    https://{inside}")
        # A function speaks http with its sidecar, which speaks mTLS.
        await kn("source", "container", "create", "sealed", "--image", "dev.local/sender", "--sink", "broker:closed")
        assert await read(kubectl, lambda line: "default/closed" in line) == f"got sent /sender http://{inside}"
        await described(kn, "source", "container", "sealed", "++ Ready")
        sent = await shared_mesh.eventmesh("send", "--broker", "closed", "--type", "letter", "--data", '"sealed"')
        assert (sent.code, "(202" in sent.out) == (0, True), sent.err
        await read(kubectl, lambda line: line == 'got letter /eventmesh/send "sealed"')
        open_door = f"http://broker-ingress.knative-eventing.localhost:{shared_mesh.gateway_port}/default/closed"
        event = Event({"specversion": "1.0", "id": "1", "source": "/open", "type": "letter"}, None)
        status, why = await asyncio.get_running_loop().run_in_executor(None, post, open_door, event)
        assert status == 404 and "https alone" in why
    finally:
        await kubectl("delete", *features)
        await described(kn, "broker", "closed", f"URL:    http://{inside}")


async def described(kn: CommandLine, *what: str) -> None:
    """Return when kn describes what the first words name with the last one."""
    *named, words = what
    group = (*named[:-1], "describe", named[-1])
    async with asyncio.timeout(WAIT_S):
        while words not in await kn(*group):
            await asyncio.sleep(0.1)


async def test_event_types_are_listed_with_what_they_come_from(kn: CommandLine) -> None:
    await kn("broker", "create", "types")
    made = await kn("eventtype", "create", "orders", "--type", "order", "--source", "/shop", "--broker", "types")
    assert made == "Eventtype 'orders' successfully created in namespace 'default'.\n"
    row = await listed_ready(kn, "eventtype", "orders")
    assert row[1:4] == ["order", "/shop", "types"]
    assert "++ ReferenceExists" in await kn("eventtype", "describe", "orders")
    assert "successfully deleted" in await kn("eventtype", "delete", "orders")


async def test_an_event_starts_a_job_that_finds_it(kn: CommandLine, kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=REPORTS)
    await kn("broker", "create", "reports")
    await kubectl("apply", "-f", "-", stdin=REPORTS_TRIGGER)
    await listed_ready(kn, "trigger", "reports")
    each_second = ("--schedule", "* * * * * *", "--data", "a tick")
    await kn("source", "ping", "create", "once", *each_second, "--sink", "broker:reports")
    async with asyncio.timeout(WAIT_S):
        while not (jobs := (await kubectl("get", "jobs", "-o", "name")).split()):
            await asyncio.sleep(0.2)
        while "/apis/v1/namespaces/default/pingsources/once" not in (await kubectl.run("logs", jobs[0])).out:
            await asyncio.sleep(0.2)
    await kn("source", "ping", "delete", "once")


async def test_sources_are_listed_with_their_sinks(kn: CommandLine, kubectl: CommandLine) -> None:
    await kn(
        "source", "binding", "create", "bound", "--subject", "Deployment:apps/v1:app=none", "--sink", "http://x.test/"
    )
    await kn("source", "ping", "create", "listed", "--sink", "ksvc:reader", "--schedule", "0 0 1 1 *")
    await kubectl("apply", "-f", "-", stdin=RECORDS)
    types = await kn("source", "list-types")
    for kind in ("ApiServerSource", "ContainerSource", "KafkaSource", "PingSource", "SinkBinding"):
        assert kind in types
    async with asyncio.timeout(WAIT_S):
        while True:
            rows = {line.split()[0]: line.split()[1:] for line in (await kn("source", "list")).splitlines()}
            if rows["bound"][-1] == rows["listed"][-1] == "True" and rows["records"][-1] == "False":
                break
            await asyncio.sleep(0.1)
    assert rows["bound"] == ["SinkBinding", "sinkbindings.sources.knative.dev", "http://x.test/", "True"]
    assert rows["listed"] == ["PingSource", "pingsources.sources.knative.dev", "ksvc:reader", "True"]
    assert rows["records"] == ["KafkaSource", "kafkasources.sources.knative.dev", "ksvc:reader", "False"]
    missing = await kn.run("source", "ping", "create", "nowhere", "--sink", "channel:none", "--schedule", "@daily")
    assert missing.code == 1 and 'channels.messaging.knative.dev "none" not found' in missing.err
