from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.patch import MAX_COPIED_BYTES, MAX_JSON_PATCH_OPERATIONS, apply_patch, merge_patch
from eventmesh.kube.api import ApiError, PatchType


def obj(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, **fields}


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [  # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_the_rfc_has_it(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


def strategic(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    result = apply_patch(obj(**target), patch, PatchType.STRATEGIC, is_custom=False)
    del result["metadata"]
    return result


CONTAINERS: dict[str, Any] = {
    "containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]
}


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        (
            CONTAINERS,
            {"containers": [{"name": "a", "image": "2"}]},
            {
                "containers": [
                    {"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}]},
                    {"name": "b"},
                ]
            },
        ),
        (
            CONTAINERS,
            {"containers": [{"name": "c"}], "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]},
            {"containers": [{"name": "c"}, CONTAINERS["containers"][0], {"name": "b"}]},
        ),
        (
            CONTAINERS,
            {"containers": [{"$patch": "delete", "name": "a"}]},
            {"containers": [{"name": "b"}]},
        ),
        (
            CONTAINERS,
            {"containers": [{"$patch": "replace"}, {"name": "z"}]},
            {"containers": [{"name": "z"}]},
        ),
        (
            {"ports": [{"port": 80, "targetPort": 1}]},
            {"ports": [{"port": 80, "targetPort": 2}, {"port": 81}]},
            {"ports": [{"port": 80, "targetPort": 2}, {"port": 81}]},
        ),
        (
            {"ports": [{"containerPort": 80}]},
            {"ports": [{"containerPort": 80, "name": "http"}]},
            {"ports": [{"containerPort": 80, "name": "http"}]},
        ),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
        (
            {"finalizers": ["a", "b"]},
            {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b", "c"]},
        ),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
        ),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$patch": "replace", "d": 3}}, {"a": {"d": 3}}),
        ({"a": {"b": 1}, "x": 1}, {"a": {"$patch": "delete"}}, {"x": 1}),
        ({"a": {"b": 1}}, {"a": None}, {}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_strategic_merge(target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert strategic(target, patch) == expected


def test_strategic_merge_leaves_its_inputs_alone() -> None:
    target = obj(**CONTAINERS)
    apply_patch(target, {"containers": [{"name": "a", "image": "9"}]}, PatchType.STRATEGIC, is_custom=False)
    assert target == obj(**CONTAINERS) and CONTAINERS["containers"][0]["image"] == "1"


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ({"$patch": "explode"}, "unknown patch directive"),
        ({"containers": [{"image": "nameless"}]}, "does not contain declared merge key: name"),
        (["not a mapping"], "must be an object"),
        ({"metadata": None}, "does not leave an object with metadata"),
    ],
)
def test_wrong_strategic_patch_is_named(patch: Any, problem: str) -> None:
    with pytest.raises(ApiError, match=problem) as failure:
        apply_patch(obj(**CONTAINERS), patch, PatchType.STRATEGIC, is_custom=False)
    assert failure.value.code == 400


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"op": "add"}, 400),
        ([{"op": "add", "path": "/x"}], 422),
        ([{"op": "remove", "path": "/missing"}], 422),
        ([{"op": "test", "path": "/metadata/name", "value": "b"}], 422),
        ([{"op": "test", "path": "/metadata/name", "value": "a"}] * (MAX_JSON_PATCH_OPERATIONS + 1), 413),
    ],
)
def test_json_patch_that_cannot_be_applied(patch: Any, code: int) -> None:
    with pytest.raises(ApiError) as failure:
        apply_patch(obj(), patch, PatchType.JSON, is_custom=True)
    assert failure.value.code == code


def test_apply_is_not_a_patch_we_take() -> None:
    with pytest.raises(ApiError) as failure:
        apply_patch(obj(), {}, PatchType.APPLY, is_custom=False)
    assert failure.value.code == 400


def test_copies_of_copies_are_bounded() -> None:
    doubling = [{"op": "copy", "from": "/data", "path": f"/data/{number}"} for number in range(40)]
    with pytest.raises(ApiError, match=f"copies add more than {MAX_COPIED_BYTES} bytes") as refused:
        apply_patch(obj(data={"a": "x"}), doubling, PatchType.JSON, is_custom=True)
    assert refused.value.code == 422
    few = apply_patch(obj(data={"a": "x"}), doubling[:2], PatchType.JSON, is_custom=True)
    assert few["data"] == {"a": "x", "0": {"a": "x"}, "1": {"a": "x", "0": {"a": "x"}}}


def test_a_field_that_is_not_there_passes_the_test_for_null() -> None:
    patch = [{"op": "test", "path": "/data/none", "value": None}]
    obj = {"metadata": {}, "data": {"a": "b"}}
    assert apply_patch(obj, patch, PatchType.JSON, is_custom=True) == obj
    for path in ("/data/a", "/none/none"):
        with pytest.raises(ApiError):
            apply_patch(obj, [{**patch[0], "path": path}], PatchType.JSON, is_custom=True)


def test_a_json_patch_replaces_a_field_that_is_not_there() -> None:
    """As the library of the API server does; the RFC would have it an error."""
    patched = apply_patch(obj(), [{"op": "replace", "path": "/absent", "value": 1}], PatchType.JSON, is_custom=True)
    assert patched["absent"] == 1


@pytest.mark.parametrize("operation", ["remove", "replace", "test", "move", "copy"])
def test_the_place_behind_the_last_item_is_only_for_adding(operation: str) -> None:
    thing = {**obj(), "items": [1]}
    step = {"op": operation, "path": "/items/-", "from": "/items/-", "value": 1}
    with pytest.raises(ApiError) as failure:
        apply_patch(thing, [step], PatchType.JSON, is_custom=True)
    assert failure.value.code == 422
