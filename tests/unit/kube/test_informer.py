from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.informer import RETRY_CAP_S, Informer, Informers
from eventmesh.kube.objects import labels_of
from eventmesh.kube.resources import CONFIG_MAP, SECRET
from eventmesh.kube.selectors import LabelSelector
from tests.manual_clock import ManualClock, settle
from tests.unit.kube.faulty_api import FaultyApi

SPACE = "kube-public"
EXPIRED = ApiError(410, "Expired", "too old resource version")


def config_map(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}}


class Told:
    """What a handler was told, as (name before, name after)."""

    def __init__(self, informer: Informer) -> None:
        self.changes: list[tuple[str | None, str | None]] = []
        informer.add_handler(self._told)

    def _told(self, old: Object | None, new: Object | None) -> None:
        self.changes.append((_name(old), _name(new)))


def _name(obj: Object | None) -> str | None:
    return None if obj is None else obj["metadata"]["name"]


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    group = TaskGroup("test")
    yield group
    await group.stop()


@pytest.fixture
def informer(api: FaultyApi, clock: ManualClock) -> Informer:
    return Informer(api, CONFIG_MAP, clock, namespace=SPACE)


async def test_handler_hears_of_what_was_there_and_of_every_change(
    api: FaultyApi, informer: Informer, tasks: TaskGroup
) -> None:
    await api.create(CONFIG_MAP, config_map("early"), SPACE)
    told = Told(informer)
    tasks.spawn("informer", informer.run())
    await informer.synced()
    await api.create(CONFIG_MAP, config_map("late"), SPACE)
    await api.patch(CONFIG_MAP, "late", {"data": {"a": "b"}}, SPACE)
    await api.delete(CONFIG_MAP, "early", SPACE)
    await settle()
    assert told.changes == [(None, "early"), (None, "late"), ("late", "late"), ("early", None)]
    assert [obj["metadata"]["name"] for obj in informer.list()] == ["late"]


async def test_late_handler_hears_of_everything_present(api: FaultyApi, informer: Informer, tasks: TaskGroup) -> None:
    await api.create(CONFIG_MAP, config_map("a"), SPACE)
    tasks.spawn("informer", informer.run())
    await informer.synced()
    assert Told(informer).changes == [(None, "a")]


async def test_forgotten_version_is_listed_again_and_deletions_meanwhile_are_told(
    api: FaultyApi, informer: Informer, tasks: TaskGroup, cluster: EmbeddedApi
) -> None:
    for name in ("kept", "lost"):
        await api.create(CONFIG_MAP, config_map(name), SPACE)
    api.watch_faults = [UnavailableError("restarting")]
    tasks.spawn("informer", informer.run())
    await informer.synced()
    told = Told(informer)
    told.changes.clear()
    await settle()
    await api.delete(CONFIG_MAP, "lost", SPACE)
    await api.create(CONFIG_MAP, config_map("new"), SPACE)
    cluster.store.compact(cluster.store.revision)
    clock = cluster.clock
    assert isinstance(clock, ManualClock)
    await clock.advance(RETRY_CAP_S)
    assert told.changes == [("lost", None), (None, "new")]
    assert api.lists == 2


async def test_ended_watch_goes_on_from_where_it_was_without_a_list(
    api: FaultyApi, informer: Informer, tasks: TaskGroup, clock: ManualClock
) -> None:
    api.watch_faults = [None, None]
    tasks.spawn("informer", informer.run())
    await informer.synced()
    await api.create(CONFIG_MAP, config_map("meanwhile"), SPACE)
    await clock.advance(RETRY_CAP_S)
    assert informer.get("meanwhile", SPACE) is not None
    assert (api.lists, api.watches) == (1, 3)


async def test_watch_that_ends_at_once_is_not_asked_for_in_a_circle(
    api: FaultyApi, informer: Informer, tasks: TaskGroup
) -> None:
    api.watch_faults = [None] * 1000
    tasks.spawn("informer", informer.run())
    await informer.synced()
    await settle()
    assert api.watches == 1


async def test_api_out_of_reach_is_tried_again_with_growing_waits(
    api: FaultyApi, informer: Informer, tasks: TaskGroup, clock: ManualClock
) -> None:
    api.list_faults = [UnavailableError("no route")] * 3 + [ApiError(500, "InternalError", "broken")]
    tasks.spawn("informer", informer.run())
    await settle()
    assert api.lists == 1 and not informer.has_synced
    await clock.advance(60.0)
    assert informer.has_synced and api.lists == 5


async def test_expired_list_is_repeated_at_once(api: FaultyApi, informer: Informer, tasks: TaskGroup) -> None:
    api.watch_faults = [EXPIRED]
    tasks.spawn("informer", informer.run())
    await settle()
    assert (api.lists, api.watches) == (2, 2)


async def test_index_follows_every_change(api: FaultyApi, informer: Informer, tasks: TaskGroup) -> None:
    await api.create(CONFIG_MAP, config_map("a", tier="web"), SPACE)
    informer.add_index("tier", lambda obj: (labels_of(obj).get("tier", ""),))
    tasks.spawn("informer", informer.run())
    await informer.synced()
    await api.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"tier": "db"}}}, SPACE)
    await api.create(CONFIG_MAP, config_map("b", tier="db"), SPACE)
    await settle()
    assert informer.by_index("tier", "web") == []
    assert {obj["metadata"]["name"] for obj in informer.by_index("tier", "db")} == {"a", "b"}
    await api.delete(CONFIG_MAP, "a", SPACE)
    await settle()
    assert [obj["metadata"]["name"] for obj in informer.by_index("tier", "db")] == ["b"]


async def test_index_added_late_covers_what_is_there(api: FaultyApi, informer: Informer, tasks: TaskGroup) -> None:
    await api.create(CONFIG_MAP, config_map("a", tier="web"), SPACE)
    tasks.spawn("informer", informer.run())
    await informer.synced()
    informer.add_index("tier", lambda obj: (labels_of(obj).get("tier", ""),))
    assert len(informer.by_index("tier", "web")) == 1


async def test_lists_are_bound_to_a_namespace_and_a_selector(api: FaultyApi, clock: ManualClock) -> None:
    informers = Informers(api, clock)
    everywhere = informers.of(CONFIG_MAP)
    assert informers.of(CONFIG_MAP) is everywhere, "one informer for each kind, whoever asks"
    await informers.start()
    await api.create(CONFIG_MAP, config_map("a", tier="web"), SPACE)
    await api.create(CONFIG_MAP, config_map("b", tier="web"), "default")
    await settle()
    assert [obj["metadata"]["name"] for obj in everywhere.list("default")] == ["b"]
    selector = LabelSelector.parse("tier=db")
    assert everywhere.list(SPACE, selector) == [] and len(everywhere) == len(list(everywhere)) == 2
    await informers.stop()


async def test_informer_asked_for_after_the_start_runs_too(api: FaultyApi, clock: ManualClock) -> None:
    informers = Informers(api, clock)
    await informers.start()
    late = informers.of(SECRET)
    await late.synced()
    await informers.stop()


async def test_a_kind_that_may_be_absent_is_waited_for_by_nobody_and_taken_up_once_it_is_served(
    api: FaultyApi, clock: ManualClock
) -> None:
    not_served = ApiError(404, "NotFound", "the server could not find the requested resource")
    api.list_faults = [not_served, not_served]
    await api.create(CONFIG_MAP, config_map("a"), SPACE)
    informers = Informers(api, clock)
    optional = informers.of(CONFIG_MAP, may_be_absent=True)
    await informers.start()
    assert optional.has_synced and len(optional) == 0
    await clock.advance(2 * RETRY_CAP_S)
    assert optional.get("a", SPACE) is not None
    await informers.stop()


async def test_a_kind_that_must_be_there_is_waited_for(api: FaultyApi, clock: ManualClock, tasks: TaskGroup) -> None:
    api.list_faults = [ApiError(404, "NotFound", "the server could not find the requested resource")]
    informer = Informer(api, CONFIG_MAP, clock, namespace=SPACE)
    tasks.spawn("informer", informer.run())
    await settle()
    assert not informer.has_synced
