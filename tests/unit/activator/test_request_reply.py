"""How many may wait for answers at once, and what is left behind of those who no longer do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from eventmesh.activator.broker.admittance import Everybody
from eventmesh.activator.broker.store.errors import EventTooLong
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.activator.request_reply import MAX_WAITING, RequestReplies
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents.event import Event
from eventmesh.kube.resources import BROKER
from eventmesh.transport.exchange import Reply
from tests.unit.activator.broker.fixed_triggers import FixedTriggers
from tests.unit.activator.broker.offline_broker import Broker
from tests.waiting import WAIT_S

if TYPE_CHECKING:
    from eventmesh.core._core import Request
    from eventmesh.kube.informer import Informer

HEADERS = [("ce-source", "/s"), ("ce-type", "question"), ("ce-specversion", "1.0")]


@dataclass
class Asked:
    """A request as the engine hands it over."""

    headers: list[tuple[str, str]]
    path: str = "/demo/ask"
    method: str = "POST"
    body: bytes = b""


@dataclass
class One:
    """An informer that knows one RequestReply."""

    spec: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str, namespace: str) -> dict[str, Any]:
        reference = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": "shop"}
        return {"metadata": {"name": name, "namespace": namespace}, "spec": {"brokerRef": reference, **self.spec}}


def replies(broker: Broker, **spec: Any) -> RequestReplies:
    made = RequestReplies(cast("Informer", One(spec)), broker.ingress, Everybody())
    broker.ingress.subscribe(made)
    return made


async def ask(made: RequestReplies, event_id: str) -> Reply:
    return await made.handle(cast("Request", Asked([("ce-id", event_id), *HEADERS])))


class Marks:
    """Hears of each question."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.full = asyncio.Event()

    def accepted(self, stored: Any) -> None:
        if mark := stored.event.text("correlationid"):
            self.seen.append(mark)
            if len(self.seen) == MAX_WAITING:
                self.full.set()


async def test_one_more_than_may_wait_is_asked_to_come_again(tmp_path: Path) -> None:
    broker = Broker(tmp_path, FixedTriggers())
    made, marks, tasks = replies(broker), Marks(), TaskGroup("askers")
    broker.ingress.subscribe(marks)
    answers: list[Reply] = []

    async def asker(number: int) -> None:
        answers.append(await ask(made, str(number)))

    running = [tasks.spawn(str(number), asker(number)) for number in range(MAX_WAITING)]
    await asyncio.wait_for(marks.full.wait(), WAIT_S)
    refused = await ask(made, "more")
    assert (refused.status, refused.headers[0]) == (503, ("retry-after", "1"))
    for mark in marks.seen:
        attributes = {"id": mark, "source": "/a", "type": "answer", "specversion": "1.0", "replyid": mark}
        await broker.ingress.accept("demo/shop", Event(attributes), ())
    await asyncio.gather(*running)
    assert [answer.status for answer in answers] == [200] * MAX_WAITING
    assert made._waiting == {} and made._attributes == {}
    await broker.stop()


async def test_who_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    broker = Broker(tmp_path, FixedTriggers())
    made = replies(broker, timeout="PT0.01S")
    assert (await ask(made, "1")).status == 504
    assert made._waiting == {} and made._attributes == {}
    await broker.stop()


async def test_who_asks_with_more_than_the_store_takes_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def short(_: object) -> StoredEvent:
        raise EventTooLong(2_000, 1_000)

    broker = Broker(tmp_path, FixedTriggers())
    monkeypatch.setattr(broker.store, "append", short)
    reply = await ask(replies(broker), "1")
    assert (reply.status, b"the store takes up to 1000" in reply.body) == (413, True)
    await broker.stop()
