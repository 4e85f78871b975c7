"""One of several processes that serve the same listeners: `python -m eventmesh.dataplane.worker`.

Its supervisor (`dataplane.workers`) gives it every configuration, with the sockets that it is to serve.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping, Sequence

from eventmesh.base import log
from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup, first_of
from eventmesh.dataplane.plane import DataPlane
from eventmesh.dataplane.process import run
from eventmesh.dataplane.shared_limits import SharedLimits
from eventmesh.dataplane.worker_messages import (
    Applied,
    Apply,
    AskFigures,
    AskSeen,
    AskStatuses,
    Drain,
    Leave,
    Look,
    LookAway,
    Message,
    Moved,
    Seen,
    Statuses,
    decode,
    encode,
)
from eventmesh.transport.channel import Channel, ChannelClosed
from eventmesh.transport.inherited import Inherited

_log = log.get("dataplane.worker")


@frozen
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
    terms = Terms(flags.limits, flags.drain_time_s, flags.resource)
    return run(lambda: _work(socket.socket(fileno=flags.channel), terms))


async def _work(end: socket.socket, terms: Terms) -> int:
    # A terminal's Ctrl-C reaches all processes at once; when and how to end is the supervisor's to say.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    inherited = Inherited()
    plane = DataPlane(SystemClock(), {}, inherited=inherited, resource=terms.resource)
    plane.engine.share_limits(SharedLimits(terms.limits).memory())
    worker = _Worker(plane, inherited, Channel(end), terms.longest_drain_s)
    try:
        await worker.work()
    finally:
        await worker.stop()
    return 0


class _Worker:
    def __init__(self, plane: DataPlane, inherited: Inherited, channel: Channel, longest_drain_s: float) -> None:
        self._plane = plane
        self._inherited = inherited
        self._channel = channel
        self._longest_drain_s = longest_drain_s
        self._tasks = TaskGroup("worker")
        self._is_ending = False
        self._has_successor = True
        self._ended = asyncio.Event()

    async def work(self) -> None:
        """Do what the supervisor says until that was to end and all is finished; without a supervisor, finish."""
        try:
            await first_of(self._obey(), self._ended.wait())
        except ChannelClosed:
            _log.error("the supervisor is gone")
            self._has_successor = False
            self._begin_to_end(self._plane.drain(self._longest_drain_s))
            await self._ended.wait()

    async def _obey(self) -> None:
        while True:
            data, sockets = await self._channel.receive()
            match decode(data):
                case Apply() as wanted:
                    await self._say(await self._apply(wanted, sockets))
                case AskFigures():
                    await self._say(await self._plane.figures())
                case AskStatuses():
                    await self._say(Statuses(self._plane.engine.cluster_statuses()))
                case AskSeen():
                    await self._say(Seen(*self._plane.engine.take_tap()))
                case Look(terms):
                    self._plane.engine.tap(terms)
                case LookAway():
                    self._plane.engine.untap()
                case Moved(address):
                    for connection in sockets:
                        await self._plane.adopt(address, connection)
                case Leave(longest_s):
                    self._begin_to_end(self._plane.hand_over(self._give, longest_s))
                case Drain(longest_s):
                    self._has_successor = False
                    self._begin_to_end(self._plane.drain(longest_s))

    async def _say(self, message: Message) -> None:
        await self._channel.send(encode(message))

    async def _apply(self, wanted: Apply, sockets: list[socket.socket]) -> Applied:
        self._inherited.replace(sockets)
        try:
            await self._plane.apply(wanted.snapshot)
        except MeshError as error:
            return Applied(str(error))
        self._plane.go_live()
        return Applied()

    async def _give(self, address: str, connection: socket.socket) -> None:
        if not self._has_successor:
            raise ChannelClosed("nobody is there to take connections")
        await self._channel.send(encode(Moved(address)), [connection])

    def _begin_to_end(self, end: Coroutine[object, object, object]) -> None:
        if self._is_ending:
            end.close()
        else:
            self._is_ending = True
            self._tasks.spawn("end", self._end(end))

    async def _end(self, end: Coroutine[object, object, object]) -> None:
        try:
            await end
            # The last word: what was counted since somebody asked.
            await self._say(await self._plane.figures())
        except ChannelClosed:
            _log.error("the supervisor is gone")
        finally:
            self._ended.set()

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._plane.stop()
        self._channel.close()


if __name__ == "__main__":
    sys.exit(main())
