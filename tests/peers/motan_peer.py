"""The Java Motan service and caller (tests/peers/motan), which speak Motan 2, as processes."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.peers.sofabolt import LineProcess, java

JAR = Path(__file__).parent / "motan" / "target" / "motan-peer-1.jar"
DESK = "eventmesh.peers.Desk"
"""The interface that they agree on."""


def service(port: int, group: str) -> AbstractAsyncContextManager[LineProcess]:
    """Run the service of a group on PORT."""
    return java(JAR, "MotanServer", str(port), group)


def caller(address: str, group: str, *, timeout_ms: int = 20_000) -> AbstractAsyncContextManager[LineProcess]:
    """Run a caller of a group that dials `address`."""
    return java(JAR, "MotanCaller", address, group, str(timeout_ms))
