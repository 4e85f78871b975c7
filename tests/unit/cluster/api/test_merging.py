from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from eventmesh.cluster.api.builtin.types import kind_schema
from eventmesh.cluster.api.fieldset import field_set, paths
from eventmesh.cluster.api.merging import (
    UnmergeableError,
    check_mergeable,
    difference,
    fields_of,
    merge,
    with_named_fields,
    without,
)

TEXT = {"type": "string"}
GUESTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object", "properties": {"name": TEXT, "seat": {"type": "integer"}}},
}
SCHEMA: dict[str, Any] = {
    "properties": {
        "spec": {
            "properties": {
                "guests": GUESTS,
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
                "order": {"type": "array", "items": TEXT},
                "place": {"x-kubernetes-map-type": "atomic", "properties": {"room": TEXT, "floor": TEXT}},
                "inner": {"properties": {"x": TEXT, "y": TEXT}},
                "labels": {"additionalProperties": TEXT},
            }
        }
    }
}


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def fields(*names: str) -> list[tuple[str, ...]]:
    return sorted(("f:spec", *name.split("/")) for name in names)


def test_an_object_owns_its_leaves_its_items_and_the_keys_of_its_maps() -> None:
    value = spec(
        guests=[{"name": "ann", "seat": 1}], tags=["a"], order=["x"], place={"room": "r"}, inner={"x": "1"}, labels={}
    )
    ann = 'f:guests/k:{"name":"ann"}'
    assert sorted(paths(fields_of(SCHEMA, value))) == fields(
        ann, f"{ann}/f:name", f"{ann}/f:seat", 'f:tags/v:"a"', "f:order", "f:place", "f:inner/f:x", "f:labels"
    )


def test_what_no_schema_speaks_of_is_maps_of_maps_with_whole_lists() -> None:
    found = fields_of({}, {"any": {"thing": [{"name": "x"}], "else": {}}})
    assert sorted(paths(found)) == [("f:any",), ("f:any", "f:else"), ("f:any", "f:thing")]


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        (["a", "b"], ["c"], ["a", "b", "c"]),
        (["a", "b"], ["b", "a"], ["b", "a"]),
        (["a", "x", "b"], ["b", "a"], ["x", "b", "a"]),
        (["app", "injected"], ["app", "new"], ["app", "injected", "new"]),
        (["a", "z"], ["new", "a"], ["new", "a", "z"]),
        ([], ["a", "b"], ["a", "b"]),
        (["a"], [], ["a"]),
    ],
)
def test_lists_merge_in_the_order_applied_and_keep_the_items_of_others(
    live: list[str], config: list[str], merged: list[str]
) -> None:
    assert merge(SCHEMA, spec(tags=live), spec(tags=config)) == spec(tags=merged)
    named = merge(SCHEMA, spec(guests=[{"name": n} for n in live]), spec(guests=[{"name": n} for n in config]))
    assert [item["name"] for item in named["spec"]["guests"]] == merged


def test_atomic_values_are_replaced_whole() -> None:
    live = spec(order=["x", "y"], place={"room": "r", "floor": "f"}, inner={"x": "1", "y": "2"})
    merged = merge(SCHEMA, live, spec(order=["z"], place={"room": "s"}, inner={"y": "3"}))
    assert merged == spec(order=["z"], place={"room": "s"}, inner={"x": "1", "y": "3"})


def test_a_value_of_another_type_takes_the_place_of_the_old() -> None:
    assert merge(SCHEMA, spec(inner="text"), spec(inner={"x": "1"})) == spec(inner={"x": "1"})
    change = difference(SCHEMA, spec(inner={"x": "1"}), spec(inner="text"))
    assert list(paths(change.written)) == fields("f:inner") and list(paths(change.removed)) == fields("f:inner/f:x")


def test_difference_names_what_changed_and_nothing_else() -> None:
    old = spec(guests=[{"name": "ann", "seat": 1}, {"name": "bob"}], tags=["a", "b"], order=["x"], labels={"k": "v"})
    new = spec(guests=[{"name": "ann", "seat": 2}, {"name": "cid"}], tags=["b", "c"], order=["x"], labels={"k": "w"})
    change = difference(SCHEMA, old, new)
    cid, bob = 'f:guests/k:{"name":"cid"}', 'f:guests/k:{"name":"bob"}'
    ann = 'f:guests/k:{"name":"ann"}/f:seat'
    assert sorted(paths(change.written)) == fields(ann, cid, f"{cid}/f:name", 'f:tags/v:"c"', "f:labels/f:k")
    assert sorted(paths(change.removed)) == fields(bob, f"{bob}/f:name", 'f:tags/v:"a"')
    assert not difference(SCHEMA, old, copy.deepcopy(old))


def random_spec(source: random.Random) -> dict[str, Any]:
    names = ["ann", "bob", "cid", "dan"]
    chosen: dict[str, Any] = {
        "guests": [{"name": n, "seat": source.randint(0, 2)} for n in source.sample(names, source.randint(0, 4))],
        "tags": source.sample("abcd", source.randint(0, 4)),
        "order": source.choices("xy", k=source.randint(0, 2)),
        "inner": {name: source.choice("12") for name in source.sample("xy", source.randint(0, 2))},
        "labels": {name: source.choice("12") for name in source.sample("pq", source.randint(0, 2))},
    }
    return spec(**{name: chosen[name] for name in source.sample(sorted(chosen), source.randint(0, 5))})


@pytest.mark.parametrize("seed", range(200))
def test_merging_twice_is_merging_once_and_leaves_the_operands(seed: int) -> None:
    source = random.Random(seed)
    live, config = random_spec(source), random_spec(source)
    before = copy.deepcopy((live, config))
    merged = merge(SCHEMA, live, config)
    assert merge(SCHEMA, merged, config) == merged and (live, config) == before
    written = set(paths(difference(SCHEMA, live, merged).written))
    assert not difference(SCHEMA, live, merged).removed or any(path[1] in ("f:order",) for path in written)


@pytest.mark.parametrize("seed", range(200))
def test_taking_away_all_fields_leaves_nothing_of_them(seed: int) -> None:
    source = random.Random(seed)
    value = random_spec(source)
    left = without(SCHEMA, value, fields_of(SCHEMA, value))
    assert not fields_of(SCHEMA, left or {})


def test_taking_an_item_away_takes_all_of_it_and_nothing_else() -> None:
    value = spec(guests=[{"name": "ann", "seat": 1}, {"name": "bob"}], tags=["a", "b"])
    gone = field_set(("f:spec", "f:guests", 'k:{"name":"ann"}'), ("f:spec", "f:tags", 'v:"b"'))
    assert without(SCHEMA, value, gone) == spec(guests=[{"name": "bob"}], tags=["a"])
    assert without(SCHEMA, spec(tags=["b"]), gone) is None


def test_fields_the_schema_names_count_with_what_is_in_them() -> None:
    whole = with_named_fields(SCHEMA, field_set(("f:spec", "f:labels", "f:k"), ("f:spec", "f:tags", 'v:"a"')))
    assert list(paths(whole)) == [
        ("f:spec",),
        ("f:spec", "f:labels"),
        ("f:spec", "f:tags"),
        ("f:spec", "f:labels", "f:k"),
        ("f:spec", "f:tags", 'v:"a"'),
    ]


def test_lists_that_cannot_be_merged_are_named() -> None:
    with pytest.raises(UnmergeableError, match=r'\.spec\.guests: element 1: .* omits key field "name"'):
        check_mergeable(SCHEMA, spec(guests=[{"name": "ann"}, {"seat": 2}]))
    with pytest.raises(UnmergeableError, match=r'\.spec\.guests: duplicate entries for key \[name="ann"\]'):
        check_mergeable(SCHEMA, spec(guests=[{"name": "ann"}, {"name": "ann"}]))
    with pytest.raises(UnmergeableError, match=r'\.spec\.tags: duplicate entries for key \[="a"\]'):
        check_mergeable(SCHEMA, spec(tags=["a", "a"]))
    check_mergeable(SCHEMA, spec(order=["x", "x"]))


def test_a_stored_list_that_cannot_be_merged_is_taken_whole() -> None:
    live = spec(guests=[{"name": "ann"}, {"name": "ann"}])
    assert list(paths(fields_of(SCHEMA, live))) == fields("f:guests")
    assert merge(SCHEMA, live, spec(guests=[{"name": "bob"}])) == spec(guests=[{"name": "bob"}])


def test_a_key_left_out_is_its_default() -> None:
    schema = kind_schema("v1", "Service")
    assert schema is not None
    live = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]}}
    merged = merge(schema, live, {"spec": {"ports": [{"port": 80, "name": "http"}, {"port": 80, "protocol": "UDP"}]}})
    first, second = merged["spec"]["ports"]
    assert first == {"port": 80, "protocol": "TCP", "targetPort": 8080, "name": "http"} and second["protocol"] == "UDP"
