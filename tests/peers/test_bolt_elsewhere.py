"""Bolt as others than Java write it: npm's sofa-bolt-node and PyPI's anthunder, each as caller and as service."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.component.processes import DataPlaneProcess, data_plane
from tests.peers.sofabolt import LineProcess, by_lines
from tests.peers.tools import TOOLS, tool

pytestmark = pytest.mark.peer

SERVICE = "com.shop.Echo:1.0"
PROGRAMS = Path(__file__).parent / "bolt"
LONG = "x" * 100_000
BODIES = {
    "node": [json.dumps(["h\u00e9 \U0001f600", 1, -2.5, True, None, {"a": [1, {"b": "c"}]}]), json.dumps([LONG])],
    "anthunder": ["h\u00e9 \U0001f600", LONG],
}


@asynccontextmanager
async def peer(kind: str, *arguments: str) -> AsyncIterator[LineProcess]:
    """Run the service (`serve PORT`) or the caller (`call HOST:PORT SERVICE`) of one implementation."""
    there = TOOLS.parent / ("sofa-bolt-node" if kind == "node" else "anthunder")
    assert there.is_dir(), f"{there} is not there; run `make peers`"
    if kind == "node":
        command, env = (tool("node"), str(PROGRAMS / "echo.js")), {"NODE_PATH": str(there / "node_modules")}
    else:
        # Not what the tests themselves are run with.
        command, env = (str(there / "bin" / "python"), str(PROGRAMS / "echo.py")), {"PYTHONPATH": ""}
    async with by_lines(*command, *arguments, env={**os.environ, **env}) as running:
        yield running


def bootstrap(path: Path, **ports: int) -> Path:
    """Write a bootstrap with a listener for each name, that leads to the Bolt server at its port."""

    def address(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def listener(name: str) -> dict[str, Any]:
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": name}}]
        proxy = {
            "@type": "type.googleapis.com/eventmesh.extensions.filters.network.bolt_proxy.v3.BoltProxy",
            "stat_prefix": name,
            "route_config": {"virtual_hosts": [{"name": "echo", "domains": [SERVICE], "routes": routes}]},
        }
        filters = [{"name": "eventmesh.bolt_proxy", "typed_config": proxy}]
        return {"name": name, "address": address(0), "filter_chains": [{"filters": filters}]}

    def cluster(name: str) -> dict[str, Any]:
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(ports[name])}}]}]
        assignment = {"cluster_name": name, "endpoints": endpoints}
        metadata = {"filter_metadata": {"eventmesh": {"protocol": "bolt"}}}
        return {"name": name, "type": "STATIC", "load_assignment": assignment, "metadata": metadata}

    resources = {"listeners": [listener(name) for name in ports], "clusters": [cluster(name) for name in ports]}
    tree = {"node": {"id": "peer"}, "admin": {"address": address(0)}, "static_resources": resources}
    path.write_text(json.dumps(tree))
    return path


def port_of(sidecar: DataPlaneProcess, listener: str) -> int:
    return int(sidecar.addresses[listener].rpartition(":")[2])


@asynccontextmanager
async def ways(directory: Path, port: int) -> AsyncIterator[dict[str, str]]:
    """Give where to call a service on `port`: itself, through a sidecar at either side, and through both."""
    async with data_plane("sidecar", bootstrap(directory / "server.json", service=port)) as server:
        inner = port_of(server, "service")
        near = bootstrap(directory / "client.json", alone=port, both=inner)
        async with data_plane("sidecar", near) as client:
            ends = {"none": port, "server": inner, "client": port_of(client, "alone"), "both": port_of(client, "both")}
            yield {way: f"127.0.0.1:{end}" for way, end in ends.items()}


@pytest.mark.parametrize("kind", ["node", "anthunder"])
async def test_callers_hear_the_same_through_no_one_and_two_sidecars(
    kind: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with peer(kind, "serve", str(unused_tcp_port)), ways(tmp_path, unused_tcp_port) as addresses:
        heard = {way: await conversation(kind, address) for way, address in addresses.items()}
    *bodies, failure, many, beat = heard["none"]
    assert (bodies, many, beat) == ([f"OK {body}" for body in respelt(kind)], "OK 200/200", "OK")
    assert failure.startswith("ERROR")
    assert all(answers == heard["none"] for answers in heard.values()), heard


def respelt(kind: str) -> list[str]:
    """Return the bodies as the caller writes them when they have come back."""
    if kind == "anthunder":
        return BODIES[kind]
    return [json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")) for body in BODIES[kind]]


async def conversation(kind: str, address: str) -> list[str]:
    """Return what a caller of `address` hears."""
    async with peer(kind, "call", address, SERVICE) as caller:
        lines = [*(f"echo {body}" for body in BODIES[kind]), "fail on purpose", "many 200", "beat"]
        return [await caller.ask(line) for line in lines]
