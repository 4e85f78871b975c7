from __future__ import annotations

import random
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.fieldset import (
    FieldSet,
    checked,
    common,
    field_set,
    keys_element,
    minus,
    outside,
    path_text,
    paths,
    union,
    value_element,
)

Path = tuple[str, ...]
ELEMENTS = ("f:a", "f:b", 'k:{"name":"c"}', 'v:"d"')


def random_paths(source: random.Random) -> set[Path]:
    return {tuple(source.choices(ELEMENTS, k=source.randint(1, 4))) for _ in range(source.randint(0, 9))}


def of(members: set[Path]) -> FieldSet:
    return field_set(*members)


def test_a_set_is_spelt_as_fields_v1() -> None:
    spelt = field_set(("f:a",), ("f:a", "f:b"), ("f:c", "f:d"))
    assert spelt == {"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}}
    assert list(paths(spelt)) == [("f:a",), ("f:a", "f:b"), ("f:c", "f:d")]


@pytest.mark.parametrize("seed", range(200))
def test_the_operations_are_those_of_sets(seed: int) -> None:
    source = random.Random(seed)
    one, other = random_paths(source), random_paths(source)
    assert set(paths(of(one))) == one
    assert set(paths(union(of(one), of(other)))) == one | other
    assert set(paths(minus(of(one), of(other)))) == one - other
    assert set(paths(common(of(one), of(other)))) == one & other
    below = {path for path in one if any(path[: len(place)] == place for place in other)}
    assert set(paths(outside(of(one), of(other)))) == one - below


@pytest.mark.parametrize("seed", range(50))
def test_operations_leave_their_operands_and_spell_equal_sets_alike(seed: int) -> None:
    source = random.Random(seed)
    one, other = random_paths(source), random_paths(source)
    first, second = of(one), of(other)
    assert union(first, second) == union(second, first) == of(one | other)
    assert minus(first, second) == of(one - other) and common(first, second) == of(one & other)
    assert (first, second) == (of(one), of(other))


def test_paths_read_as_in_conflicts() -> None:
    keys = keys_element({"protocol": "TCP", "containerPort": 80})
    assert keys == 'k:{"containerPort":80,"protocol":"TCP"}'
    assert path_text(("f:spec", "f:ports", keys, "f:name")) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    assert path_text(("f:metadata", "f:finalizers", value_element("x"))) == '.metadata.finalizers[="x"]'
    assert path_text(("f:a", "i:3")) == ".a[3]"


@pytest.mark.parametrize(
    "value", [[], {"x": {}}, {"f:a": 1}, {"k:nothing": {}}, {"k:[1]": {}}, {"v:": {}}, {"f:a": {"g": {}}}]
)
def test_what_is_no_set_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="fieldsV1"):
        checked(value)
