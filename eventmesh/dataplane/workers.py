"""Several processes that serve the same listeners, kept alive and told every configuration by this one.

A configuration is in force when every worker has it. A worker that dies takes its own connections with it and nothing
else: its sockets are held here, and its successor begins with the configuration in force.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.figures import Figures, outlasting, total
from eventmesh.dataplane.shares import share_of
from eventmesh.dataplane.worker import Terms
from eventmesh.dataplane.worker_messages import Applied, Apply, AskFigures, Drain, Message, decode, encode
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.channel import MAX_SOCKETS, Channel, ChannelClosed
from eventmesh.transport.socket_sets import Prepared, SocketSets

_log = log.get("dataplane.workers")

MAX_WORKERS: Final = 128
"""Each is a process of some 30 MiB with a connection of its own to every endpoint; beyond the machine's processors more
of them only cost."""

RESTART_FIRST_S: Final = 0.1
RESTART_CAP_S: Final = 10.0
SOUND_AFTER_S: Final = 10.0
"""A worker that lived for so long is replaced at once when it dies; one that dies sooner, after a wait that grows."""

MAX_SHARED_LIMITS: Final = 65_536
"""Rate limits that workers have in common: a megabyte, of which only what is used is touched. Each worker keeps those
beyond for itself."""

FIGURES_PATIENCE_S: Final = 2.0
"""A worker that does not say within this what it has counted is told by what it said last."""


class _Worker:
    """One process and the conversation with it. Questions are answered in the order they are asked in."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.process = process
        self._channel = channel
        self._asked: deque[asyncio.Future[Message]] = deque()
        self.figures: Figures | None = None
        """What it said last."""

    @classmethod
    async def start(cls, terms: Terms) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *terms.command(theirs),
                    pass_fds=(theirs.fileno(), terms.limits),
                    stdin=asyncio.subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, Channel(ours))

    async def ask(self, question: Message, sockets: Iterable[socket.socket] = ()) -> Message:
        """Return the answer. Raises ChannelClosed when the worker dies first."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        try:
            await self._channel.send(encode(question), list(sockets))
        except ChannelClosed:
            answer.cancel()
            raise
        return await answer

    async def tell(self, order: Message) -> None:
        await self._channel.send(encode(order))

    async def listen(self) -> None:
        """Take in answers until the worker is gone."""
        try:
            while True:
                data, _ = await self._channel.receive()
                answer = self._asked.popleft()
                if not answer.done():
                    answer.set_result(decode(data))
        except ChannelClosed as gone:
            for answer in self._asked:
                if not answer.done():
                    answer.set_exception(gone)
            self._asked.clear()
        finally:
            self._channel.close()


class Workers:
    """`count` workers. Must be made in a running event loop."""

    def __init__(
        self, count: int, clock: Clock, longest_drain_s: float, resource: Mapping[str, str] | None = None
    ) -> None:
        """`longest_drain_s` is how long a worker that ends may take to finish what is in flight; `resource` are the
        attributes of the process in traces.
        """
        self._clock = clock
        self._count = count
        self._sockets = SocketSets(count)
        # The state of every rate limit, which all workers map.
        limits = os.memfd_create("eventmesh-limits")
        os.ftruncate(limits, MAX_SHARED_LIMITS * 16)
        self._terms = Terms(limits, longest_drain_s, resource or {})
        self._living: dict[int, _Worker] = {}
        self._retired = Figures(b'{"counters": [], "gauges": [], "histograms": []}')
        self._tasks = TaskGroup("workers")
        # Held while a configuration goes round, and while a new worker is brought up to the one in force.
        self._changing = asyncio.Lock()
        self._number = 0
        self._apply: Apply | None = None
        self._is_ending = False
        self.restarts = 0
        """Workers that died and were replaced."""
        self.snapshot = Snapshot(version="")
        """The configuration in force."""

    async def start(self) -> None:
        """Start every worker. They serve nothing before `apply`. Raises OSError when one cannot be started."""
        for place in range(self._count):
            worker = await _Worker.start(self._terms)
            hearing = self._begin(place, worker)
            self._tasks.spawn(f"keep-{place}", self._keep(place, worker, hearing))

    def _begin(self, place: int, worker: _Worker) -> asyncio.Task[None]:
        self._living[place] = worker
        return self._tasks.spawn(f"hear-{place}", worker.listen())

    async def _keep(self, place: int, worker: _Worker, hearing: asyncio.Task[None]) -> None:
        """Replace the worker whenever it dies."""
        backoff = Backoff(RESTART_FIRST_S, RESTART_CAP_S)
        while True:
            begun = self._clock.monotonic()
            code = await worker.process.wait()
            await asyncio.wait([hearing])
            del self._living[place]
            if worker.figures is not None:
                self._retired = total([self._retired, outlasting(worker.figures)])
            if self._is_ending:
                return
            self.restarts += 1
            _log.error("a worker ended", worker=place, pid=worker.process.pid, code=code)
            if self._clock.monotonic() - begun >= SOUND_AFTER_S:
                backoff.reset()
            else:
                await self._clock.sleep(backoff.next_s())
            worker = await self._start_again(backoff)
            hearing = self._begin(place, worker)
            self._tasks.spawn(f"introduce-{place}", self._introduce(place, worker))

    async def _start_again(self, backoff: Backoff) -> _Worker:
        while True:
            try:
                return await _Worker.start(self._terms)
            except OSError as error:
                wait_s = backoff.next_s()
                _log.error("a worker cannot be started", why=str(error), retry_s=round(wait_s, 2))
                await self._clock.sleep(wait_s)

    async def _introduce(self, place: int, worker: _Worker) -> None:
        """Bring a new worker up to the configuration in force."""
        async with self._changing:
            if self._apply is not None:
                await self._offer(place, worker, self._apply, self._sockets.current)

    async def apply(self, snapshot: Snapshot) -> None:
        """Return when every worker has put `snapshot` into force.

        Raises ConfigError or UnavailableError when an address is taken or a worker refuses it; then the former one is
        in force everywhere.
        """
        async with self._changing:
            prepared = self._sockets.prepare(snapshot.listeners)
            try:
                if len(prepared.sets) > MAX_SOCKETS:
                    problem = f"{len(prepared.sets)} are more than {MAX_SOCKETS}, the most that workers can be handed"
                    raise ConfigError("listeners", problem)
                shared = share_of(dataclasses.replace(snapshot, listeners=prepared.listeners), self._count)
                self._number += 1
                wanted = Apply(self._number, shared)
                await self._go_round(wanted, prepared)
            except BaseException:
                self._sockets.abandon(prepared)
                raise
            self._sockets.commit(prepared)
            self._apply, self.snapshot = wanted, snapshot

    async def _go_round(self, wanted: Apply, prepared: Prepared) -> None:
        # One first: what a worker refuses the others do not even see.
        offered: list[int] = []
        answered = False
        for place, worker in sorted(self._living.items()):
            offered.append(place)
            refusal = await self._offer(place, worker, wanted, prepared)
            if refusal:
                await self._restore(offered)
                raise ConfigError("", refusal)
            answered = answered or refusal is not None
            if answered:
                break
        rest = [(place, worker) for place, worker in sorted(self._living.items()) if place not in offered]
        refusals = await asyncio.gather(*(self._offer(place, worker, wanted, prepared) for place, worker in rest))
        if refusal := next((each for each in refusals if each), ""):
            await self._restore([*offered, *(place for place, _ in rest)])
            raise ConfigError("", refusal)
        if not answered and not any(each is not None for each in refusals):
            raise UnavailableError("no worker stayed alive to put the configuration into force; see the log above")

    async def _offer(self, place: int, worker: _Worker, wanted: Apply, prepared: Prepared) -> str | None:
        """Return why the worker refuses, "" when it does not; None when it died: its successor is offered the same."""
        try:
            answer = await worker.ask(wanted, prepared.of(place))
        except ChannelClosed:
            return None
        return answer.refusal if isinstance(answer, Applied) else None

    async def _restore(self, places: Iterable[int]) -> None:
        former = self._apply
        if former is None:
            return
        current = self._sockets.current
        living = [(place, self._living[place]) for place in places if place in self._living]
        await asyncio.gather(*(self._offer(place, worker, former, current) for place, worker in living))

    def addresses(self) -> dict[str, str]:
        """Return where each listener really listens."""
        return {listener.name: listener.address for listener in self._sockets.current.listeners}

    def pids(self) -> Mapping[int, int]:
        """Return the process of each worker that lives, by its place."""
        return {place: worker.process.pid for place, worker in sorted(self._living.items())}

    async def figures(self) -> Figures:
        """Return what all workers have counted, those that are gone included."""
        await asyncio.gather(*(self._learn_figures(worker) for worker in self._living.values()))
        known = [worker.figures for worker in self._living.values() if worker.figures is not None]
        return total([self._retired, *known])

    async def _learn_figures(self, worker: _Worker) -> None:
        try:
            async with asyncio.timeout(FIGURES_PATIENCE_S):
                answer = await worker.ask(AskFigures())
        except (ChannelClosed, TimeoutError):
            return
        if isinstance(answer, Figures):
            worker.figures = answer

    def begin_to_end(self) -> None:
        """Have every worker accept no more and finish what is in flight; none is replaced from now on."""
        if not self._is_ending:
            self._is_ending = True
            self._tasks.spawn("drain", self._tell_all(Drain(self._terms.longest_drain_s)))

    async def _tell_all(self, order: Message) -> None:
        for worker in list(self._living.values()):
            try:
                await worker.tell(order)
            except ChannelClosed:
                continue

    async def drain(self) -> None:
        """Return when every worker has finished what was in flight and ended."""
        self.begin_to_end()
        await asyncio.gather(*(worker.process.wait() for worker in list(self._living.values())))

    async def stop(self) -> None:
        """End what still runs."""
        self._is_ending = True
        for worker in list(self._living.values()):
            if worker.process.returncode is None:
                worker.process.kill()
            await worker.process.wait()
        await self._tasks.stop()
        self._sockets.close()
        os.close(self._terms.limits)
