from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventmesh.cluster.api import shared_sets as subject
from eventmesh.cluster.api.embedded import SHARE_AFTER_S
from eventmesh.cluster.api.shared_sets import SharedSets
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock

SPACE = "kube-public"


def managed(*sets: Object) -> Object:
    return {"metadata": {"name": "a", "managedFields": [{"manager": "m", "fieldsV1": one} for one in sets]}}


def fields_of(obj: Object, entry: int = 0) -> Object:
    found: Object = obj["metadata"]["managedFields"][entry]["fieldsV1"]
    return found


def test_equal_sets_become_one_and_say_what_they_said() -> None:
    text = '{"f:spec":{".":{},"f:a":{},"k:{\\"name\\":\\"x\\"}":{"f:b":{}}},"f:status":{"f:b":{}}}'
    one, other = managed(json.loads(text), json.loads('{"f:data":{}}')), managed(json.loads(text))
    sets = SharedSets()
    sets.take(one)
    sets.take(other)
    assert fields_of(one) is fields_of(other)
    assert json.dumps(fields_of(one), separators=(",", ":")) == text
    # Parts of different sets too.
    assert fields_of(one)["f:status"] is fields_of(one)["f:spec"]['k:{"name":"x"}']


def test_sets_that_differ_below_stay_apart() -> None:
    one, other = managed({"f:spec": {"f:a": {}}}), managed({"f:spec": {"f:a": {".": {}}}})
    sets = SharedSets()
    sets.take(one)
    sets.take(other)
    assert fields_of(one) == {"f:spec": {"f:a": {}}}
    assert fields_of(other) == {"f:spec": {"f:a": {".": {}}}}


def test_more_sets_than_may_be_remembered_are_still_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_SETS", 10)
    sets = SharedSets()
    for number in range(100):
        obj = managed({"f:data": {f"f:{number}": {}}})
        sets.take(obj)
        assert fields_of(obj) == {"f:data": {f"f:{number}": {}}}
    assert len(sets._known) <= 12


async def test_objects_share_when_written_and_those_of_a_former_start_soon_after(tmp_path: Path) -> None:
    def named(name: str) -> Object:
        return {"metadata": {"name": name}, "data": {"k": "v"}}

    clock = ManualClock()
    async with embedded(tmp_path, clock) as cluster:
        api = cluster.in_process()
        one, other = [await api.create(CONFIG_MAP, named(name), SPACE) for name in ("a", "b")]
        assert fields_of(one) is fields_of(other)
    async with embedded(tmp_path, clock) as cluster:
        api = cluster.in_process()
        await clock.advance(SHARE_AFTER_S)
        one, other = [await api.get(CONFIG_MAP, name, SPACE) for name in ("a", "b")]
        for _ in range(10_000):
            if fields_of(one) is fields_of(other):
                break
            await clock.sleep(0)
        assert fields_of(one) is fields_of(other)
        assert fields_of(one) == {"f:data": {".": {}, "f:k": {}}}
