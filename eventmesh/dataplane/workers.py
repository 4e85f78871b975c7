"""Several processes that serve the same listeners, kept alive and told every configuration by this one.

A configuration is in force when every worker has it. A worker that dies takes its own connections with it and nothing
else: its sockets are held here, and its successor begins with the configuration in force.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.figures import NOTHING, Figures, outlasting, total
from eventmesh.dataplane.shared_limits import SharedLimits
from eventmesh.dataplane.shares import share_of
from eventmesh.dataplane.worker import Terms
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
    Moved,
    Order,
    Seen,
    Statuses,
)
from eventmesh.dataplane.worker_process import WorkerProcess
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.channel import MAX_SOCKETS, ChannelClosed, Taker
from eventmesh.transport.inherited import Inherited
from eventmesh.transport.socket_sets import Prepared, SocketSets

_log = log.get("dataplane.workers")

MAX_WORKERS: Final = 128
"""Each is a process of some 30 MiB with a connection of its own to every endpoint; beyond the machine's processors more
of them only cost."""

RESTART_FIRST_S: Final = 0.1
RESTART_CAP_S: Final = 10.0
SOUND_AFTER_S: Final = 10.0
"""A worker that lived for so long is replaced at once when it dies; one that dies sooner, after a wait that grows."""

ANSWER_PATIENCE_S: Final = 2.0
"""A worker that does not say within this what it has counted is told by what it said last, what it has seen the next
time, and how its endpoints fare not at all."""


class Workers:
    """`count` workers. Must be made in a running event loop."""

    def __init__(
        self,
        count: int,
        clock: Clock,
        longest_drain_s: float,
        resource: Mapping[str, str] | None = None,
        *,
        inherited: Inherited | None = None,
        limits: SharedLimits | None = None,
    ) -> None:
        """`longest_drain_s` is how long a worker that ends may take to finish what is in flight; `resource` are the
        attributes of the process in traces. `inherited` are listening sockets that are there already, and `limits` what
        rate limits hold, which stays the caller's; None: nothing yet.
        """
        self._clock = clock
        self._count = count
        self._sockets = SocketSets(count, inherited)
        self._own_limits = None
        if limits is None:
            limits = self._own_limits = SharedLimits.create()
        self._terms = Terms(limits.descriptor, longest_drain_s, resource or {})
        self._living: dict[int, WorkerProcess] = {}
        self._retired = NOTHING
        self._look: Look | None = None
        self._give: Taker = _to_nobody
        self._turn = 0
        self._tasks = TaskGroup("workers")
        self._keepers: list[asyncio.Task[None]] = []
        # Held while a configuration goes round, and while a new worker is brought up to the one in force.
        self._changing = asyncio.Lock()
        self._apply: Apply | None = None
        self._is_ending = False
        self.restarts = 0
        """Workers that died and were replaced."""
        self.snapshot = Snapshot(version="")
        """The configuration in force."""

    async def start(self) -> None:
        """Start every worker. They serve nothing before `apply`. Raises OSError when one cannot be started."""
        for place in range(self._count):
            worker = await WorkerProcess.start(self._terms)
            hearing = self._begin(place, worker)
            self._keepers.append(self._tasks.spawn(f"keep-{place}", self._keep(place, worker, hearing)))

    def _begin(self, place: int, worker: WorkerProcess) -> asyncio.Task[None]:
        self._living[place] = worker
        return self._tasks.spawn(f"hear-{place}", worker.listen(self._give_away))

    async def _keep(self, place: int, worker: WorkerProcess, hearing: asyncio.Task[None]) -> None:
        """Replace the worker whenever it dies, until all are to end."""
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
            if self._is_ending:
                return
            worker = await self._start_again(backoff)
            hearing = self._begin(place, worker)
            self._tasks.spawn(f"introduce-{place}", self._introduce(place, worker))

    async def _start_again(self, backoff: Backoff) -> WorkerProcess:
        while True:
            try:
                return await WorkerProcess.start(self._terms)
            except OSError as error:
                wait_s = backoff.next_s()
                _log.error("a worker cannot be started", why=str(error), retry_s=round(wait_s, 2))
                await self._clock.sleep(wait_s)

    async def _introduce(self, place: int, worker: WorkerProcess) -> None:
        """Bring a new worker up to the look that somebody takes, and to the configuration in force."""
        if self._look is not None:
            await self._tell([worker], self._look)
        async with self._changing:
            if self._apply is not None:
                await self._offer(place, worker, self._apply, self._sockets.current)
        if self._is_ending:
            await self._tell([worker], Drain(self._terms.longest_drain_s))

    async def apply(self, snapshot: Snapshot) -> None:
        """Return when every worker has put `snapshot` into force.

        Raises ConfigError or UnavailableError when an address is taken or a worker refuses it; then the former one is
        in force everywhere.
        """
        async with self._changing:
            prepared = self._sockets.prepare(snapshot.listeners)
            try:
                if (sockets := len(prepared.of(0))) > MAX_SOCKETS:
                    problem = f"{sockets} are more than {MAX_SOCKETS}, the most that workers can be handed"
                    raise ConfigError("listeners", problem)
                shared = share_of(dataclasses.replace(snapshot, listeners=prepared.listeners), self._count)
                wanted = Apply(shared)
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
            if refusal is not None:
                answered = True
                break
        rest = [(place, worker) for place, worker in sorted(self._living.items()) if place not in offered]
        refusals = await asyncio.gather(*(self._offer(place, worker, wanted, prepared) for place, worker in rest))
        if refusal := next((each for each in refusals if each), ""):
            await self._restore([*offered, *(place for place, _ in rest)])
            raise ConfigError("", refusal)
        if not answered and not any(each is not None for each in refusals):
            raise UnavailableError("no worker stayed alive to put the configuration into force; see the log above")

    async def _offer(self, place: int, worker: WorkerProcess, wanted: Apply, prepared: Prepared) -> str | None:
        """Return why the worker refuses, "" when it does not; None when it died: its successor is offered the same."""
        try:
            answer = await worker.ask(wanted, prepared.of(place))
        except ChannelClosed:
            return None
        if not isinstance(answer, Applied):
            return None
        worker.is_serving = worker.is_serving or not answer.refusal
        return answer.refusal

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

    async def _learn_figures(self, worker: WorkerProcess) -> None:
        with suppress(ChannelClosed, TimeoutError):
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                await worker.ask(AskFigures())

    async def cluster_statuses(self) -> list[bytes]:
        """Return what the engine of each worker that answers tells of clusters and endpoints."""
        found = await asyncio.gather(*map(self._learn_statuses, self._living.values()))
        return [rows for rows in found if rows is not None]

    async def _learn_statuses(self, worker: WorkerProcess) -> bytes | None:
        with suppress(ChannelClosed, TimeoutError):
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                answer = await worker.ask(AskStatuses())
                return answer.rows if isinstance(answer, Statuses) else None
        return None

    def listening_sockets(self) -> list[socket.socket]:
        """Return a duplicate of every listening socket, the caller's to close."""
        return self._sockets.current.all()

    async def adopt(self, address: str, connection: socket.socket) -> None:
        """Have a worker go on with a connection that was accepted at `address`; each has its turn."""
        serving = [worker for _, worker in sorted(self._living.items()) if worker.is_serving]
        self._turn += 1
        with connection:
            for step in range(len(serving)):
                with suppress(ChannelClosed):
                    return await serving[(self._turn + step) % len(serving)].tell(Moved(address), [connection])
        _log.error("no worker is there to go on with a connection", address=address)

    # Looking at exchanges as they pass (`dataplane.tap.Source`)

    async def look(self, terms: bytes) -> None:
        """Have every worker look, and those that will be started too."""
        self._look = Look(terms)
        await self._tell(self._living.values(), self._look)

    async def look_away(self) -> None:
        """Have nobody look any more."""
        self._look = None
        await self._tell(self._living.values(), LookAway())

    async def seen(self) -> tuple[list[bytes], int, bool]:
        """Return what all have seen since the last question; it is over when it is for each."""
        found = [one for one in await asyncio.gather(*map(self._learn_seen, self._living.values())) if one is not None]
        rows = [row for one in found for row in one.rows]
        return rows, sum(one.lost for one in found), bool(found) and all(one.is_over for one in found)

    async def _learn_seen(self, worker: WorkerProcess) -> Seen | None:
        with suppress(ChannelClosed, TimeoutError):
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                answer = await worker.ask(AskSeen())
                return answer if isinstance(answer, Seen) else None
        return None

    # The end

    def begin_to_end(self) -> None:
        """Have every worker accept no more and finish what is in flight; none is replaced from now on."""
        if not self._is_ending:
            self._is_ending = True
            self._tasks.spawn("drain", self._tell(self._living.values(), Drain(self._terms.longest_drain_s)))

    async def _tell(self, workers: Iterable[WorkerProcess], order: Order) -> None:
        for worker in list(workers):
            with suppress(ChannelClosed):
                await worker.tell(order)

    async def drain(self) -> None:
        """Return when every worker has finished what was in flight and ended."""
        self.begin_to_end()
        await self._ended()

    async def hand_over(self, give: Taker, longest_s: float) -> None:
        """Leave listeners and connections to a successor, which takes each by `give`, and return when every worker has
        finished what cannot be given away and ended."""
        self._is_ending = True
        self._give = give
        self._sockets.disown()
        await self._tell(self._living.values(), Leave(longest_s))
        self._sockets.close()
        await self._ended()

    async def _give_away(self, address: str, connection: socket.socket) -> None:
        try:
            await self._give(address, connection)
        except ChannelClosed:
            self._give = _to_nobody
            _log.error("the successor has gone: what it has not got is drained")
            await self._tell(self._living.values(), Drain(self._terms.longest_drain_s))

    async def _ended(self) -> None:
        """Return when no worker lives, and what each said last has been counted."""
        await asyncio.gather(*self._keepers)

    async def stop(self) -> None:
        """End what still runs."""
        self._is_ending = True
        for worker in list(self._living.values()):
            if worker.process.returncode is None:
                worker.process.kill()
            await worker.process.wait()
        await self._tasks.stop()
        self._sockets.close()
        if self._own_limits is not None:
            self._own_limits.close()


async def _to_nobody(_address: str, _connection: socket.socket) -> None:
    """There is no successor."""
