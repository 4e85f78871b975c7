from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.controllers.serving.world import World


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()
