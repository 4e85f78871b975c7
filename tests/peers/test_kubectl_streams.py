"""kubectl exec, cp, attach and port-forward against pods that really run.

By the oldest that is promised, as far as it can speak over WebSockets, and by the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.cluster.runtime.network import free_port
from eventmesh.kube.api import Object
from eventmesh.kube.resources import DEPLOYMENT, POD
from tests.component.pod_cluster import Cluster, bare, deployment, is_ready, running, sharing
from tests.component.processes import program
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

BY_THE_NEWEST_ALONE = pytest.mark.parametrize("kubectl_home", ["kubectl-newest"], indirect=True)
"""The oldest forwards ports by SPDY alone; and a client that is not kubectl need not come twice."""

SERVER = """
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        print("asked for", self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
Server(("0.0.0.0", int(os.environ["LISTEN"])), Handler).serve_forever()
"""


HELLO = """
import os, time
print("hello of version", os.environ["VERSION"], flush=True)
time.sleep(600)
"""

ADDRESS = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
ASK = """
import os, urllib.request
urllib.request.urlopen(f"http://{os.environ['ADDRESS']}:{os.environ['LISTEN']}/WORD").read()
"""
PYTHON_CLIENT = """
from kubernetes import client, config, stream
config.load_kube_config()
command = ["sh", "-c", "read word; echo $word; echo $COLOUR >&2; exit 4"]
run = stream.stream(
    client.CoreV1Api().connect_get_namespaced_pod_exec, "web", "default", command=command,
    stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
)
run.write_stdin("hello\\n")
run.run_forever(timeout=30)
print(repr(run.read_stdout()), repr(run.read_stderr()), run.returncode)
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster whose pod `web` serves on a port."""

    cluster: Cluster
    kubectl: CommandLine
    port: int
    directory: Path


@pytest.fixture
async def world(kubectl_home: Path, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "data") as cluster:
        server = ApiServer(cluster.embedded, ("127.0.0.1", 0), tmp_path / "tls", cluster.agent)
        await server.start()
        kubeconfig = tmp_path / "kubeconfig"
        write_kubeconfig(kubeconfig, server.url, server.credentials.ca_pem, server.credentials.token)
        cluster.image(tmp_path / "web", "web", SERVER)
        port = free_port()
        env = [{"name": "LISTEN", "value": str(port)}, {"name": "COLOUR", "value": "green"}, ADDRESS]
        pod = bare("web", {"image": "dev.local/web", "env": env})
        (tmp_path / "marks").mkdir()
        await cluster.api.create(POD, {**pod, "spec": sharing(pod["spec"], tmp_path / "marks")}, "default")
        async with asyncio.timeout(WAIT_S):
            (started,) = await cluster.until(POD, lambda pods: bool(pods) and is_ready(pods[0]))
            await listening(started["status"]["podIP"], port)
        kubectl = CommandLine(kubectl_home.name, kubeconfig, tmp_path)
        kubectl.environment["KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] = "true"  # which the newest does unasked
        yield Running(cluster, kubectl, port, tmp_path)
        await server.stop()


async def listening(address: str, port: int) -> None:
    """Return when somebody listens there."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.02)


async def test_exec_runs_in_the_surroundings_of_the_container(world: Running) -> None:
    kubectl = world.kubectl
    assert await kubectl("exec", "web", "--", "sh", "-c", "echo $COLOUR; echo $HOSTNAME") == "green\nweb\n"
    result = await kubectl.run("exec", "web", "-c", "app", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out) == (7, "out\n")
    assert "err\n" in result.err and "command terminated with exit code 7" in result.err
    killed = await kubectl.run("exec", "web", "--", "sh", "-c", "kill -9 $$")
    assert killed.code == 137


async def test_a_deployment_stands_for_one_of_its_pods(world: Running) -> None:
    world.cluster.image(world.directory / "hello", "hello", HELLO)
    await world.cluster.api.create(DEPLOYMENT, deployment("dev.local/hello", "1"), "default")
    async with asyncio.timeout(WAIT_S):
        pods = await world.cluster.until(POD, lambda pods: any(map(_is_of_hello, pods)))
        (name,) = (pod["metadata"]["name"] for pod in pods if _is_of_hello(pod))
        # What it says at its beginning may come later than that it is ready.
        while (said := await world.kubectl("logs", "deploy/hello")) != "hello of version 1\n":
            assert said == ""
    assert await world.kubectl("logs", "deployment/hello", "--tail=1") == "hello of version 1\n"
    shown = await world.kubectl("exec", "deploy/hello", "--", "sh", "-c", "echo $HOSTNAME $VERSION")
    assert shown == f"{name} 1\n"
    fed = await world.kubectl("exec", "-i", "deploy/hello", "-c", "app", "--", "cat", stdin="told\n")
    assert fed == "told\n"
    result = await world.kubectl.run("exec", "deploy/none", "--", "true")
    assert result.code == 1 and 'deployments.apps "none" not found' in result.err


def _is_of_hello(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get("app") == "hello" and is_ready(pod)


async def test_input_reaches_the_program_and_so_does_its_end(world: Running) -> None:
    text = "line\n" * 50_000
    assert await world.kubectl("exec", "-i", "web", "--", "cat", stdin=text) == text
    assert (await world.kubectl("exec", "web", "--", "cat")) == ""


async def test_what_cannot_be_executed_is_told(world: Running) -> None:
    result = await world.kubectl.run("exec", "web", "--", "no-such-program")
    assert result.code == 1 and "no-such-program" in result.err and "No such file" in result.err
    result = await world.kubectl.run("exec", "web", "-c", "nobody", "--", "true")
    assert result.code == 1 and "nobody" in result.err
    result = await world.kubectl.run("exec", "absent", "--", "true")
    assert 'pods "absent" not found' in result.err


@pytest.mark.parametrize("kubectl_home", ["kubectl-oldest"], indirect=True)
async def test_a_client_that_speaks_spdy_alone_is_told_what_to_do(world: Running) -> None:
    del world.kubectl.environment["KUBECTL_REMOTE_COMMAND_WEBSOCKETS"]
    told = "this server streams over WebSockets (kubectl 1.31 and later; "
    for verb in (("exec", "web", "--", "true"), ("attach", "web"), ("port-forward", "pod/web", ":1")):
        result = await world.kubectl.run(*verb)
        assert result.code == 1 and told in result.err, (verb, result)


async def test_terminal_is_one(world: Running) -> None:
    # kubectl gives a program a terminal only when it has one itself.
    script = f"{world.kubectl.path} exec -it web -- sh -c 'tty >/dev/null && stty size && echo $TERM'"
    environment = world.kubectl.environment
    terminal = program(
        "script", "-qec", f"stty rows 33 cols 77; {script}", "/dev/null",
        env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with terminal as process, asyncio.timeout(WAIT_S):
        out, _ = await process.communicate()
    assert process.returncode == 0, out
    assert out.decode().split() == ["33", "77", "xterm"]


@BY_THE_NEWEST_ALONE
async def test_python_client_executes_in_the_older_protocol(world: Running) -> None:
    # In a process of its own: the package leaves its sockets to the end of it.
    client = program(sys.executable, "-c", PYTHON_CLIENT, env=world.kubectl.environment, stdout=asyncio.subprocess.PIPE)
    async with client as process, asyncio.timeout(WAIT_S):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"'hello\\n' 'green\\n' 4\n")


async def test_files_are_copied_both_ways(world: Running, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "there").write_bytes(content)
    await world.kubectl("cp", str(tmp_path / "there"), "web:/tmp/copy")
    # Its own, and nobody's else.
    assert not Path("/tmp/copy").exists()  # noqa: S108
    await world.kubectl("cp", "web:/tmp/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


async def test_program_ends_with_its_client_and_with_its_pod(world: Running, tmp_path: Path) -> None:
    for way in ("client", "pod"):
        mark = tmp_path / "marks" / way
        sleeper = await world.kubectl.start("exec", "web", "--", "sh", "-c", f"echo $$ > {mark}; exec sleep 600")
        async with asyncio.timeout(WAIT_S):
            while not (mark.exists() and mark.read_text().strip()):
                await asyncio.sleep(0.01)
        pid = int(mark.read_text())
        if way == "client":
            sleeper.kill()
        else:
            await world.cluster.api.delete(POD, "web", "default", grace_seconds=1)
        async with asyncio.timeout(WAIT_S):
            await sleeper.communicate()
            while Path(f"/proc/{pid}").exists():
                await asyncio.sleep(0.01)


async def test_attach_shows_what_is_written_from_now_on(world: Running) -> None:
    attached = await world.kubectl.start("attach", "web")
    assert attached.stdout is not None
    pod = await world.cluster.api.get(POD, "web", "default")
    url = f"http://{pod['status']['podIP']}:{world.port}"
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
        asked = 0
        reading = asyncio.get_running_loop().create_task(attached.stdout.readline())
        while not reading.done():
            asked += 1
            async with session.get(f"{url}/{asked}"):
                await asyncio.sleep(0.05)
        assert re.fullmatch(rb"asked for /\d+\n", await reading)
    await world.cluster.api.delete(POD, "web", "default", grace_seconds=0)
    async with asyncio.timeout(WAIT_S):
        await attached.communicate()


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a kubectl that may have ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


@BY_THE_NEWEST_ALONE
async def test_port_forward_carries_connections_side_by_side(world: Running) -> None:
    forward = await world.kubectl.start("port-forward", "pod/web", f":{world.port}")
    assert forward.stdout is not None
    async with asyncio.timeout(WAIT_S):
        line = (await forward.stdout.readline()).decode()
    port = int(re.findall(r"127\.0\.0\.1:(\d+)", line)[0])
    body = os.urandom(1_000_000)
    try:
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def ask(number: int) -> None:
                async with session.get(f"/{number}") as response:
                    assert await response.text() == f"/{number}"
                async with session.post("/", data=body) as response:
                    assert await response.read() == body

            await asyncio.gather(*(ask(number) for number in range(8)))
    finally:
        await ended(forward)


@BY_THE_NEWEST_ALONE
async def test_port_forward_to_a_port_where_nobody_listens_says_so(world: Running) -> None:
    forward = await world.kubectl.start("port-forward", "pod/web", ":1")
    assert forward.stdout is not None and forward.stderr is not None
    try:
        async with asyncio.timeout(WAIT_S):
            line = (await forward.stdout.readline()).decode()
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", line)[0])
            with pytest.raises(aiohttp.ClientError):
                async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/"):
                    pass
            told = (await forward.stderr.readline()).decode()
        assert "error forwarding port 1 to pod web" in told and "connection refused" in told
    finally:
        await ended(forward)


async def test_logs_of_another_run_are_found_or_missed_by_name(world: Running) -> None:
    result = await world.kubectl.run("logs", "web", "--previous")
    assert result.code == 1
    assert 'previous terminated container "app" in pod "web" not found' in result.err
    program = "import sys; print('last words', flush=True); sys.exit(3)"
    world.cluster.image(world.directory / "crash", "crash", program)
    await world.cluster.api.create(POD, bare("crash", {"image": "dev.local/crash"}), "default")
    async with asyncio.timeout(WAIT_S):
        await world.cluster.until(POD, lambda pods: any(_restarts(pod) for pod in pods))
    assert await world.kubectl("logs", "crash", "--previous") == "last words\n"
    late = bare("late", {"image": "dev.local/none"})
    await world.cluster.api.create(POD, late, "default")
    async with asyncio.timeout(WAIT_S):
        await world.cluster.until(POD, lambda pods: "ErrImagePull" in str(pods))
    result = await world.kubectl.run("logs", "late")
    assert 'container "app" in pod "late" is waiting to start: ErrImagePull' in result.err


def _restarts(pod: Object) -> int:
    found: int = ((pod.get("status") or {}).get("containerStatuses") or [{}])[0].get("restartCount", 0)
    return found


async def test_logs_since_tail_and_timestamps_hold(world: Running) -> None:
    for word in "abc":
        await world.kubectl("exec", "web", "--", "python3", "-c", ASK.replace("WORD", word))
    assert await world.kubectl("logs", "web") == "asked for /a\nasked for /b\nasked for /c\n"
    assert await world.kubectl("logs", "web", "--tail=1") == "asked for /c\n"
    assert await world.kubectl("logs", "web", "--since=1h", "--limit-bytes=5") == "asked"
    assert await world.kubectl("logs", "web", "--since-time=2199-01-01T00:00:00Z") == ""
    stamped = (await world.kubectl("logs", "web", "--timestamps", "--tail=1")).split(" ", 1)
    assert stamped[0].endswith("Z") and stamped[1] == "asked for /c\n"
