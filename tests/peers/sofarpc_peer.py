"""The Java SOFARPC provider and consumer (tests/peers/sofarpc) as processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.sofabolt import LineProcess, java

JAR = Path(__file__).parent / "sofarpc" / "target" / "sofarpc-peer-1.jar"


@asynccontextmanager
async def shop(port: int) -> AsyncIterator[LineProcess]:
    """Run the provider of Shop on 127.0.0.1:PORT."""
    async with java(JAR, "SofaServer", str(port)) as running:
        yield running


@asynccontextmanager
async def shopper(address: str) -> AsyncIterator[LineProcess]:
    """Run a consumer of Shop that dials `address`."""
    async with java(JAR, "SofaCaller", address) as running:
        yield running
