"""Component tests run on real sockets and on uvloop, as the product does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop

from eventmesh.kube.config import load_config
from tests.component.browser import Browser
from tests.component.embedded_api import served


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Browser]:
    async with served(tmp_path) as running:
        config = await load_config(running.kubeconfig)
        assert config.token is not None and config.tls is not None
        headers = {"Authorization": f"Bearer {config.token()}"}
        connector = aiohttp.TCPConnector(ssl=config.tls)
        async with aiohttp.ClientSession(config.server, headers=headers, connector=connector) as session:
            yield Browser(session, running.api)
