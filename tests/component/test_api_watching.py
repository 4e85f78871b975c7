"""What is watched over HTTP: beginnings, bookmarks, ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.component.browser import MAPS, Browser, create_map
from tests.waiting import WAIT_S


async def lines(http: Browser, query: str, count: int, path: str = MAPS) -> list[Any]:
    """Return the first `count` lines of a watch."""
    async with asyncio.timeout(WAIT_S), http.session.get(f"{path}?watch=1&{query}") as response:
        assert response.status == 200, await response.text()
        return [json.loads(await response.content.readline()) for _ in range(count)]


async def test_watch_list_sends_what_exists_then_a_marked_bookmark(http: Browser) -> None:
    await create_map(http, "a")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    added, bookmark = await lines(http, query, 2)
    assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert bookmark["type"] == "BOOKMARK"
    metadata = bookmark["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(metadata["resourceVersion"]) >= int(added["object"]["metadata"]["resourceVersion"])


async def test_plain_watch_is_not_told_where_the_beginning_ends(http: Browser) -> None:
    await create_map(http, "a")
    added, bookmark = await lines(http, "allowWatchBookmarks=true", 2)
    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert "annotations" not in bookmark["object"]["metadata"]


async def test_watch_list_of_a_version_to_come_is_refused(http: Browser) -> None:
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999"
    answer = await http("GET", f"{MAPS}?watch=1&{query}")
    assert (answer.status, answer.json["reason"]) == (504, "Timeout")


async def test_watch_without_bookmarks_gets_none(http: Browser) -> None:
    await create_map(http, "a")
    async with asyncio.timeout(WAIT_S), http.session.get(f"{MAPS}?watch=1&timeoutSeconds=1") as response:
        text = await response.text()
    assert [json.loads(line)["type"] for line in text.splitlines()] == ["ADDED"]


async def test_watch_of_one_object_by_path(http: Browser) -> None:
    await create_map(http, "a")
    await create_map(http, "b")
    [event] = await lines(http, "", 1, f"{MAPS}/b")
    assert event["object"]["metadata"]["name"] == "b"


async def test_watch_in_table_form_wraps_each_event(http: Browser) -> None:
    await create_map(http, "a")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with asyncio.timeout(WAIT_S), http.session.get(f"{MAPS}?watch=1", headers=accept) as response:
        event = json.loads(await response.content.readline())
    assert event["object"]["kind"] == "Table" and len(event["object"]["rows"]) == 1


async def test_watch_from_a_forgotten_version_is_gone(http: Browser) -> None:
    await create_map(http, "a")
    http.api.store.compact(http.api.store.revision)
    answer = await http("GET", f"{MAPS}?watch=1&resourceVersion=1")
    assert (answer.status, answer.json["reason"]) == (410, "Expired")


@pytest.mark.parametrize("query", ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan"])
async def test_watch_options_that_do_not_go_together(http: Browser, query: str) -> None:
    answer = await http("GET", f"{MAPS}?watch=1&{query}")
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")


async def test_watcher_that_leaves_is_forgotten(http: Browser) -> None:
    async with http.session.get(f"{MAPS}?watch=1") as response:
        assert response.status == 200
        assert len(http.api.store._watches["configmaps"]) >= 1
        before = len(http.api.store._watches["configmaps"])
        response.close()
    async with asyncio.timeout(WAIT_S):
        while len(http.api.store._watches["configmaps"]) >= before:
            await asyncio.sleep(0.01)
