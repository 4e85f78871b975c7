"""The embedded API and kubectl on it: one of its own for a test, or one for a module and a namespace for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.kube.resources import NAMESPACE
from tests.component.embedded_api import Served, served
from tests.peers.command_line import CommandLine

_NUMBERS = count(1)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """An API for a module, whose tests run in the module's event loop."""
    async with served(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module", params=["kubectl-oldest", "kubectl-newest"])
def kubectl_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a version, named like it: there kubectl keeps what it has discovered."""
    home: Path = tmp_path_factory.mktemp("home") / request.param
    home.mkdir()
    return home


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(shared_cluster: Served) -> str:
    """A namespace of the test's own."""
    name = f"space-{next(_NUMBERS)}"
    await shared_cluster.api.in_process().create(NAMESPACE, {"metadata": {"name": name}})
    return name


@pytest.fixture
def kubectl(shared_cluster: Served, kubectl_home: Path, namespace: str) -> CommandLine:
    """One of the versions that `tools/kubectl` builds, in the test's namespace."""
    server = shared_cluster.server
    kubeconfig = kubectl_home / f"{namespace}.kubeconfig"
    write_kubeconfig(kubeconfig, server.url, server.credentials.ca_pem, server.credentials.token, namespace)
    return CommandLine(kubectl_home.name, kubeconfig, kubectl_home)
