from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.lifecycle import RETRY_S, ROOT_CERTIFICATE
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


async def test_foreground_deletion_releases_what_another_owner_keeps(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        references = []
        for name in ("one", "two"):
            owner = await api.create(SECRET, {"metadata": {"name": name}}, SPACE)
            reference = {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": owner["metadata"]["uid"]}
            references.append({**reference, "blockOwnerDeletion": True})
        await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": references}}, SPACE)
        await settle()
        await api.delete(SECRET, "one", SPACE, propagation=Propagation.FOREGROUND)
        await settle()
        assert (await api.get(CONFIG_MAP, "c", SPACE))["metadata"]["ownerReferences"] == references[1:]
        with pytest.raises(ApiError, match="not found"):
            await api.get(SECRET, "one", SPACE)


async def test_second_delete_says_anew_how_an_object_goes(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        owner = await api.create(SECRET, {"metadata": {"name": "owner"}}, SPACE)
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": owner["metadata"]["uid"]}
        held = {
            "name": "c",
            "ownerReferences": [{**reference, "blockOwnerDeletion": True}],
            "finalizers": ["x.io/hold"],
        }
        await api.create(CONFIG_MAP, {"metadata": held}, SPACE)
        await settle()
        await api.delete(SECRET, "owner", SPACE, propagation=Propagation.FOREGROUND)
        await settle()
        assert (await api.get(SECRET, "owner", SPACE))["metadata"]["finalizers"] == ["foregroundDeletion"]
        await api.delete(SECRET, "owner", SPACE, propagation=Propagation.BACKGROUND)
        with pytest.raises(ApiError, match="not found"):
            await api.get(SECRET, "owner", SPACE)


async def test_finalizers_may_go_but_not_come_while_an_object_is_deleted(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        await api.create(CONFIG_MAP, {"metadata": {"name": "c", "finalizers": ["x.io/a", "x.io/b"]}}, SPACE)
        await api.delete(CONFIG_MAP, "c", SPACE)
        with pytest.raises(ApiError, match="no new finalizers can be added if the object is being deleted") as failure:
            await api.patch(CONFIG_MAP, "c", {"metadata": {"finalizers": ["x.io/a", "x.io/new"]}}, SPACE)
        assert failure.value.details["causes"][0]["field"] == "metadata.finalizers"
        await api.patch(CONFIG_MAP, "c", {"metadata": {"finalizers": ["x.io/a"]}}, SPACE)
        await api.patch(CONFIG_MAP, "c", {"metadata": {"finalizers": None}}, SPACE)
        with pytest.raises(ApiError, match="not found"):
            await api.get(CONFIG_MAP, "c", SPACE)


async def test_namespace_that_cannot_go_says_what_it_waits_for(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        await api.create(NAMESPACE, {"metadata": {"name": "shop"}})
        for name in ("a", "b"):
            await api.create(CONFIG_MAP, {"metadata": {"name": name, "finalizers": ["x.io/hold"]}}, "shop")
        await api.delete(NAMESPACE, "shop")
        await settle()
        status = (await api.get(NAMESPACE, "shop"))["status"]
        assert status["phase"] == "Terminating"
        assert {item["type"]: item["message"] for item in status["conditions"]} == {
            "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 2 resource instances",
            "NamespaceFinalizersRemaining": "Some content in the namespace has finalizers remaining: "
            "x.io/hold in 2 resource instances",
        }
        for name in ("a", "b"):
            await api.patch(CONFIG_MAP, name, {"metadata": {"finalizers": None}}, "shop")
        await settle()
        with pytest.raises(ApiError, match="not found"):
            await api.get(NAMESPACE, "shop")


@pytest.mark.parametrize(
    ("owner", "field"),
    [
        ({"kind": "Secret", "name": "o", "uid": "u"}, "metadata.ownerReferences[0].apiVersion"),
        ({"apiVersion": "v1", "kind": "Secret", "name": "o"}, "metadata.ownerReferences[0].uid"),
        ("o", "metadata.ownerReferences[0]"),
    ],
)
async def test_owner_that_names_nobody_is_refused(tmp_path: Path, owner: object, field: str) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        with pytest.raises(ApiError) as failure:
            metadata = {"name": "c", "ownerReferences": [owner]}
            await cluster.in_process().create(CONFIG_MAP, {"metadata": metadata}, SPACE)
        assert (failure.value.code, failure.value.details["causes"][0]["field"]) == (422, field)


async def test_one_owner_controls(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        owners = [
            {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": name, "controller": True} for name in ("a", "b")
        ]
        with pytest.raises(ApiError, match="Only one reference can have Controller set to true"):
            metadata = {"name": "c", "ownerReferences": owners}
            await cluster.in_process().create(CONFIG_MAP, {"metadata": metadata}, SPACE)


async def test_dependent_without_a_namespace_is_not_judged_by_an_owner_that_has_one(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "u"}
        await api.create(NAMESPACE, {"metadata": {"name": "shop", "ownerReferences": [reference]}})
        await settle()
        assert (await api.get(NAMESPACE, "shop"))["status"]["phase"] == "Active"


async def test_owner_of_a_kind_that_is_not_served_is_not_judged(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        reference = {"apiVersion": "later.example.com/v1", "kind": "Thing", "name": "x", "uid": "u"}
        await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": [reference]}}, SPACE)
        await settle()
        assert await api.get(CONFIG_MAP, "c", SPACE)


async def test_every_namespace_has_the_certificate_of_the_api_whatever_is_done_to_it(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        await api.create(NAMESPACE, {"metadata": {"name": "before"}})
        cluster.publish_authority(b"-----BEGIN CERTIFICATE-----")
        await api.create(NAMESPACE, {"metadata": {"name": "after"}})
        await settle()
        for namespace in ("default", "kube-system", "before", "after"):
            published = await api.get(CONFIG_MAP, ROOT_CERTIFICATE, namespace)
            assert published["data"] == {"ca.crt": "-----BEGIN CERTIFICATE-----"}
        await api.patch(CONFIG_MAP, ROOT_CERTIFICATE, {"data": {"ca.crt": "forged", "more": "x"}}, "after")
        await api.delete(CONFIG_MAP, ROOT_CERTIFICATE, "before")
        await settle()
        for namespace in ("before", "after"):
            assert (await api.get(CONFIG_MAP, ROOT_CERTIFICATE, namespace))["data"] == published["data"]
        await api.delete(NAMESPACE, "after")
        await settle()
        with pytest.raises(ApiError, match="not found"):
            await api.get(NAMESPACE, "after")
        cluster.publish_authority(b"renewed")
        await settle()
        assert (await api.get(CONFIG_MAP, ROOT_CERTIFICATE, "before"))["data"] == {"ca.crt": "renewed"}
