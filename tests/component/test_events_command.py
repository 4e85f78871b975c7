"""`eventmesh events` against a running activator: what it prints is what happened."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.base.tasks import TaskGroup
from eventmesh.cli.main import main
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import Received, event_headers
from tests.waiting import WAIT_S

RETRY_ONCE = {"retry": 1, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"}

Printed = tuple[int, str, str]
"""Exit code, standard output, standard error."""
Events = Callable[..., Coroutine[None, None, Printed]]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


@pytest.fixture
def events(world: World, capsys: pytest.CaptureFixture[str]) -> Events:
    """Run `eventmesh events` with these words."""

    async def run(*words: str) -> Printed:
        code = await asyncio.to_thread(main, ["events", *words, "--admin", world.admin])
        out, err = capsys.readouterr()
        return code, out, err

    return run


async def told(events: Events, holds: Callable[[Any], bool], *words: str) -> Any:
    """Return what is printed as JSON, as soon as it is so."""
    async with asyncio.timeout(WAIT_S):
        while True:
            code, out, err = await events(*words, "-o", "json")
            assert code == 0, err
            if holds(found := json.loads(out)):
                return found


async def test_a_trace_tells_attempts_the_reply_and_who_did_not_match(world: World, events: Events) -> None:
    def second_time(event: Received) -> web.Response:
        if flaky.refused == 0:
            return web.Response(status=503)
        return web.Response(status=200, headers=event_headers("r1", type="confirmed"), body=b"{}")

    flaky = await world.subscriber(second_time)
    mail = await world.subscriber()
    await world.trigger("flaky", flaky, RETRY_ONCE, type="order")
    await world.trigger("mail", mail, type="confirmed")
    await world.send("7")
    # The reply may be on its way before the attempt that brought it has been noted.
    whole = lambda t: len(t["attempts"]) == 2 and t["replies"] and t["replies"][0]["attempts"]  # noqa: E731
    await told(events, whole, "trace", "7")
    code, out, _ = await events("trace", "7")
    assert code == 0
    shape = re.sub(r"\d+-\d+-\d+T[\d:.]+Z", "TIME", re.sub(r"[\d.]+ ms", "N ms", out))
    assert shape.splitlines() == [
        "event 1  order  id=7  source=/tests  broker=default/shop",
        "  TIME  accepted",
        "  TIME  default/flaky  attempt 1  503 after N ms",
        "  TIME  default/flaky  attempt 2  200 after N ms: delivered, replied with event 2",
        "                            default/mail  not matched",
        "  event 2  confirmed  id=r1  source=/tests  broker=default/shop",
        "    TIME  accepted",
        "    TIME  default/mail  attempt 1  202 after N ms: delivered",
        "                              default/flaky  not matched",
    ]


async def test_a_trace_tells_of_the_dead_letter_sink_and_of_what_was_kept(world: World, events: Events) -> None:
    refusing = await world.subscriber(lambda _: web.Response(status=400))
    await world.trigger("refusing", refusing)
    await world.send("8")
    (attempt,) = (await told(events, lambda t: t["attempts"], "trace", "8"))["attempts"]
    assert (attempt["status"], attempt["outcome"]) == (400, "kept")
    assert attempt["reason"] == "subscriber: answered 400"


async def test_events_are_listed_and_got_without_any_trigger(world: World, events: Events) -> None:
    for number in range(5):
        await world.send(f"e{number}", body=b'{"n": %d}' % number, type="order" if number % 2 else "bill", subject="s")
    code, out, _ = await events("list", "shop", "--limit", "3")
    assert code == 0
    assert [line.split()[5] for line in out.splitlines()] == ["ID", "e2", "e3", "e4"]
    listed = await told(events, lambda rows: True, "list", "--filter", "type = 'bill' AND EXISTS subject")
    assert [row["event"]["id"] for row in listed] == ["e0", "e2", "e4"]
    assert await told(events, lambda rows: True, "list", "--type", "bill", "--until", "1h") == []
    assert len(await told(events, lambda rows: True, "list", "--since", "1h", "--type", "order")) == 2
    assert (await told(events, lambda row: True, "get", "e3"))["event"]["data"] == {"n": 3}
    code, out, _ = await events("get", "e3")
    assert re.search(r"subject +s\n", out)
    assert out.endswith('data:\n{\n  "n": 3\n}\n')


async def test_why_an_event_did_not_match_is_told_of_the_event_itself(world: World, events: Events) -> None:
    await world.send("f1", subject="vip-1")
    code, out, _ = await events("test-filter", "--id", "f1", "--filter", "priority > 3 OR subject LIKE 'vip-%'")
    assert code == 1
    assert out.endswith("column 1: priority fails (missingAttribute): the event has no attribute priority\n")
    assert (await events("test-filter", "--sequence", "1", "--filter", "subject LIKE 'vip-%'"))[0] == 0
    code, _, err = await events("test-filter", "--filter", "TRUE")
    assert (code, err) == (2, "eventmesh: name an event: a FILE, --id or --sequence\n")


async def test_data_cannot_play_with_the_terminal(world: World, events: Events) -> None:
    headers = {**event_headers("odd"), "content-type": "text/plain"}
    assert (await world.ask(body=b"\x1b[2Jfine\n", headers=headers)).status == 202
    code, out, _ = await events("get", "odd")
    assert code == 0
    assert out.endswith("data:\n\\x1b[2Jfine\n\n")


async def test_an_id_that_several_sources_use_asks_which(world: World, events: Events) -> None:
    for source in ("/a", "/b", "/a"):
        await world.send("1", source=source)
    asked = "eventmesh: 2 sources use the id '1': name one of /a, /b with --source\n"
    assert await events("get", "1") == (2, "", asked)
    code, out, err = await events("get", "1", "--source", "/a", "-o", "json")
    assert (code, json.loads(out)["sequence"]) == (0, 3)
    assert err == "eventmesh: shown is the newest of 2 events with this id; before it: 1\n"


async def test_tail_follows_events_and_attempts(world: World, events: Events) -> None:
    subscriber = await world.subscriber()
    await world.trigger("all", subscriber)
    printed: list[Printed] = []

    async def follow() -> None:
        printed.append(await events("tail", "--max", "2", "--type", "order"))

    follows = TaskGroup("tail").spawn("tail", follow())
    async with asyncio.timeout(WAIT_S):
        number = 0
        while not follows.done():
            # Following begins some time after the command does.
            await world.send(f"t{number}", type="order" if number % 2 else "bill")
            number += 1
            await asyncio.wait((follows,), timeout=0.05)
    ((code, out, _),) = printed
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 2)
    assert "  event " in lines[0]
    assert all(re.search(r"id=t\d*[13579]\b", line) for line in lines)


async def test_dead_letters_are_shown_and_redriven_to_the_trigger_that_gave_them_up(
    world: World, events: Events
) -> None:
    broken = True
    mends = await world.subscriber(lambda _: web.Response(status=400, text="no such order") if broken else None)
    other = await world.subscriber()
    await world.trigger("mends", mends)
    await world.trigger("other", other)
    for number in range(3):
        await world.send(f"d{number}")
    dead = await told(events, lambda rows: len(rows) == 3, "dead", "list", "--trigger", "mends")
    assert {row["event"]["id"] for row in dead} == {"d0", "d1", "d2"}
    code, out, err = await events("dead", "get", "d1")
    assert code == 0, err
    assert re.search(r"^reason +subscriber: answered 400$", out, re.MULTILINE)
    assert re.search(rf"^knativeerrordest +{mends.url}$", out, re.MULTILINE)
    assert re.search(r"^knativeerrorcode +400$", out, re.MULTILINE)
    letter = await told(events, lambda row: True, "dead", "get", "d1")
    assert base64.b64decode(letter["event"]["knativeerrordata"]) == b"no such order"
    assert (letter["attempts"], letter["trigger"]) == (1, "default/mends")

    would = await told(events, lambda rows: True, "redrive", "--dry-run")
    assert [row["id"] for row in would] == ["d0", "d1", "d2"]
    broken = False
    assert [row["id"] for row in await told(events, lambda rows: True, "redrive", "--id", "d1")] == ["d1"]
    await mends.until(lambda: mends.ids() == {"d1"})
    code, out, err = await events("redrive", "shop", "--trigger", "mends", "--rate", "1000")
    assert (code, err) == (0, "eventmesh: 2 dead letters will be delivered again\n")
    await mends.until(lambda: mends.ids() == {"d0", "d1", "d2"})
    assert len(other.got) == 3, "nobody else gets them again"
    trace = await told(events, lambda row: row["attempts"][-1].get("outcome") == "delivered", "trace", "d1")
    mine = [row for row in trace["attempts"] if row["trigger"] == "default/mends"]
    assert [(row.get("status"), row.get("outcome"), row.get("reason")) for row in mine] == [
        (400, "kept", "subscriber: answered 400"),
        (None, None, "redriven"),
        (202, "delivered", None),
    ]
    assert await told(events, lambda rows: True, "dead", "list") == []
    assert await told(events, lambda rows: not rows, "queued") == []


async def test_a_part_of_the_past_is_replayed_to_one_trigger(world: World, events: Events) -> None:
    wanted, other = await world.subscriber(), await world.subscriber()
    await world.trigger("wanted", wanted, type="order")
    await world.trigger("other", other)
    for number in range(6):
        await world.send(f"p{number}", type="order" if number % 2 else "bill", n=str(number))
    await told(events, lambda t: "default/wanted" in str(t["attempts"]), "trace", "p5")
    await other.until(lambda: len(other.got) == 6)
    code, out, err = await events("replay", "shop", "--trigger", "wanted", "--since", "1h", "--dry-run")
    assert (code, err) == (0, "eventmesh: 3 events would be delivered again\n")
    assert [line.split()[3] for line in out.splitlines()] == ["ID", "p1", "p3", "p5"]
    words = ("replay", "shop", "--trigger", "wanted", "--since", "1h", "--filter", "INT(n) > 2", "--rate", "100")
    begun = await told(events, lambda row: True, *words)
    assert (begun["trigger"], begun["filter"], begun["rate"]) == ("default/wanted", "INT(n) > 2", 100.0)
    await wanted.until(lambda: [event.id for event in wanted.got].count("p5") >= 2)
    trace = await told(events, lambda t: "replayed (1)" in str(t["attempts"]), "trace", "p3")
    notes = [row.get("reason") for row in trace["attempts"] if row["trigger"] == "default/wanted"]
    assert notes[:2] == [None, "replayed (1)"]
    assert [event.id for event in wanted.got].count("p1") == 1, "the filter of the replay holds"
    assert len(other.got) == 6, "nobody else gets them again"
    assert await told(events, lambda rows: not rows, "replays") == []


COMPLAINTS = {
    ("replay", "shop", "--trigger", "t"): "say which part of the past: --since, --until or --filter",
    ("replay", "shop", "--trigger", "t", "--since", "1h"): "trigger: no trigger 'default/t' of the broker",
    ("replays", "--stop", "9"): "number: no replay 9 is under way",
    ("dead", "get", "nothing"): "no dead letter has the id 'nothing'",
    ("redrive", "--rate", "-1"): "rate: must be 0 (no limit) to 1000000 events a second, not -1.0",
    ("list", "--filter", "type ="): "filter: ",
    ("list", "--since", "yesterday"): "--since: 'yesterday' is neither a time",
    ("list", "--limit", "0"): "--limit: must be at least 1, not 0",
    ("get",): "name the event by its ID, or by --sequence",
    ("get", "nothing"): "no event with the id 'nothing'",
    ("trace", "--sequence", "99"): "event 99 is not in the store",
    ("list", "a/b"): "broker: 'default/a/b' is not NAMESPACE/NAME",
}
REFUSALS = {
    "/events": (400, "namespace: name a namespace"),
    "/events?namespace=default&colour=red": (400, "colour: is no parameter here"),
    "/events?namespace=default&namespace=other": (400, "namespace: is given twice"),
    "/events?namespace=default&limit=501": (400, "limit: must be 1 to 500, not 501"),
    "/events?namespace=default&after=-1": (400, "after: '-1' is not a whole number"),
    "/events?namespace=default&order=up": (400, "order: must be oldest or newest"),
    "/events?namespace=default&since=2026-01-01T00:00:00": (400, "since: '2026-01-01T00:00:00' has no time zone"),
    f"/events/{'9' * 19}": (400, "sequence: '9999999999999999999' is not a whole number"),
    "/events/1/what": (404, "there are /events, /events/tail, "),
    "/events/redrive": (405, "GET /events/dead, "),
    "/events/dead?namespace=a%2Fb": (400, "namespace: name a namespace"),
}


async def test_what_cannot_be_told_is_said_with_the_flag_or_parameter_at_fault(world: World, events: Events) -> None:
    for words, complaint in COMPLAINTS.items():
        code, out, err = await events(*words)
        assert (code, out) == (2, "")
        assert err.startswith(f"eventmesh: {complaint}")
    for path, (status, text) in REFUSALS.items():
        answer = await world.ask_admin(path)
        assert (answer.status, answer.text[: len(text)]) == (status, text)


async def test_an_activator_that_is_away_is_told_as_unavailable(capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["events", "list", "--admin", "127.0.0.1:1"]) == 3
    assert "the activator's admin port 127.0.0.1:1 cannot be reached" in capsys.readouterr().err
