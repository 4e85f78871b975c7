"""The embedded API for tests: without a port, or with one and a client that goes over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eventmesh.base.clock import Clock, SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.cluster.store.store import Store
from eventmesh.kube.client import HttpApi
from eventmesh.kube.config import load_config


@asynccontextmanager
async def embedded(directory: Path, clock: Clock | None = None) -> AsyncIterator[EmbeddedApi]:
    """Run the API in this process, on `directory`."""
    clock = clock or SystemClock()
    store = Store(directory / "store", clock)
    api = EmbeddedApi(store, clock)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()
        store.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A running server, and where its kubeconfig is."""

    api: EmbeddedApi
    server: ApiServer
    kubeconfig: Path


@asynccontextmanager
async def served(directory: Path, port: int = 0) -> AsyncIterator[Served]:
    """Run the API on a port, a free one unless it is told."""
    async with embedded(directory) as api:
        server = ApiServer(api, ("127.0.0.1", port), directory / "tls")
        await server.start()
        kubeconfig = directory / "kubeconfig"
        known = server.credentials
        write_kubeconfig(kubeconfig, server.url, known.ca_pem, known.token, client=known.client)
        try:
            yield Served(api, server, kubeconfig)
        finally:
            await server.stop()


@asynccontextmanager
async def http_client(kubeconfig: Path) -> AsyncIterator[HttpApi]:
    """Connect as the user of `kubeconfig`."""
    client = HttpApi(await load_config(kubeconfig))
    try:
        yield client
    finally:
        await client.close()
