"""What is read over HTTP: tables, lists in chunks, lists as they were."""

from __future__ import annotations

import pytest

from tests.component.browser import MAPS, Browser, create_map


async def test_table_is_given_when_asked_for_first(http: Browser) -> None:
    await create_map(http, "a", k="v")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = (await http("GET", MAPS, Accept=accept)).json
    assert (table["kind"], [column["name"] for column in table["columnDefinitions"]]) == (
        "Table",
        ["Name", "Data", "Age"],
    )
    [row] = table["rows"]
    assert row["cells"][:2] == ["a", 1] and row["object"]["kind"] == "PartialObjectMetadata"
    full = (await http("GET", f"{MAPS}/a?includeObject=Object", Accept=accept)).json
    assert full["rows"][0]["object"]["data"] == {"k": "v"}
    bare = (await http("GET", f"{MAPS}?includeObject=None", Accept=accept)).json
    assert bare["rows"][0]["object"] is None
    plain = (await http("GET", MAPS, Accept=f"application/json,{accept}")).json
    assert plain["kind"] == "ConfigMapList"


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("resourceVersion=999999", 504, "Timeout"),
        ("continue=abc", 400, "BadRequest"),
        ("continue=e30", 400, "BadRequest"),
        ("continue=eyJ2IjoidjkiLCJydiI6MSwic3RhcnQiOiJhL2IifQ", 400, "BadRequest"),
        ("continue=eyJ2IjoidjkiLCJydiI6MSwic3RhcnQiOiJhL2IifQ&resourceVersion=5", 400, "BadRequest"),
        ("continue=x&resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=1&resourceVersionMatch=Roughly", 422, "Invalid"),
        ("sendInitialEvents=true", 422, "Invalid"),
        ("limit=-1", 400, "BadRequest"),
        ("resourceVersion=abc", 400, "BadRequest"),
        ("labelSelector=a=b=c", 400, "BadRequest"),
    ],
)
async def test_lists_that_cannot_be_given(http: Browser, query: str, code: int, reason: str) -> None:
    answer = await http("GET", f"{MAPS}?{query}")
    assert (answer.status, answer.json["reason"]) == (code, reason)


async def test_chunks_are_one_list_as_of_one_version(http: Browser) -> None:
    for name in "abcde":
        await create_map(http, name)
    first = (await http("GET", f"{MAPS}?limit=2")).json
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await http("DELETE", f"{MAPS}/c")
    await create_map(http, "bb")
    second = (await http("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    last = (await http("GET", f"{MAPS}?continue={second['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in last["items"]] == ["e"]
    assert "continue" not in last["metadata"]


async def test_token_of_a_forgotten_version_comes_with_one_that_goes_on(http: Browser) -> None:
    for name in "abc":
        await create_map(http, name)
    first = (await http("GET", f"{MAPS}?limit=1")).json
    await create_map(http, "bb")
    http.api.store.compact(http.api.store.revision)
    gone = await http("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}")
    assert (gone.status, gone.json["reason"]) == (410, "Expired")
    rest = (await http("GET", f"{MAPS}?continue={gone.json['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "bb", "c"]


async def test_selected_chunks_do_not_tell_how_many_remain(http: Browser) -> None:
    for name in "abc":
        await http("POST", MAPS, {"metadata": {"name": name, "labels": {"x": "y"}}})
    part = (await http("GET", f"{MAPS}?limit=2&labelSelector=x=y")).json
    assert "continue" in part["metadata"] and "remainingItemCount" not in part["metadata"]


async def test_exact_list_shows_what_was(http: Browser) -> None:
    created = await create_map(http, "a", k="old")
    version = created["metadata"]["resourceVersion"]
    await http("PATCH", f"{MAPS}/a", {"data": {"k": "new"}}, media="application/merge-patch+json")
    past = (await http("GET", f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")).json
    assert past["items"][0]["data"] == {"k": "old"} and past["metadata"]["resourceVersion"] == version
    http.api.store.compact(http.api.store.revision)
    for query in ("resourceVersion=1&resourceVersionMatch=Exact", "resourceVersion=1&limit=1"):
        answer = await http("GET", f"{MAPS}?{query}")
        assert (answer.status, answer.json["reason"]) == (410, "Expired")
    now = (await http("GET", f"{MAPS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")).json
    assert now["items"][0]["data"] == {"k": "new"}
