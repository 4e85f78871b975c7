"""A process that serves functions: the mesh's own engine, so that HTTP/1.1, HTTP/2 and Bolt are spoken on one port."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UsageError
from eventmesh.dataplane.plane import DataPlane
from eventmesh.dataplane.process import Termination, run
from eventmesh.functions.calling import Functions
from eventmesh.functions.declared import Declared
from eventmesh.functions.loading import load
from eventmesh.model.listener import Listener
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, RouteTable, Serve, VirtualHost
from eventmesh.model.snapshot import Snapshot

DEFAULT_PORT: Final = 8080
"""Where Knative's containers listen when nobody says otherwise."""

DRAIN_S: Final = 25.0
"""Longest time that calls get to end after SIGTERM: a little less than the 30 s after which Kubernetes kills."""

MAX_BODY_BYTES: Final = 16 * 1_048_576
"""Longest body of a request; a longer one is answered 413. Sixteen times what a broker takes: also a picture."""

_NAME: Final = "functions"

_log = log.get(_NAME)


def port_of_environment() -> int:
    """Return the port that `$PORT` names, as Knative tells it. Raises UsageError."""
    said = os.environ.get("PORT", str(DEFAULT_PORT))
    if not said.isdecimal() or not 0 <= int(said) <= 65535:
        raise UsageError(f"PORT: {said!r} is not a port; say a number up to 65535")
    return int(said)


def serve(what: str, address: str) -> int:
    """Serve the functions of `what` (`loading.load`) at `address` until SIGTERM; return the exit code."""
    # What a function prints is read while it runs, by whoever follows its log.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    declared = load(what)
    return run(lambda: _serve(declared, address))


async def _serve(declared: Sequence[Declared], address: str) -> int:
    termination = Termination()
    termination.install()
    functions = Functions(declared)
    plane = DataPlane(SystemClock(), {_NAME: functions}, own=_at(address))
    try:
        await plane.start()
        plane.go_live()
        _log.info("serving", **plane.addresses(), names=", ".join(one.name for one in declared))
        await termination.wanted()
        await termination.unless_at_once(_drain(plane))
    finally:
        functions.close()
        await plane.stop()
    return 0


async def _drain(plane: DataPlane) -> None:
    await plane.drain(DRAIN_S)


def _at(address: str) -> Snapshot:
    everything = Route(RouteMatch("/"), Serve(_NAME, max_body_bytes=MAX_BODY_BYTES), name=_NAME)
    return Snapshot(
        version="",
        listeners=(Listener(_NAME, address, _NAME),),
        route_tables=(RouteTable(_NAME, (VirtualHost(_NAME, ("*",), (everything,)),)),),
    )
