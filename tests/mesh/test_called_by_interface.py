"""Services that are called by interface in a whole mesh: Java's Dubbo, and a protocol that was made up for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.peers.dubbo_peer import DUBBO, JAR
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

GREETER = "eventmesh.peers.Greeter"
LAMP = {
    "endian": "little",
    "frame": [
        {"magic": "4c414d50"},
        {"number": {"name": "kind", "size": 1}},
        {"id": {"size": 4}},
        {"text": {"name": "room", "prefix": 1}},
        {"section": {"prefix": 2}},
    ],
    "kinds": [
        {"is": "request", "when": {"kind": 0}},
        {"is": "response", "when": {"kind": 1}},
        {"is": "failure", "when": {"kind": 2}},
    ],
    "route": {"service": {"text": "room"}},
    "error": {
        "codes": {"default": 1},
        "frame": [{"bytes": "4c414d50 02"}, "id", {"echo": "room"}, {"text": {"prefix": 2}}],
    },
}
LAMP_SERVER = """
import socketserver
class Lamp(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(10):
            room = self.rfile.read(head[9])
            said = self.rfile.read(int.from_bytes(self.rfile.read(2), "little"))
            text = b"the " + room + b" is " + said
            self.wfile.write(b"LAMP\\1" + head[5:9] + b"\\0" + len(text).to_bytes(2, "little") + text)
socketserver.ThreadingTCPServer(("127.0.0.1", 7001), Lamp).serve_forever()
"""
LAMP_CALLER = """
import socket, time
def call(room):
    with socket.create_connection(("127.0.0.1", 7002), 20) as lamp, lamp.makefile("rb") as answers:
        lamp.sendall(b"LAMP\\0" + (7).to_bytes(4, "little") + bytes([len(room)]) + room + b"\\2\\0on")
        head = answers.read(10)
        answers.read(head[9])
        return head[4], answers.read(int.from_bytes(answers.read(2), "little")).decode()
while True:
    try:
        print(*call(b"kitchen"), *call(b"cellar"), flush=True)
    except (OSError, IndexError) as error:
        print(error, flush=True)
    time.sleep(0.1)
"""


def pod(name: str, image: str, *command: str, port: str = "", number: int = 0, **annotations: str) -> dict[str, object]:
    ports = [{"name": port, "containerPort": number}] if port else []
    metadata = {
        "name": name,
        "labels": {"app": name},
        "annotations": {f"eventmesh.io/{k}": v for k, v in annotations.items()},
    }
    container = {"name": "main", "image": image, "command": list(command), "ports": ports}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def service(name: str, port: int, protocol: str) -> dict[str, object]:
    ports = [{"name": "rpc", "port": port, "targetPort": port, "appProtocol": protocol}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def interface(service_name: str, **said: object) -> dict[str, object]:
    target = {"kind": "Service", "name": service_name}
    return {
        "apiVersion": "eventmesh.io/v1alpha1",
        "kind": "ServiceInterface",
        "metadata": {"name": service_name},
        "spec": {"targetRef": target, "interfaces": [said]},
    }


def declaration(name: str, port: int) -> dict[str, object]:
    return {
        "apiVersion": "eventmesh.io/v1alpha1",
        "kind": "ProtocolDeclaration",
        "metadata": {"name": name},
        "spec": {"clientPort": port, "declaration": LAMP},
    }


def applied(*objects: dict[str, object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


async def says(kubectl: CommandLine, name: str, line: str) -> None:
    """Wait until a pod has printed a line."""
    async with asyncio.timeout(WAIT_S):
        while line not in (await kubectl("logs", name)).splitlines():
            await asyncio.sleep(0.1)


async def test_java_dubbo_callers_find_their_group_by_interface(
    shared_mesh: MeshProcess, kubectl: CommandLine, tmp_path: Path
) -> None:
    image = tmp_path / "dubbo"
    image.mkdir()
    (image / "image.json").write_text('{"command": ["java"]}')
    shared_mesh.add_image("java-dubbo", image)
    java = f"java -XX:TieredStopAtLevel=1 -cp {JAR}:{DUBBO}/lib/* eventmesh.peers"
    groups = ("red", "blue")
    for group in groups:
        # A provider ends when its input does; a caller takes its orders from there.
        serve, ask = (
            f"tail -f /dev/null | {java}.DubboServer 20880 {group}",
            "while :; do echo greet Ada; sleep 0.2; done",
        )
        call = f"({ask}) | {java}.DubboCaller 127.0.0.1:20882 {group} 20000"
        await kubectl(
            "apply",
            "-f",
            "-",
            stdin=applied(
                pod(group, "dev.local/java-dubbo", "sh", "-c", serve, port="dubbo", number=20880),
                service(group, 20880, "dubbo"),
                interface(group, name=GREETER, group=group, version="1.0"),
                pod(f"{group}-caller", "dev.local/java-dubbo", "sh", "-c", call),
            ),
        )
    for group in groups:
        await kubectl("wait", "--for=condition=Ready", f"si/{group}", "--timeout=60s")
        await says(kubectl, f"{group}-caller", f"OK hello Ada from {group}")
    await kubectl("delete", "pod", *groups, *(f"{group}-caller" for group in groups), "--force", "--grace-period=0")


async def test_an_event_calls_java_in_a_pod_and_the_result_is_an_event(
    shared_mesh: MeshProcess, kubectl: CommandLine, tmp_path: Path
) -> None:
    image = tmp_path / "shop"
    image.mkdir()
    (image / "image.json").write_text('{"command": ["java"]}')
    shared_mesh.add_image("java-shop", image)
    serve = f"tail -f /dev/null | java -XX:TieredStopAtLevel=1 -cp {JAR}:{DUBBO}/lib/* eventmesh.peers.ShopServer 20880"
    quote = {"name": "quote", "arguments": ["eventmesh.peers.Order"], "result": "eventmesh.peers.Quote"}
    offered = interface("shop", name="eventmesh.peers.Shop", version="1.0", methods=[quote])
    trigger: dict[str, object] = {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": "quotes", "annotations": {"eventmesh.io/dubbo-method": "eventmesh.peers.Shop:1.0/quote"}},
        "spec": {
            "broker": "orders",
            "filter": {"attributes": {"type": "order"}},
            "subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "shop"}},
        },
    }
    broker: dict[str, object] = {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": {"name": "orders"},
        "spec": {},
    }
    # Clear text is refused in this namespace: the call comes under mTLS, or not at all.
    strict: dict[str, object] = {
        "apiVersion": "eventmesh.io/v1alpha1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "strict"},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    await kubectl("create", "namespace", "java")
    server = pod("shop", "dev.local/java-shop", "sh", "-c", serve, port="dubbo", number=20880)
    objects = applied(strict, server, service("shop", 20880, "dubbo"), offered, broker, trigger)
    await kubectl("apply", "-n", "java", "-f", "-", stdin=objects)
    ready = ("wait", "-n", "java", "--for=condition=Ready", "--timeout=60s")
    await kubectl(*ready, "pod/shop", "si/shop", "broker/orders", "trigger/quotes")
    data = '{"item": "tea", "count": 2}'
    sent = await shared_mesh.eventmesh(
        "send", "-n", "java", "--broker", "orders", "--type", "order", "--id", "7", "--data", data
    )
    assert sent.code == 0, sent.err
    async with asyncio.timeout(WAIT_S):
        while "order.reply" not in (await shared_mesh.eventmesh("events", "list", "-n", "java", "orders")).out:
            await asyncio.sleep(0.1)
    await kubectl("delete", "-n", "java", "pod", "shop", "--force", "--grace-period=0")


async def test_a_protocol_that_somebody_declares_is_spoken_by_functions_and_their_callers(
    shared_mesh: MeshProcess, kubectl: CommandLine, tmp_path: Path
) -> None:
    image = tmp_path / "lamp"
    image.mkdir()
    (image / "image.json").write_text('{"command": ["python", "server.py"]}')
    (image / "server.py").write_text(LAMP_SERVER)
    (image / "caller.py").write_text(LAMP_CALLER)
    shared_mesh.add_image("lamp", image)
    await kubectl(
        "apply",
        "-f",
        "-",
        stdin=applied(
            service("kitchen", 7001, "lamp"),
            pod("kitchen", "dev.local/lamp", "python", "server.py", port="rpc", number=7001, protocol="lamp"),
            pod("switch", "dev.local/lamp", "python", "caller.py"),
            interface("kitchen", name="kitchen"),
        ),
    )
    await kubectl(
        "wait", "--for=jsonpath={.status.conditions[0].reason}=UnsupportedProtocol", "si/kitchen", "--timeout=60s"
    )
    await kubectl("apply", "-f", "-", stdin=applied(declaration("lamp", 7002)))
    await kubectl(
        "wait", "--for=condition=Ready", "protocoldeclaration/lamp", "si/kitchen", "pod/kitchen", "--timeout=60s"
    )
    await says(kubectl, "switch", "1 the kitchen is on 2 no route for this host and path")
    await kubectl("apply", "-f", "-", stdin=applied(declaration("torch", 7002)))
    await kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=Conflicted", "pd/torch", "--timeout=60s")
    refused = await kubectl.run("apply", "-f", "-", stdin=applied(declaration("dubbo", 7003)))
    assert refused.code != 0 and "metadata.name" in refused.err
    await kubectl("delete", "pod", "kitchen", "switch", "--force", "--grace-period=0")
