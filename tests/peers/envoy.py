"""A real Envoy under test: started on an ADS bootstrap, asked over its admin port, stopped at the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.peers.tools import tool

STARTUP_S = 60.0


def _binary() -> str:
    return os.environ.get("EVENTMESH_ENVOY") or tool("envoy")


class Envoy:
    """One running Envoy. Addresses are read from it, since every port is picked by the system."""

    def __init__(self, admin: str, http: aiohttp.ClientSession, log: Path) -> None:
        self._admin = admin
        self._http = http
        self._log = log

    async def admin(self, path: str) -> Any:
        """Return the JSON of an admin endpoint."""
        return json.loads(await self.page(path))

    async def page(self, path: str) -> str:
        """Return the text of an admin endpoint."""
        async with self._http.get(f"http://{self._admin}{path}") as response:
            return await response.text()

    async def port(self, listener: str) -> int:
        """Return the port `listener` is bound to, as soon as it is there."""
        async with asyncio.timeout(STARTUP_S):
            while True:
                listed = await self.admin("/listeners?format=json")
                for status in listed.get("listener_statuses", []):
                    if status["name"] == listener:
                        port: int = status["local_address"]["socket_address"]["port_value"]
                        return port
                await asyncio.sleep(0.01)

    async def counter(self, name: str) -> int:
        """Return one counter."""
        stats = await self.admin(f"/stats?format=json&filter=^{name}$")
        return next((int(s["value"]) for s in stats["stats"] if s.get("name") == name), 0)


def bootstrap(ads_port: int, api_type: str) -> dict[str, Any]:
    """Return a bootstrap with nothing but the way to control."""
    return {
        "node": {"id": "envoy-1", "cluster": "gateway"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "control",
                    "type": "STATIC",
                    "connect_timeout": "10s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "control",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {
                                        "endpoint": {
                                            "address": {
                                                "socket_address": {"address": "127.0.0.1", "port_value": ads_port}
                                            }
                                        }
                                    }
                                ]
                            }
                        ],
                    },
                }
            ]
        },
    }


def running_envoy(directory: Path, ads_port: int, api_type: str) -> AbstractAsyncContextManager[Envoy]:
    """Start Envoy with nothing but the way to control; stop it at the end."""
    config = directory / "envoy.json"
    config.write_text(json.dumps(bootstrap(ads_port, api_type)))
    return envoy_on(config)


@asynccontextmanager
async def envoy_on(config: Path) -> AsyncIterator[Envoy]:
    """Start Envoy on a bootstrap and yield it once its admin port answers; stop it at the end."""
    directory = config.parent
    address, log = directory / "admin", directory / "envoy.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(_binary(), "-c", str(config), "--admin-address-path", str(address)),
            *("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"),
            stdout=out,
            stderr=out,
        )
    try:
        async with asyncio.timeout(STARTUP_S):
            while not (address.exists() and address.read_text().strip()):
                if process.returncode is not None:
                    raise RuntimeError(f"Envoy ended with {process.returncode}:\n{log.read_text()}")
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as http:
            yield Envoy(address.read_text().strip(), http, log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
