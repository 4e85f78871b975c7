from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.store.history import FILE_NAME, History, Row, StoreCorruptError
from eventmesh.cluster.store.store import (
    COMPACT_REVISIONS,
    EVERY_KIND,
    HISTORY_KEPT_S,
    MAX_OBJECT_BYTES,
    MAX_WATCH_BACKLOG,
    ChangeType,
    CompactedError,
    FutureRevisionError,
    Key,
    Object,
    ObjectTooLargeError,
    RevisionConflictError,
    Store,
    Stored,
    Watch,
    WatchOverflowError,
)
from tests.manual_clock import ManualClock

A = Key("configmaps", "default", "a")
B = Key("configmaps", "shop", "b")


def named(key: Key, **data: str) -> Object:
    return {"metadata": {"name": key.name, "namespace": key.namespace}, "data": data}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    opened = Store(tmp_path, clock)
    yield opened
    opened.close()


def drain(watch: Watch) -> list[tuple[ChangeType, str, int]]:
    found = []
    while (change := watch.poll()) is not None:
        found.append((change.type, change.key.name, change.revision))
    return found


def test_one_counter_numbers_the_writes_of_all_kinds(store: Store) -> None:
    first = store.put(A, named(A), 0)
    second = store.put(Key("pods", "default", "p"), named(A), 0)
    assert (first.revision, second.revision, store.revision) == (1, 2, 2)
    assert first.object["metadata"]["resourceVersion"] == "1"


def test_a_write_from_a_stale_revision_changes_nothing(store: Store) -> None:
    store.put(A, named(A, v="1"), 0)
    store.put(A, named(A, v="2"), 1)
    for expected in (0, 1, 99):
        with pytest.raises(RevisionConflictError):
            store.put(A, named(A, v="lost"), expected)
    with pytest.raises(RevisionConflictError):
        store.delete(A, 1, named(A))
    found = store.get(A)
    assert found is not None and found.object["data"] == {"v": "2"}


def test_list_is_sorted_and_bound_to_a_namespace(store: Store) -> None:
    for key in (B, A):
        store.put(key, named(key), 0)
    assert [obj["metadata"]["name"] for obj in store.list("configmaps")] == ["a", "b"]
    assert [obj["metadata"]["name"] for obj in store.list("configmaps", "shop")] == ["b"]


def test_watch_gets_every_change_of_its_kind_and_namespace(store: Store) -> None:
    everything, one_space, all_kinds = (
        store.watch("configmaps"),
        store.watch("configmaps", "shop"),
        store.watch(EVERY_KIND),
    )
    store.put(A, named(A), 0)
    store.put(B, named(B), 0)
    store.put(A, named(A, v="2"), 1)
    store.delete(A, 3, named(A))
    store.put(Key("pods", "shop", "p"), named(B), 0)
    expected = [
        (ChangeType.CREATED, "a", 1),
        (ChangeType.CREATED, "b", 2),
        (ChangeType.UPDATED, "a", 3),
        (ChangeType.DELETED, "a", 4),
    ]
    assert drain(everything) == expected
    assert drain(one_space) == [(ChangeType.CREATED, "b", 2)]
    assert len(drain(all_kinds)) == 5


def test_watch_from_a_past_revision_replays_what_came_after_with_what_was_before(store: Store) -> None:
    store.put(A, named(A, v="1"), 0)
    store.put(A, named(A, v="2"), 1)
    store.delete(A, 2, named(A, v="2"))
    store.put(A, named(A, v="3"), 0)
    watch = store.watch("configmaps", after=1)
    update, deletion, creation = (asyncio.run(watch.next()) for _ in range(3))
    assert (update.type, update.previous and update.previous["data"]) == (ChangeType.UPDATED, {"v": "1"})
    assert (deletion.type, deletion.revision) == (ChangeType.DELETED, 3)
    assert (creation.type, creation.previous) == (ChangeType.CREATED, None)


def test_closed_watch_receives_nothing(store: Store) -> None:
    watch = store.watch("configmaps")
    watch.close()
    watch.close()
    store.put(A, named(A), 0)
    assert watch.poll() is None


def test_watcher_that_reads_too_slowly_is_cut_off(store: Store) -> None:
    watch = store.watch("configmaps")
    for number in range(MAX_WATCH_BACKLOG + 1):
        store.put(Key("configmaps", "default", f"c{number}"), named(A), 0)
    assert watch.poll() is None, "memory is given back at once"
    with pytest.raises(WatchOverflowError, match=str(MAX_WATCH_BACKLOG)):
        asyncio.run(watch.next())


def test_future_revision_is_refused(store: Store) -> None:
    with pytest.raises(FutureRevisionError):
        store.watch("configmaps", after=1)


def test_compaction_forgets_the_past_and_keeps_the_present(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, clock)
    store.put(A, named(A, v="1"), 0)
    store.put(A, named(A, v="2"), 1)
    store.put(B, named(B), 0)
    store.delete(B, 3, named(B))
    store.put(A, named(A, v="3"), 2)
    store.compact(4)
    with pytest.raises(CompactedError):
        store.watch("configmaps", after=3)
    replayed = asyncio.run(store.watch("configmaps", after=4).next())
    assert replayed.previous is not None and replayed.previous["data"] == {"v": "2"}
    store.close()
    reopened = Store(tmp_path, clock)
    found = reopened.get(A)
    assert found is not None and (found.revision, found.object["data"]) == (5, {"v": "3"})
    assert reopened.get(B) is None
    reopened.put(B, named(B), 0)
    assert reopened.revision == 6
    reopened.close()


def test_revisions_go_on_after_everything_was_deleted_and_compacted(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, clock)
    store.put(A, named(A), 0)
    store.delete(A, 1, named(A))
    store.compact(2)
    store.close()
    reopened = Store(tmp_path, clock)
    assert reopened.put(A, named(A), 0).revision == 3
    reopened.close()


async def test_history_is_kept_for_ten_minutes(store: Store, clock: ManualClock) -> None:
    store.put(A, named(A), 0)
    store.put(A, named(A, v="2"), 1)
    await clock.advance(HISTORY_KEPT_S)
    await store.compact_old()
    store.watch("configmaps", after=1).close()
    await clock.advance(1)
    await store.compact_old()
    with pytest.raises(CompactedError):
        store.watch("configmaps", after=1)


async def test_a_long_past_is_forgotten_in_steps_between_which_others_write(store: Store, clock: ManualClock) -> None:
    for revision in range(2 * COMPACT_REVISIONS + 10):
        store.put(A, named(A), revision)
    await clock.advance(HISTORY_KEPT_S + 1)
    forgetting = asyncio.get_running_loop().create_task(store.compact_old())
    turns = 0
    while not forgetting.done():
        store.put(B, named(B), (store.get(B) or Stored(0, {}, b"")).revision)
        turns += 1
        await asyncio.sleep(0)
    assert turns > 2
    with pytest.raises(CompactedError):
        store.watch("configmaps", after=2 * COMPACT_REVISIONS + 9)
    store.watch("configmaps", after=2 * COMPACT_REVISIONS + 10).close()


def test_the_last_revision_before_a_moment_is_found_across_gaps(tmp_path: Path, clock: ManualClock) -> None:
    history = History(tmp_path)
    for revision in range(1, 41):
        # Two keys that stay as they were made, and one that is written again and again.
        name = f"still-{revision}" if revision in (1, 20) else "busy"
        previous = 0 if name != "busy" or revision == 2 else revision - (2 if revision == 21 else 1)
        history.append(Row(revision, "configmaps", "default", name, previous, False, b"{}"), float(revision))
    history.compact(25)
    kept = [1, 20, *range(25, 41)]
    for moment in range(43):
        assert history.revision_before(moment) == max((r for r in kept if r < moment), default=0)
    history.close()


def test_object_beyond_the_limit_is_refused_before_it_is_stored(store: Store) -> None:
    with pytest.raises(ObjectTooLargeError, match=str(MAX_OBJECT_BYTES)):
        store.put(A, named(A, v="x" * MAX_OBJECT_BYTES), 0)
    assert store.get(A) is None and store.revision == 0


def test_second_process_on_the_directory_is_told_who_has_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}"):
        History(tmp_path)


def test_every_acknowledged_write_survives_kill_minus_nine(tmp_path: Path, clock: ManualClock) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from eventmesh.base.clock import SystemClock
        from eventmesh.cluster.store.store import Key, Store
        store = Store(Path(sys.argv[1]), SystemClock())
        for number in range(100_000):
            key = Key("configmaps", "default", f"c{number}")
            store.put(key, {"metadata": {"name": key.name, "namespace": "default"}}, 0)
            print(number, flush=True)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().split("\n")[:-1] if line]
    store = Store(tmp_path, clock)
    for number in acknowledged:
        assert store.get(Key("configmaps", "default", f"c{number}")) is not None
    store.close()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "foreign", "newer", "not json"])
def test_damaged_file_is_named_and_refused(damage: str, tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, clock)
    for number in range(200):
        store.put(Key("configmaps", "default", f"c{number}"), named(A, v="x" * 200), 0)
    store._history.checkpoint()
    store.close()
    path = tmp_path / FILE_NAME
    match damage:
        case "garbage":
            path.write_bytes(os.urandom(8192))
        case "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case _:
            statement = {
                "foreign": "PRAGMA application_id = 1",
                "newer": "PRAGMA user_version = 99",
                "not json": "UPDATE history SET value = x'00' WHERE revision = 7",
            }[damage]
            with sqlite3.connect(path) as db:
                db.execute(statement)
            db.close()
    with pytest.raises(StoreCorruptError, match="move it away"):
        Store(tmp_path, clock)


def test_a_list_can_be_had_as_it_was(store: Store) -> None:
    first = store.put(A, named(A, k="1"), 0)
    store.put(B, named(B, k="1"), 0)
    before = store.revision
    listed = store.list("configmaps")
    changed = store.put(A, named(A, k="2"), first.revision)
    store.put(Key("secrets", "default", "s"), {"metadata": {"name": "s", "namespace": "default"}}, 0)
    store.delete(A, changed.revision, named(A, k="2"))
    store.put(A, named(A, k="3"), 0)
    store.put(Key("configmaps", "default", "new"), {"metadata": {"name": "new", "namespace": "default"}}, 0)
    assert store.list_at("configmaps", before) == listed
    assert store.list_at("configmaps", before, "shop") == listed[1:]
    assert store.list_at("configmaps", 0) == []
    assert store.list_at("configmaps", store.revision) == store.list("configmaps")
    store.compact(before)
    assert store.list_at("configmaps", before) == listed
    with pytest.raises(CompactedError):
        store.list_at("configmaps", before - 1)
    with pytest.raises(FutureRevisionError):
        store.list_at("configmaps", store.revision + 1)


def test_an_object_is_kept_beside_its_json_through_writes_and_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, clock)
    store.put(A, named(A, colour="blüe"), 0)
    written = store.put(A, named(A, colour="grün"), 1)
    assert json.loads(written.value) == written.object
    store.close()
    again = Store(tmp_path, clock)
    found = again.get(A)
    again.close()
    assert found == written


@pytest.mark.parametrize("damaged", ["[1]", "", '{"metadata":{}},{"metadata":{}}', '{"metadata":{}'])
def test_among_many_objects_the_one_that_is_none_is_named(tmp_path: Path, clock: ManualClock, damaged: str) -> None:
    store = Store(tmp_path, clock)
    for number in range(5):
        store.put(Key("configmaps", "default", f"c{number}"), named(A, v=str(number)), 0)
    store.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("UPDATE history SET value = ? WHERE revision = 3", (damaged.encode(),))
    db.close()
    with pytest.raises(StoreCorruptError, match="revision 3 .configmaps default/c2."):
        Store(tmp_path, clock)
