"""A store of a million events: start, memory, reading, replay, without a network and over HTTP/1.1; and what each
trigger that an event does not match adds to its cost."""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import uvloop

from benchmarks import delivered, report
from eventmesh.activator.broker.app import STORE_FILE
from eventmesh.activator.broker.dispatcher import Dispatcher
from eventmesh.activator.broker.ingress import Ingress
from eventmesh.activator.broker.replayer import Replayer
from eventmesh.activator.broker.store.replays import NewReplay
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.activator.broker.store.values import NewEvent, Outcome, Settlement
from eventmesh.base.clock import SystemClock
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters import compile_trigger_filter
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers

STORED = 1_000_000
TOGETHER = 4_096
READ = 128
"""Events that a trigger reads at once."""
REPLAYED = 20_000
SENT = 10_000
"""Events of one line about triggers."""
TRIGGERS = 100
LOOK_AGAIN_S = 0.01

SETTLED_S = 0.5
"""How often it is looked whether all is delivered: a look costs more than an event."""

DIALECTS: Mapping[str, tuple[dict[str, object], float]] = {
    "exact": ({"exact": {"type": "other"}}, 1.0),
    "prefix": ({"prefix": {"type": "other"}}, 1.0),
    "suffix": ({"suffix": {"type": "other"}}, 1.0),
    "cesql": ({"cesql": "type = 'other'"}, 5.0),
}
"""A filter that does not match, and the bar in microseconds."""


def run(args: argparse.Namespace) -> int:
    """Print the tables; return 0: bars are printed, never a test."""
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with _directory("stored") as place:
        asyncio.run(_fill(place / STORE_FILE, BROKER, STORED))
        for number in range(args.rounds):
            report.progress(f"stored events: round {number + 1}/{args.rounds}")
            for column, value in asyncio.run(_measured(place)).items():
                rows["stored"][column].append(value)
            rows["stored"]["requeued_per_s"].append(uvloop.run(_requeued(place)))
            rows["stored"]["replayed_per_s"].append(uvloop.run(_replayed(place)))
    report.progress("stored events: delivered")
    for per_s, cpu_us in delivered.measured(lambda path, key: asyncio.run(_fill(path, key, REPLAYED)), args.rounds):
        rows["stored"]["delivered_per_s"].append(per_s)
        rows["stored"]["delivered_cpu_us"].append(cpu_us)
    for number in range(args.rounds):
        base = asyncio.run(_sent(None))
        for dialect, (filtering, _) in DIALECTS.items():
            report.progress(f"triggers: round {number + 1}/{args.rounds} {dialect}")
            cost = (asyncio.run(_sent(filtering)) - base) / TRIGGERS
            rows[dialect]["us"].append(cost)
    report.clear_progress()
    _print(rows)
    report.save("stored", rows)
    return 0


@contextmanager
def _directory(name: str) -> Iterator[Path]:
    place = report.RESULTS / f"events-{name}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _event(number: int) -> Event:
    return Event({"id": str(number), "source": "/bench", "type": "order", "specversion": "1.0"}, b"x" * 256)


async def _fill(path: Path, broker: str, count: int) -> None:
    store = SqliteStore(path, SystemClock())
    for first in range(0, count, TOGETHER):
        report.progress(f"stored events: writing {first} of {count}")
        numbers = range(first, min(count, first + TOGETHER))
        await asyncio.gather(*(store.append(NewEvent(broker, _event(number))) for number in numbers))
    await store.close()


async def _measured(place: Path) -> dict[str, float]:
    began = time.perf_counter()
    store = SqliteStore(place / STORE_FILE, SystemClock())
    started = time.perf_counter()
    rss = _rss_mib()
    position = 0
    while events := await store.read(BROKER, position, READ):
        position = events[-1].sequence
    read = time.perf_counter() - started
    figures = {"start_s": started - began, "read_per_s": STORED / read, "rss_mib": rss, "rss_after_mib": _rss_mib()}
    await store.close()
    return figures


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / (1 << 20)


async def _taken(*_: object, **__: object) -> SimpleNamespace:
    return SimpleNamespace(status=202, headers=[], body=b"", error="")


async def _requeued(place: Path) -> float:
    """Return how many events of a replay are chosen and put durably into their trigger's queue a second.

    Between the steps, and outside of what is measured, the queue is emptied as if all in it had been delivered.
    """
    clock, triggers = SystemClock(), FixedTriggers()
    store = SqliteStore(place / STORE_FILE, clock)
    triggers.add("t")
    await store.open_trigger("uid-t", BROKER)
    replayer = Replayer(store, triggers, clock, lambda _: None)
    await _ask_for_replay(store)
    spent, queued = 0.0, 0
    while await store.replays.all():
        began = time.perf_counter()
        await replayer.step()
        spent += time.perf_counter() - began
        entries = (await store.queue.due("uid-t", clock.now().timestamp(), REPLAYED)).entries
        queued += len(entries)
        await store.settle([Settlement("uid-t", e.sequence, Outcome.DELIVERED, entry=e.entry) for e in entries])
    await store.close()
    return queued / spent


async def _ask_for_replay(store: SqliteStore) -> None:
    first = await store.event((await store.history.position()).sequence - REPLAYED)
    assert first is not None
    await store.replays.start(NewReplay("uid-t", "demo/t", BROKER, since=first.accepted_at), 0.0)


async def _replayed(place: Path) -> float:
    """Return how many events of a replay are delivered a second, to a subscriber that answers at once."""
    clock, triggers = SystemClock(), FixedTriggers()
    store = SqliteStore(place / STORE_FILE, clock)
    triggers.add("t")
    dispatcher = _dispatcher(store, triggers, Ingress(store, triggers, clock), clock)
    await store.open_trigger("uid-t", BROKER)
    dispatcher.start()
    replayer = Replayer(store, triggers, clock, dispatcher.queued)
    await _ask_for_replay(store)
    began = time.perf_counter()
    while await store.replays.all():
        await asyncio.sleep(await replayer.step())
    while await store.replays.outstanding("uid-t"):
        await asyncio.sleep(LOOK_AGAIN_S)
    seconds = time.perf_counter() - began
    await dispatcher.stop()
    await store.close()
    return dispatcher.measures.outcomes["demo/t", "delivered"] / seconds


def _dispatcher(store: SqliteStore, triggers: FixedTriggers, ingress: Ingress, clock: SystemClock) -> Dispatcher:
    return Dispatcher(store, triggers, ingress, SimpleNamespace(post=_taken), clock)  # type: ignore[arg-type]


async def _sent(filtering: dict[str, object] | None) -> float:
    """Return microseconds of processor time an event, with one trigger that takes it and many that do not."""
    clock, triggers = SystemClock(), FixedTriggers()
    triggers.add("takes", type="order")
    for number in range(TRIGGERS if filtering else 0):
        name = f"passes-{number}"
        triggers.add(name)
        made = replace(triggers.known[f"uid-{name}"], passes=compile_trigger_filter({"filters": [filtering]}))
        triggers.known[made.uid] = made
    with _directory("triggers") as place:
        store = SqliteStore(place / STORE_FILE, clock)
        ingress = Ingress(store, triggers, clock)
        for uid in triggers.known:
            await store.open_trigger(uid, BROKER)
        dispatcher = _dispatcher(store, triggers, ingress, clock)
        dispatcher.start()
        await asyncio.sleep(4 * SETTLED_S)
        began = time.process_time()
        for first in range(0, SENT, READ):
            await asyncio.gather(*(ingress.accept(BROKER, _event(number), []) for number in range(first, first + READ)))
        while any(level.pending for level in (await store.history.levels()).values()):
            await asyncio.sleep(SETTLED_S)
        used = time.process_time() - began
        await dispatcher.stop()
        await store.close()
    return used / SENT * 1e6


def _print(rows: report.Rows) -> None:
    figures = {column: statistics.median(values) for column, values in rows["stored"].items()}
    sys.stdout.write(f"\n{STORED:,} stored events, without a network\n")
    sys.stdout.write(f"{report.limit_bar('start', figures['start_s'], 1.0, 's')}\n")
    sys.stdout.write(
        f"  read back {figures['read_per_s']:,.0f} a second; replayed into a trigger's queue "
        f"{figures['requeued_per_s']:,.0f} a second (bar: 20,000), and through it to a subscriber that answers at once "
        f"{figures['replayed_per_s']:,.0f}\n"
        f"  delivered over HTTP/1.1 by an activator on one processor to a subscriber that answers 202 at once: "
        f"{figures['delivered_per_s']:,.0f} a second, {figures['delivered_cpu_us']:.0f} us of its processor time each\n"
    )
    sys.stdout.write(
        f"  memory {figures['rss_mib']:.0f} MiB when open, {figures['rss_after_mib']:.0f} MiB after all were read\n"
    )
    sys.stdout.write(f"\nWhat each of {TRIGGERS} triggers adds to an event that it does not match, processor time\n")
    for dialect, (_, bar) in DIALECTS.items():
        sys.stdout.write(f"{report.limit_bar(dialect, report.median(rows, dialect, 'us'), bar, 'us')}\n")
