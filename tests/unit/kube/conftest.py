from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventmesh.cluster.api.embedded import EmbeddedApi
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock
from tests.unit.kube.faulty_api import FaultyApi


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def cluster(tmp_path: Path, clock: ManualClock) -> AsyncIterator[EmbeddedApi]:
    async with embedded(tmp_path, clock) as running:
        yield running


@pytest.fixture
def api(cluster: EmbeddedApi) -> FaultyApi:
    return FaultyApi(cluster.in_process())
