"""What a whole mesh answers to what is wrong, and that nothing else is harmed by it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from eventmesh.kube import resources
from eventmesh.kube.api import Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.status import condition
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

EVENT = {"ce-id": "1", "ce-source": "/test", "ce-type": "order.placed", "ce-specversion": "1.0"}
BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: orders}\n"


@pytest.fixture(scope="module", autouse=True)
def deployed(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A function that must go on answering, and a broker."""
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")
    manifest = tmp_path_factory.mktemp("broker") / "broker.yaml"
    manifest.write_text(BROKER)

    async def run() -> None:
        async with shared_mesh.api() as api:
            await deploy(api, service("hello", min_scale="1"))
        assert (await shared_mesh.eventmesh("apply", "-f", str(manifest))).code == 0
        async with asyncio.timeout(WAIT_S):
            while (await post(shared_mesh, EVENT))[0] != 202:
                await asyncio.sleep(0.02)

    asyncio.run(run())


async def say(mesh: MeshProcess, request: bytes) -> tuple[int, str, bool]:
    """Send bytes to the gateway; return status, body, and whether it closed the connection after its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", mesh.gateway_port)
    try:
        async with asyncio.timeout(WAIT_S):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            body = (await reader.readexactly(int(fields.get("content-length", "0")))).decode()
            return int(head.split()[1]), body, fields.get("connection") == "close" and await reader.read() == b""
    finally:
        writer.close()


async def post(
    mesh: MeshProcess, headers: Mapping[str, str], body: str = "{}", path: str = "/default/orders"
) -> tuple[int, str]:
    """Send an event to a broker through the gateway."""
    fields = {
        "Host": "broker-ingress.knative-eventing.localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    status, text, _ = await say(mesh, f"POST {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
    return status, text


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (b"GARBAGE\r\n\r\n", 400, "malformed request line"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "missing Host"),
        (b"GET / HTTP/1.1\r\nHost hello\r\n\r\n", 400, "invalid header name"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "Content-Length"),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
            400,
            "both Content-Length and Transfer-Encoding",
        ),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", 431, "head too long"),
        (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431, "head too long"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"x: y\r\n" * 1_000 + b"\r\n", 431, "too many header fields"),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, "unsupported HTTP version"),
    ],
)
async def test_a_wrong_frame_is_answered_with_its_fault_and_ends_its_connection_alone(
    shared_mesh: MeshProcess, request_: bytes, status: int, said: str
) -> None:
    answered, body, closed = await say(shared_mesh, request_)
    assert (answered, closed) == (status, True)
    assert said in body
    assert (await shared_mesh.get("hello")).status == 200


async def test_an_unknown_host_is_404_and_the_connection_goes_on(shared_mesh: MeshProcess) -> None:
    first, second = await shared_mesh.get_many("nobody", 2)
    assert first.status == second.status == 404
    assert "no route for this host" in first.body


@pytest.mark.parametrize(
    ("changed", "attribute"),
    [
        ({"ce-id": ""}, "id"),
        ({"ce-source": ""}, "source"),
        ({"ce-source": "no uri"}, "source"),
        ({"ce-type": ""}, "type"),
        ({"ce-specversion": ""}, "specversion"),
        ({"ce-specversion": "2.0"}, "specversion"),
        ({"ce-time": "yesterday"}, "time"),
        ({"ce-dataschema": "relative"}, "dataschema"),
        ({"ce-two-words": "x"}, "two-words"),
        ({"ce-data": "x"}, "data"),
    ],
)
async def test_an_invalid_event_is_400_and_its_attribute_is_named(
    shared_mesh: MeshProcess, changed: dict[str, str], attribute: str
) -> None:
    headers = {name: value for name, value in {**EVENT, **changed}.items() if value}
    status, text = await post(shared_mesh, headers)
    assert status == 400
    assert f'CloudEvent attribute "{attribute}": ' in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "structured CloudEvent is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"id": "1"}', '"source": is required'),
        (json.dumps({"id": "1", "source": "a", "type": "t", "specversion": "1.0", "Upper": 1}), '"Upper"'),
        (
            json.dumps({"id": "1", "source": "a", "type": "t", "specversion": "1.0", "data": 1, "data_base64": ""}),
            'both "data" and "data_base64"',
        ),
    ],
)
async def test_an_invalid_structured_event_is_400_and_says_why(shared_mesh: MeshProcess, body: str, said: str) -> None:
    status, text = await post(shared_mesh, {"Content-Type": "application/cloudevents+json"}, body)
    assert status == 400
    assert said in text


async def test_a_broker_that_is_not_there_is_404_by_name(shared_mesh: MeshProcess) -> None:
    assert await post(shared_mesh, EVENT, path="/default/nope") == (404, 'no broker "nope" in namespace "default"\n')


@pytest.mark.parametrize(
    ("name", "program", "found"),
    [
        ("mute", "import time; time.sleep(3600)", "no port"),
        (
            "stray",
            "import http.server as h; h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler).serve_forever()",
            r"port \d+",
        ),
    ],
)
async def test_a_function_that_does_not_listen_where_it_should_is_told_by_condition_and_event(
    shared_mesh: MeshProcess, tmp_path: Path, name: str, program: str, found: str
) -> None:
    add_function(shared_mesh, tmp_path / name, name, program)
    expected = re.compile(rf"user-container listens on {found}; it is expected on \d+, as its PORT says")

    def is_told(revision: Object) -> bool:
        ready = condition(revision, "Ready") or {}
        # Unknown: it may only be slow.
        return ready.get("status") == "Unknown" and bool(expected.fullmatch(ready.get("message", "")))

    async with shared_mesh.api() as api:
        await api.create(resources.KSERVICE, service(name, f"dev.local/{name}"), "default")
        await until(api, resources.REVISION, f"{name}-00001", is_told)
        async with asyncio.timeout(WAIT_S):
            while not any(expected.search(told) for told in await messages(api, name)):
                await asyncio.sleep(0.05)
    assert (await shared_mesh.get("hello")).status == 200


async def messages(api: HttpApi, name: str) -> list[str]:
    """Return what Events say of the pods of a function."""
    events = (await api.list(resources.EVENT, "default")).items
    return [event["message"] for event in events if event["involvedObject"]["name"].startswith(f"{name}-00001-")]


async def test_an_unknown_image_harms_no_other_function(shared_mesh: MeshProcess, tmp_path: Path) -> None:
    manifest = tmp_path / "lost.yaml"
    manifest.write_text(json.dumps(service("lost", "dev.local/nobody")))
    assert (await shared_mesh.eventmesh("apply", "-f", str(manifest))).code == 0
    async with asyncio.timeout(WAIT_S):
        while "False (RevisionFailed)" not in (listed := (await shared_mesh.eventmesh("get", "ksvc"))).out:
            await asyncio.sleep(0.02)
    assert "hello-00001" in listed.out
    assert (await shared_mesh.get("hello")).status == 200


@pytest.mark.parametrize(
    ("manifest", "code", "said"),
    [
        ("kind: [x\n", 2, "file.yaml: is no valid YAML at line 2"),
        (BROKER + "---\nkind: Broker\n", 2, "file.yaml:5: has no apiVersion"),
        ("apiVersion: v1\nkind: Pod\n", 2, "file.yaml:1: this Pod has no metadata.name"),
        ("apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n", 2, "cannot apply Nothing of v1: use kubectl"),
        (
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n"
            "spec: {template: {spec: {containers: [{image: dev.local/hello, imagge: b}]}}}\n",
            1,
            "spec.template.spec.containers[0].imagge",
        ),
    ],
)
async def test_a_manifest_that_is_wrong_is_refused_with_its_place(
    shared_mesh: MeshProcess, tmp_path: Path, manifest: str, code: int, said: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(manifest)
    result = await shared_mesh.eventmesh("apply", "-f", str(path))
    assert result.code == code
    assert said in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("get", "nothing"), 2, "unknown kind 'nothing'; known are ksvc"),
        (("get", "ksvc", "nobody"), 1, '"nobody" not found'),
        (("logs", "nobody"), 2, "no pod nobody"),
        (("send", "--broker", "nope", "--type", "t"), 1, '"nope" not found'),
        (("send", "--type", "t", "--extension", "A-b=1"), 1, 'CloudEvent attribute "A-b"'),
        (("send", "--type", "t", "--extension", "novalue"), 2, "'novalue' is not NAME=VALUE"),
        (("send", "--type", "t", "--data", "@/nowhere"), 2, "/nowhere cannot be read"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why_in_one_line(
    shared_mesh: MeshProcess, words: tuple[str, ...], code: int, said: str
) -> None:
    result = await shared_mesh.eventmesh(*words)
    assert (result.code, result.err.count("\n")) == (code, 1)
    assert said in result.err
