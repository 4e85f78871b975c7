"""Readiness of pods without a sidecar: the runtime asks them itself, at the pod's address in the host's network.

The pace and the rules are the sidecar's own (`eventmesh.sidecar.readiness`); only who asks differs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Object
from eventmesh.sidecar.readiness import Probe, ProbeKind, Prober, parse_probe


def host_prober(spec: Object, address: str, port: int, clock: Clock, tell: Callable[[bool], None]) -> Prober:
    """Return what asks `address` as the probe `spec` says, its own port before `port`; raises ConfigError."""
    probe = parse_probe(json.dumps(spec), "readinessProbe")

    async def attempt() -> bool:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(probe.timeout_s):
                return await _answers(probe, address, probe.port or port)
        return False

    return Prober(probe, attempt, clock, tell)


async def _answers(probe: Probe, address: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        if probe.kind is ProbeKind.TCP:
            return True
        headers = {"host": f"{address}:{port}", "user-agent": "kube-probe/1.32", **dict(probe.headers)}
        lines = [f"GET {probe.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1", "replace"))
        status = (await reader.readline()).split(b" ", 2)[1:2]
        # Kubernetes: any answer from 200 to 399 is a success.
        return len(status) == 1 and status[0].isdigit() and 200 <= int(status[0]) < 400
    finally:
        writer.close()
