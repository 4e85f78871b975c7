"""A store whose disk takes nothing: what is refused, what is told, and that it is over by itself."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.store.history import History, StorageError
from eventmesh.cluster.store.outage import OVER_AFTER_S
from eventmesh.cluster.store.store import Key, Object, Store
from tests.manual_clock import ManualClock
from tests.small_disk import needs_root, small_disk

A = Key("configmaps", "default", "a")


def named(key: Key, **data: str) -> Object:
    return {"metadata": {"name": key.name, "namespace": key.namespace}, "data": data}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_full_disk_refuses_the_write_and_keeps_what_was_stored(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path, clock)
    store.put(A, named(A, v="1"), 0)
    pages = store._history._db.execute("PRAGMA page_count").get
    store._history._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(UnavailableError, match="make room on its disk"):
        store.put(A, named(A, v="x" * 100_000), 1)
    found = store.get(A)
    assert found is not None and found.object["data"] == {"v": "1"}
    store._history._db.execute("PRAGMA max_page_count = 1000000")
    assert store.put(A, named(A, v="2"), 1).revision == 2
    store.close()


@needs_root
async def test_a_full_disk_is_told_of_now_and_then_forgets_nothing_and_is_over_by_itself(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        store = Store(disk.directory, clock)
        for number in range(300):
            store.put(A, named(A, v=str(number)), store.revision)
        disk.fill()
        for _ in range(3):
            # What was stored before has left a little room in the pages that are there.
            with pytest.raises(StorageError, match=re.escape(str(disk.directory))):
                for _ in range(1_000):
                    store.put(A, named(A, v="x" * 10_000), store.revision)
        with pytest.raises(StorageError, match="full"):
            store.compact(store.revision)
        assert len(store.list_at(A.kind, 1)) == 1
        told = [record.message for record in caplog.records]
        assert told == ["nothing can be stored; reads and all that runs go on"]
        disk.make_room()
        await clock.advance(OVER_AFTER_S)
        store.put(A, named(A, v="again"), store.revision)
        store.compact(store.revision)
        assert caplog.records[-1].message == "objects are stored again"
        store.close()
        again = Store(disk.directory, clock)
        found = again.get(A)
        assert found is not None and found.object["data"] == {"v": "again"}
        again.close()


@needs_root
def test_a_store_that_has_no_room_to_begin_says_so_and_begins_when_it_has(tmp_path: Path, clock: ManualClock) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        for free in range(0, 120_000, 4096):
            directory = disk.directory / str(free)
            disk.fill()
            os.truncate(disk.directory / "ballast", (disk.directory / "ballast").stat().st_size - free)
            try:
                Store(directory, clock).close()
                break
            except StorageError as refused:
                assert str(directory) in str(refused) and "make room on its disk" in str(refused)
            disk.make_room()
            Store(directory, clock).close()
            shutil.rmtree(directory)
        assert free > 0


def test_a_directory_that_cannot_be_made_is_not_told_to_be_full(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/store cannot be used: Not a directory; mend that, or name another"):
        History(tmp_path / "file" / "store")
