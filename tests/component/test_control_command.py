"""`eventmesh control` as a process of its own, against an API over TLS."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.cli.main import main
from eventmesh.kube.resources import KINGRESS
from eventmesh.kube.status import is_ready
from eventmesh.xds.bootstrap import load_bootstrap
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import connected
from tests.component.embedded_api import served
from tests.component.processes import START_TIMEOUT_S, program
from tests.unit.xds.control.views import ingress, rule
from tests.waiting import WAIT_S

RDS = ResourceType.ROUTE


@asynccontextmanager
async def control(*flags: str, files: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run the command, with a soft limit of `files` if there is one; yield it with the port of its ADS."""
    limited = ("prlimit", f"--nofile={files}:") if files else ()
    process = await asyncio.create_subprocess_exec(
        *limited,
        *(sys.executable, "-m", "eventmesh.cli.main", "control"),
        *("--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", *flags),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            line = (await process.stdout.readline()).decode()
        yield process, int(line.rpartition(":")[2])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_command_serves_what_the_api_holds_and_ends_on_sigterm(tmp_path: Path) -> None:
    async with served(tmp_path) as api, control("--kubeconfig", str(api.kubeconfig)) as (process, port):
        client = api.api.in_process()
        body = ingress("a", rule("a.test"))
        body["metadata"]["namespace"] = "default"
        body["spec"]["rules"][0]["http"]["paths"][0]["splits"][0]["serviceNamespace"] = "default"
        async with connected(port, "gateway", "public", "local") as gateway:
            await gateway.until(lambda: "public" in gateway.held[RDS])
            created = {"apiVersion": KINGRESS.api_version, "kind": KINGRESS.kind, **body}
            await client.create(KINGRESS, created, "default")
            await gateway.until(lambda: b"a.test" in gateway.held[RDS]["public"])
            stored = created
            async with asyncio.timeout(WAIT_S):
                async for event in client.watch(KINGRESS, "default"):
                    stored = event.object
                    if is_ready(stored):
                        break
            assert is_ready(stored)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            assert await process.wait() == 0


async def test_it_holds_as_many_clients_as_the_machine_lets_it(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with served(tmp_path) as api, control("--kubeconfig", str(api.kubeconfig), files=64) as (process, _):
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (most, most)


async def test_one_whose_api_never_answers_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def answer_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(answer_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "silent", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "nobody"}}],
        "current-context": "silent",
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    command = (sys.executable, "-m", "eventmesh.cli.main", "control", "--kubeconfig", str(kubeconfig))
    async with server, program(*command, "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0") as process:
        async with asyncio.timeout(START_TIMEOUT_S):
            await asked.wait()
            process.terminate()
            assert await process.wait() == 0


@pytest.mark.parametrize("role", ["gateway", "activator", "sidecar", "envoy"])
def test_a_printed_bootstrap_is_one_our_data_planes_take(
    role: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["control", "bootstrap", "--for", role, "--id", "me", "--ads", "127.0.0.1:18000"]) == 0
    file = tmp_path / "bootstrap.json"
    file.write_text(capsys.readouterr().out)
    read = load_bootstrap(file)
    assert read.node.id == "me"
    assert read.node.metadata["role"] == ("gateway" if role == "envoy" else role)
    assert read.ads is not None
    assert (read.ads.cluster, read.ads.authority) == ("control", "127.0.0.1:18000")


def test_the_grpc_bootstrap_names_control_and_the_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "bootstrap", "--for", "grpc", "--id", "app-1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["xds_servers"][0]["server_uri"] == "127.0.0.1:18000"
    assert printed["node"] == {"id": "app-1"}


def test_control_by_name_is_resolved() -> None:
    made = client_bootstrap("envoy", "e", "control.eventmesh-system:18000", "127.0.0.1:0")
    assert made["static_resources"]["clusters"][0]["type"] == "STRICT_DNS"


@pytest.mark.parametrize("address", ["18000", "host:", "host:x", "host:70000", ":1"])
def test_a_bad_address_is_named_with_its_flag(address: str) -> None:
    with pytest.raises(UsageError, match="--ads"):
        client_bootstrap("gateway", "g", address, "127.0.0.1:9901")
