from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.lifecycle import RETRY_S
from eventmesh.cluster.store.store import MAX_WATCH_BACKLOG, Store
from eventmesh.kube.api import ApiError, Object, Propagation
from eventmesh.kube.resources import CONFIG_MAP, EVENT, NAMESPACE, SECRET, SERVICE_ACCOUNT
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock, settle

SPACE = "kube-public"


def event(name: str, seen: str) -> Object:
    return {"metadata": {"name": name}, "involvedObject": {}, "lastTimestamp": seen, "reason": "Test"}


async def test_events_are_kept_for_an_hour(tmp_path: Path) -> None:
    clock = ManualClock()
    async with embedded(tmp_path, clock) as cluster:
        api = cluster.in_process()
        await api.create(EVENT, event("old", "2026-01-01T00:00:00Z"), SPACE)
        await api.create(EVENT, event("new", "2026-01-01T00:30:00Z"), SPACE)
        await clock.advance(3600)
        assert len((await api.list(EVENT, SPACE)).items) == 2
        await clock.advance(60)
        assert [obj["metadata"]["name"] for obj in (await api.list(EVENT, SPACE)).items] == ["new"]


async def test_deletions_left_undone_by_a_crash_are_finished_at_the_start(tmp_path: Path) -> None:
    clock = ManualClock()
    store = Store(tmp_path / "store", clock)
    crashed = EmbeddedApi(store, clock)
    await crashed.start()
    await settle()
    await crashed.stop()  # from here on nobody follows: what a crash right after each write leaves behind
    api = crashed.in_process()
    await api.create(NAMESPACE, {"metadata": {"name": "born"}})
    await api.create(NAMESPACE, {"metadata": {"name": "dying"}})
    await api.create(CONFIG_MAP, {"metadata": {"name": "inside"}}, "dying")
    await api.delete(NAMESPACE, "dying")
    owner = await api.create(SECRET, {"metadata": {"name": "owner"}}, SPACE)
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": owner["metadata"]["uid"]}
    await api.create(CONFIG_MAP, {"metadata": {"name": "dependent", "ownerReferences": [reference]}}, SPACE)
    await api.delete(SECRET, "owner", SPACE)
    waiting = await api.create(SECRET, {"metadata": {"name": "waiting"}}, SPACE)
    await api.delete(SECRET, "waiting", SPACE, propagation=Propagation.FOREGROUND)
    assert (await api.get(SECRET, "waiting", SPACE))["metadata"]["uid"] == waiting["metadata"]["uid"]
    store.close()

    async with embedded(tmp_path, clock) as cluster:
        await settle()
        api = cluster.in_process()
        assert await api.get(SERVICE_ACCOUNT, "default", "born")
        for resource, name, namespace in (
            (NAMESPACE, "dying", None),
            (CONFIG_MAP, "dependent", SPACE),
            (SECRET, "waiting", SPACE),
        ):
            with pytest.raises(ApiError, match="not found"):
                await api.get(resource, name, namespace)


async def test_falling_behind_loses_no_deletion(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        await settle()
        api = cluster.in_process()
        owner = await api.create(SECRET, {"metadata": {"name": "owner"}}, SPACE)
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": owner["metadata"]["uid"]}
        await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": [reference]}}, SPACE)
        for number in range(MAX_WATCH_BACKLOG // 2 + 1):  # two changes each, with no turn for the collector
            await api.create(EVENT, event("e", f"2026-01-01T00:00:{number % 60:02}Z"), SPACE)
            await api.delete(EVENT, "e", SPACE)
        await api.delete(SECRET, "owner", SPACE)
        await settle()
        with pytest.raises(ApiError, match="not found"):
            await api.get(CONFIG_MAP, "c", SPACE)


async def test_full_disk_delays_the_collector_and_does_not_end_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with embedded(tmp_path, clock) as cluster:
        await settle()
        api = cluster.in_process()
        owner = await api.create(SECRET, {"metadata": {"name": "owner"}}, SPACE)
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": owner["metadata"]["uid"]}
        big = {"a": "x" * 1_000_000}
        dependent = {"metadata": {"name": "c", "ownerReferences": [reference]}, "data": big}
        await api.create(CONFIG_MAP, dependent, SPACE)
        await settle()
        await api.delete(SECRET, "owner", SPACE)
        database = cluster.store._history._db
        pages = database.execute("PRAGMA page_count").get
        database.execute(f"PRAGMA max_page_count = {pages}")
        await settle()
        assert await api.get(CONFIG_MAP, "c", SPACE)
        database.execute("PRAGMA max_page_count = 1000000")
        await clock.advance(RETRY_S)
        with pytest.raises(ApiError, match="not found"):
            await api.get(CONFIG_MAP, "c", SPACE)


async def test_dependent_of_two_owners_is_released_by_the_first_and_follows_the_last(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        references = []
        for name in ("one", "two"):
            owner = await api.create(SECRET, {"metadata": {"name": name}}, SPACE)
            references.append({"apiVersion": "v1", "kind": "Secret", "name": name, "uid": owner["metadata"]["uid"]})
        await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": references}}, SPACE)
        await settle()
        await api.delete(SECRET, "one", SPACE)
        await settle()
        kept = await api.get(CONFIG_MAP, "c", SPACE)
        assert kept["metadata"]["ownerReferences"] == references[1:]
        await api.delete(SECRET, "two", SPACE)
        await settle()
        with pytest.raises(ApiError, match="not found"):
            await api.get(CONFIG_MAP, "c", SPACE)


async def test_owner_of_a_kind_that_is_not_served_is_not_judged(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        reference = {"apiVersion": "later.example.com/v1", "kind": "Thing", "name": "x", "uid": "u"}
        await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": [reference]}}, SPACE)
        await settle()
        assert await api.get(CONFIG_MAP, "c", SPACE)
