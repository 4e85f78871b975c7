"""One of several processes that serve the same listeners: `python -m eventmesh.dataplane.worker`.

Its supervisor (`dataplane.workers`) gives it every configuration, with the sockets that it is to serve.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eventmesh.base import log
from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import MeshError
from eventmesh.dataplane.plane import DataPlane
from eventmesh.dataplane.process import run
from eventmesh.dataplane.worker_messages import Applied, Apply, AskFigures, Drain, decode, encode
from eventmesh.transport.channel import Channel, ChannelClosed
from eventmesh.transport.inherited import Inherited

_log = log.get("dataplane.worker")


@dataclass(frozen=True, slots=True)
class Terms:
    """What all workers of a supervisor are started with."""

    limits: int
    """Descriptor of the memory in which the state of rate limits lies."""
    longest_drain_s: float
    """How long a worker that ends may take to finish what is in flight."""
    resource: Mapping[str, str]
    """The attributes of the process in traces."""

    def command(self, channel: socket.socket) -> list[str]:
        """Return the command line of a worker that inherits `channel`."""
        flags = (
            ("--channel", str(channel.fileno())),
            ("--limits", str(self.limits)),
            ("--drain-time-s", str(self.longest_drain_s)),
            ("--resource", json.dumps(dict(self.resource))),
        )
        return [sys.executable, "-m", "eventmesh.dataplane.worker", *(word for flag in flags for word in flag)]


def main(words: Sequence[str] | None = None) -> int:
    """Serve until told to drain, or until the supervisor is gone."""
    gc.disable()  # `run` turns it on again
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--limits", type=int, required=True)
    parser.add_argument("--resource", type=json.loads, required=True)
    parser.add_argument("--drain-time-s", type=float, required=True)
    flags = parser.parse_args(words)
    log.configure()
    limits = memoryview(mmap.mmap(flags.limits, 0)).cast("Q")
    terms = Terms(flags.limits, flags.drain_time_s, flags.resource)
    return run(lambda: _work(socket.socket(fileno=flags.channel), limits, terms))


async def _work(end: socket.socket, limits: memoryview, terms: Terms) -> int:
    # A terminal's Ctrl-C reaches all processes at once; when and how to end is the supervisor's to say.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    inherited = Inherited()
    plane = DataPlane(SystemClock(), {}, inherited=inherited, resource=terms.resource)
    plane.engine.share_limits(limits)
    worker = _Worker(plane, inherited, Channel(end), terms.longest_drain_s)
    try:
        await worker.obey()
        await worker.drain()
    finally:
        await worker.stop()
    return 0


class _Worker:
    def __init__(self, plane: DataPlane, inherited: Inherited, channel: Channel, longest_drain_s: float) -> None:
        self._plane = plane
        self._inherited = inherited
        self._channel = channel
        self._longest_drain_s = longest_drain_s

    async def obey(self) -> None:
        """Do what the supervisor says until that is to drain, or until there is no supervisor."""
        try:
            while True:
                data, sockets = await self._channel.receive()
                match decode(data):
                    case Apply() as wanted:
                        await self._channel.send(encode(await self._apply(wanted, sockets)))
                    case AskFigures():
                        await self._channel.send(encode(await self._plane.figures()))
                    case Drain(longest_s):
                        self._longest_drain_s = longest_s
                        return
        except ChannelClosed:
            _log.error("the supervisor is gone")

    async def _apply(self, wanted: Apply, sockets: list[socket.socket]) -> Applied:
        self._inherited.replace(sockets)
        try:
            await self._plane.apply(wanted.snapshot)
        except MeshError as error:
            return Applied(wanted.number, str(error))
        self._plane.go_live()
        return Applied(wanted.number)

    async def drain(self) -> None:
        await self._plane.drain(self._longest_drain_s)

    async def stop(self) -> None:
        await self._plane.stop()
        self._channel.close()


if __name__ == "__main__":
    sys.exit(main())
