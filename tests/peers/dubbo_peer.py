"""The Java Dubbo provider and consumer (tests/peers/dubbo) as processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.sofabolt import LineProcess, java

DUBBO = Path(__file__).parent / "dubbo" / "target"
JAR = DUBBO / "dubbo-peer-1.jar"


@asynccontextmanager
async def provider(port: int, group: str) -> AsyncIterator[LineProcess]:
    """Run the provider of a group on 127.0.0.1:PORT."""
    async with java(JAR, "DubboServer", str(port), group) as running:
        yield running


@asynccontextmanager
async def consumer(address: str, group: str, *, timeout_ms: int = 20_000) -> AsyncIterator[LineProcess]:
    """Run a consumer of a group that dials `address`."""
    async with java(JAR, "DubboCaller", address, group, str(timeout_ms)) as running:
        yield running


@asynccontextmanager
async def triple_provider(port: int, group: str) -> AsyncIterator[LineProcess]:
    """Run the Triple provider of a group on 127.0.0.1:PORT."""
    async with java(JAR, "TripleServer", str(port), group) as running:
        yield running


@asynccontextmanager
async def triple_consumer(address: str, group: str) -> AsyncIterator[LineProcess]:
    """Run a Triple consumer of a group that dials `address`."""
    async with java(JAR, "TripleCaller", address, group) as running:
        yield running


@asynccontextmanager
async def shop(port: int) -> AsyncIterator[LineProcess]:
    """Run the provider of Shop on 127.0.0.1:PORT."""
    async with java(JAR, "ShopServer", str(port)) as running:
        yield running
