"""An embedded API of its own for each test, and kubectl on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.component.embedded_api import Served, served
from tests.peers.command_line import CommandLine


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture
def kubectl(cluster: Served, tmp_path: Path) -> CommandLine:
    return CommandLine("kubectl", cluster.kubeconfig, tmp_path)
