"""How the activator shares a revision's requests among its pods, by containerConcurrency (ADR 0096)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.component.revision_world import CLUSTER, REVISION, RevisionWorld, revision_world
from tests.waiting import WAIT_S


async def test_single_concurrency(tmp_path: Path) -> None:
    """Serving's TestSingleConcurrency: five clients, and never two requests at once in a function."""

    async def client(world: RevisionWorld) -> list[int]:
        return [(await world.ask()).status for _ in range(20)]

    async with revision_world(tmp_path, 1) as world:
        for pod in world.pods:
            pod.gate.set()
        statuses = await asyncio.gather(*(client(world) for _ in range(5)))
        assert statuses == [[200] * 20] * 5
        assert [pod.most for pod in world.pods] == [1, 1, 1], "more than three at a time leave nobody idle"


@pytest.mark.parametrize("concurrency", [1, 2, 10])
async def test_a_pod_has_as_many_requests_as_it_may_have_and_the_others_wait_here(
    tmp_path: Path, concurrency: int
) -> None:
    async with revision_world(tmp_path, concurrency) as world:
        slots = 3 * concurrency
        replies = [world.asks() for _ in range(slots + 5)]
        await world.until_capacity((0, slots, 5))
        await world.until(lambda: [pod.at_once for pod in world.pods] == [concurrency] * 3)
        for pod in world.pods:
            pod.gate.set()
        assert [reply.status for reply in await asyncio.gather(*replies)] == [200] * (slots + 5)
        assert max(pod.most for pod in world.pods) == concurrency


async def test_up_to_three_slots_the_first_pod_is_filled_before_the_next(tmp_path: Path) -> None:
    async with revision_world(tmp_path, 2) as world:
        for sent in range(1, 7):
            world.asks()
            await world.until(lambda sent=sent: sum(len(pod.got) for pod in world.pods) == sent)  # type: ignore[misc]
            first, second, third = (pod.at_once for pod in world.pods)
            assert (first, second, third) == (min(sent, 2), min(max(sent - 2, 0), 2), max(sent - 4, 0))


async def test_with_more_slots_pods_take_turns(tmp_path: Path) -> None:
    async with revision_world(tmp_path, 10) as world:
        for pod in world.pods:
            pod.gate.set()
        answers = Counter([(await world.ask()).body for _ in range(12)])
        assert set(answers.values()) == {4} and len(answers) == 3


@pytest.mark.parametrize("concurrency", [1, 10])
async def test_a_pod_that_answers_nobody_holds_up_only_those_it_has(tmp_path: Path, concurrency: int) -> None:
    async with revision_world(tmp_path, concurrency) as world:
        stuck, *quick = world.pods
        for pod in quick:
            pod.gate.set()
        replies = [world.asks() for _ in range(20 * concurrency)]
        await world.until(lambda: stuck.at_once == concurrency)
        async with asyncio.timeout(WAIT_S):
            while sum(reply.done() for reply in replies) < 19 * concurrency:
                await asyncio.sleep(0.01)
        assert world.capacity() == (2, concurrency, 0), "nobody waits behind the pod that is stuck"
        assert {reply.result().status for reply in replies if reply.done()} == {200}


async def test_requests_are_answered_in_the_order_they_came(tmp_path: Path) -> None:
    async with revision_world(tmp_path, 1, pods=1) as world:
        replies = []
        for number in range(8):
            replies.append(world.asks(f"/{number}"))
            await world.until_capacity((0, 1, number))
        world.pods[0].gate.set()
        await asyncio.gather(*replies)
        assert world.pods[0].got == [f"/{number}" for number in range(8)]


async def test_a_client_that_gives_up_frees_its_place_and_its_slot(tmp_path: Path) -> None:
    async with revision_world(tmp_path, 1, pods=1) as world:
        served = world.asks("/served")
        await world.until(lambda: world.pods[0].got == ["/served"])
        waiting = world.asks("/given-up")
        await world.until_capacity((0, 1, 1))
        last = world.asks("/last")
        await world.until_capacity((0, 1, 2))
        waiting.cancel()
        await world.until_capacity((0, 1, 1))
        served.cancel()
        await world.until(lambda: "/last" in world.pods[0].got)
        world.pods[0].gate.set()
        assert (await last).status == 200
        assert world.pods[0].got == ["/served", "/last"]


async def test_pods_come_and_go_while_requests_wait(tmp_path: Path) -> None:
    async with revision_world(tmp_path, 1, pods=1) as world:
        (first,) = world.pods
        replies = [world.asks(f"/{number}") for number in range(3)]
        await world.until_capacity((0, 1, 2))
        second = await world.add_pod()
        await world.bench.pods(REVISION, first.address, second.address)
        await world.until_capacity((0, 2, 1))
        await world.until(lambda: second.at_once == 1)
        await world.bench.pods(REVISION, second.address)
        await world.until_pods(second)
        first.gate.set()
        await world.until_capacity((0, 1, 1))
        second.gate.set()
        assert [reply.status for reply in await asyncio.gather(*replies)] == [200, 200, 200]
        assert (len(first.got), len(second.got)) == (1, 2), "a pod that goes finishes what it has, and gets no more"


async def test_of_several_activators_each_has_pods_of_its_own(tmp_path: Path) -> None:
    ready = ("10.1.0.1", "10.1.0.2")
    async with revision_world(tmp_path, 1, pods=4, activators=ready) as world:
        await world.activators_are(*ready)
        for one in range(2):
            await world.until_capacity((2, 0, 0), of=one)
        replies = [world.asks(of=one) for one in (0, 1, 0, 1, 0)]
        await world.until_capacity((0, 2, 1), of=0)
        await world.until_capacity((0, 2, 0), of=1)
        await world.until(lambda: [pod.at_once for pod in world.pods] == [1, 1, 1, 1])
        for pod in world.pods:
            pod.gate.set()
        assert {reply.status for reply in await asyncio.gather(*replies)} == {200}
        await world.activators_are(ready[0])
        await world.until_capacity((4, 0, 0), of=0)


async def test_what_waits_is_bounded_in_bytes(tmp_path: Path) -> None:
    body, most = bytes(128 * 1024), 16 * 1024 * 1024
    async with revision_world(tmp_path, 1, pods=0) as world:
        replies = [world.asks(body=body) for _ in range(most // len(body) + 200)]
        async with asyncio.timeout(WAIT_S):
            while sum(reply.done() for reply in replies) < 10:
                await asyncio.sleep(0.01)
        refused = [reply for reply in replies if reply.done()]
        assert {reply.result().status for reply in refused} == {503}
        assert {reply.result().headers["retry-after"] for reply in refused} == {"1"}
        pod = await world.add_pod()
        pod.gate.set()
        await world.bench.pods(REVISION, pod.address)
        statuses = Counter(reply.status for reply in await asyncio.gather(*replies))
        assert statuses.keys() == {200, 503} and statuses[200] * len(body) > most // 4, f"{CLUSTER}: {statuses}"
