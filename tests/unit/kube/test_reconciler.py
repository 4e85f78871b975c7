from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from eventmesh.base.errors import PermanentError, TemporaryError, UnavailableError
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import CONFIG_MAP, EVENT, SECRET
from tests.manual_clock import ManualClock, settle
from tests.unit.kube.faulty_api import FaultyApi

SPACE = "kube-public"
A = Key(SPACE, "a")


class Scripted:
    """A reconcile that fails as planned, then succeeds."""

    def __init__(self) -> None:
        self.seen: list[Key] = []
        self.failures: list[Exception] = []

    async def __call__(self, key: Key) -> None:
        self.seen.append(key)
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture
def reconcile() -> Scripted:
    return Scripted()


@pytest.fixture
async def start(api: FaultyApi, clock: ManualClock) -> AsyncIterator[Callable[[Scripted], Awaitable[Controller]]]:
    informers = Informers(api, clock)
    controllers: list[Controller] = []

    async def run(reconcile: Scripted) -> Controller:
        primary = informers.of(CONFIG_MAP)
        recorder = EventRecorder(api, "tester", clock)
        controller = Controller("test", primary, reconcile, clock, recorder=recorder)
        controller.watch_controlled(informers.of(SECRET))
        controllers.append(controller)
        await informers.start()
        controller.start()
        await settle()
        return controller

    yield run
    for controller in controllers:
        await controller.stop()
    await informers.stop()


async def create(api: FaultyApi, name: str = "a") -> Object:
    return await api.create(CONFIG_MAP, {"metadata": {"name": name}}, SPACE)


async def test_what_exists_and_what_changes_is_reconciled(
    api: FaultyApi, start: Callable[[Scripted], Awaitable[Controller]], reconcile: Scripted
) -> None:
    await create(api)
    await start(reconcile)
    assert reconcile.seen == [A]
    await api.patch(CONFIG_MAP, "a", {"data": {"k": "v"}}, SPACE)
    await settle()
    await api.delete(CONFIG_MAP, "a", SPACE)
    await settle()
    assert reconcile.seen == [A, A, A]


async def test_a_burst_that_may_settle_is_reconciled_once_and_what_may_not_goes_ahead(
    api: FaultyApi, clock: ManualClock, reconcile: Scripted
) -> None:
    informers = Informers(api, clock)
    controller = Controller("test", informers.of(CONFIG_MAP), reconcile, clock)
    controller.watch(informers.of(SECRET), lambda _: (Key(SPACE, "told"),), settle_s=SETTLE_S)
    await informers.start()
    controller.start()
    await settle()
    reconcile.seen.clear()
    for name in ("s", "t", "u"):
        await api.create(SECRET, {"metadata": {"name": name}}, SPACE)
    await create(api)
    await settle()
    assert reconcile.seen == [A]
    await clock.advance(SETTLE_S)
    assert reconcile.seen == [A, Key(SPACE, "told")]
    await controller.stop()
    await informers.stop()


async def test_change_of_a_controlled_object_reconciles_its_owner(
    api: FaultyApi, start: Callable[[Scripted], Awaitable[Controller]], reconcile: Scripted
) -> None:
    owner = await create(api)
    await start(reconcile)
    reconcile.seen.clear()
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "a",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    await api.create(SECRET, {"metadata": {"name": "s", "ownerReferences": [reference]}}, SPACE)
    await api.create(SECRET, {"metadata": {"name": "nobody"}}, SPACE)
    foreign = {**reference, "apiVersion": "other.example.com/v1"}
    await api.create(SECRET, {"metadata": {"name": "foreign", "ownerReferences": [foreign]}}, SPACE)
    await settle()
    assert reconcile.seen == [A]


async def test_temporary_error_is_tried_again_when_it_says(
    api: FaultyApi,
    start: Callable[[Scripted], Awaitable[Controller]],
    reconcile: Scripted,
    clock: ManualClock,
) -> None:
    await create(api)
    reconcile.failures = [TemporaryError("not yet", after_s=7.0)]
    await start(reconcile)
    await clock.advance(6.9)
    assert len(reconcile.seen) == 1
    await clock.advance(0.1)
    assert len(reconcile.seen) == 2
    await clock.advance(3600)
    assert len(reconcile.seen) == 2


async def test_permanent_error_waits_for_a_change_and_is_told_as_an_event(
    api: FaultyApi,
    start: Callable[[Scripted], Awaitable[Controller]],
    reconcile: Scripted,
    clock: ManualClock,
) -> None:
    await create(api)
    reconcile.failures = [PermanentError("spec.a can never work"), PermanentError("spec.a can never work")]
    await start(reconcile)
    await clock.advance(600)
    assert len(reconcile.seen) == 1
    await api.patch(CONFIG_MAP, "a", {"data": {"k": "v"}}, SPACE)
    await settle()
    assert len(reconcile.seen) == 2
    [event] = (await api.list(EVENT, SPACE)).items
    assert (event["type"], event["reason"], event["message"]) == (
        "Warning",
        "InternalError",
        "spec.a can never work",
    )
    assert event["count"] == 2 and event["involvedObject"]["name"] == "a"


@pytest.mark.parametrize(
    "failure",
    [
        ApiError(409, "Conflict", "changed"),
        ApiError(500, "InternalError", "broken"),
        UnavailableError("no route"),
        RuntimeError("a bug"),
    ],
)
async def test_other_failures_are_tried_again_with_growing_waits(
    api: FaultyApi,
    start: Callable[[Scripted], Awaitable[Controller]],
    reconcile: Scripted,
    clock: ManualClock,
    failure: Exception,
) -> None:
    await create(api)
    reconcile.failures = [failure] * 5
    await start(reconcile)
    assert len(reconcile.seen) == 1
    await clock.advance(0.005 + 0.01 + 0.02)
    assert len(reconcile.seen) == 4
    await clock.advance(60)
    assert len(reconcile.seen) == 6


async def test_an_api_that_cannot_is_told_of_now_and_then_and_by_no_event_of_an_object(
    api: FaultyApi,
    start: Callable[[Scripted], Awaitable[Controller]],
    reconcile: Scripted,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await create(api)
    reconcile.failures = [ApiError(500, "InternalError", "no room")] * 12
    await start(reconcile)
    await clock.advance(59)
    assert len(reconcile.seen) == 13
    assert [record.message for record in caplog.records].count("the API cannot") == 1
    assert (await api.list(EVENT, SPACE)).items == []


async def test_a_webhook_that_says_no_with_any_code_is_told_as_an_event(
    api: FaultyApi,
    start: Callable[[Scripted], Awaitable[Controller]],
    reconcile: Scripted,
    clock: ManualClock,
) -> None:
    await create(api)
    message = 'admission webhook "limits.example.com" denied the request: no quota for shop'
    reconcile.failures = [ApiError(500, "InternalError", message)]
    await start(reconcile)
    await clock.advance(1)
    [event] = (await api.list(EVENT, SPACE)).items
    assert (event["type"], event["message"]) == ("Warning", message)


def test_a_webhook_that_could_not_be_asked_is_no_fault_of_what_was_asked() -> None:
    failed = 'Internal error occurred: failed calling webhook "limits.example.com": connection refused'
    assert ApiError(500, "InternalError", failed).server_fault


async def test_one_key_is_never_worked_on_twice_at_once(api: FaultyApi, clock: ManualClock) -> None:
    informers = Informers(api, clock)
    release = asyncio.Event()
    running: list[Key] = []
    most = 0

    async def slow(key: Key) -> None:
        nonlocal most
        running.append(key)
        most = max(most, running.count(A))
        await release.wait()
        running.remove(key)

    controller = Controller("slow", informers.of(CONFIG_MAP), slow, clock)
    await create(api)
    await create(api, "b")
    await informers.start()
    controller.start()
    await settle()
    controller.enqueue(A)
    await settle()
    assert sorted(running) == [A, Key(SPACE, "b")], "different keys run side by side"
    release.set()
    await settle()
    assert most == 1
    await controller.stop()
    await informers.stop()


async def test_deadline_reconciles_without_any_change(
    api: FaultyApi,
    start: Callable[[Scripted], Awaitable[Controller]],
    reconcile: Scripted,
    clock: ManualClock,
) -> None:
    await create(api)
    controller = await start(reconcile)
    controller.enqueue_after(A, 30.0)
    await clock.advance(30.0)
    assert len(reconcile.seen) == 2


async def test_what_waits_and_what_was_in_progress_at_a_pause_is_done_after_the_next_start(
    api: FaultyApi, clock: ManualClock
) -> None:
    seen: list[str] = []
    held = asyncio.Event()

    async def reconcile(key: Key) -> None:
        seen.append(key.name)
        await held.wait()

    informers = Informers(api, clock)
    controller = Controller("test", informers.of(CONFIG_MAP), reconcile, clock, concurrency=1)
    await create(api, "a")
    await informers.start()
    controller.start()
    await settle()
    await controller.pause()
    await create(api, "b")
    await settle()
    assert seen == ["a"]
    held.set()
    controller.start()
    await settle()
    assert sorted(seen) == ["a", "a", "b"]
    await controller.stop()
    await informers.stop()
