"""JSON as values of declared Java types, and Java values as JSON."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from eventmesh.protocols.hessian.json_values import MAX_JSON_TEXT, MAX_JSON_VALUES, Unfit, fits, from_json, to_json
from eventmesh.protocols.hessian.values import MAX_DEPTH, JavaObject, Long, TypedList


@pytest.mark.parametrize(
    ("java_type", "value", "carried"),
    [
        ("boolean", True, True),
        ("byte", -128, -128),
        ("short", 32767, 32767),
        ("int", -(2**31), -(2**31)),
        ("long", 5, Long(5)),
        ("java.lang.Long", 2**62, Long(2**62)),
        ("double", 1, 1.0),
        ("float", 0.5, 0.5),
        ("char", "é", "é"),
        ("java.lang.String", "tea", "tea"),
        ("byte[]", "aGk=", b"hi"),
        ("java.util.Date", "1970-01-01T01:00:00+01:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("java.lang.String[]", ["a"], TypedList("[string", ["a"])),
        ("long[]", [1], TypedList("[long", [Long(1)])),
        ("java.util.List", [1, "a"], [1, "a"]),
        ("java.util.Map", {"a": 1}, {"a": 1}),
        ("java.lang.Object", [{"a": None}], [{"a": None}]),
        ("java.lang.Integer", None, None),
        ("java.util.List", None, None),
    ],
)
def test_json_is_carried_as_its_type_wants_it(java_type: str, value: object, carried: object) -> None:
    assert from_json(value, java_type, "data") == carried


def test_an_object_is_of_the_declared_class_and_inside_of_one_that_is_named() -> None:
    made = from_json({"a": {"b": 1}, "c": [{"@class": "shop.Item", "d": 2}]}, "shop.Order", "data")
    assert isinstance(made, JavaObject) and made.class_name == "shop.Order"
    assert made.fields["a"] == {"b": 1}
    items = made.fields["c"]
    assert isinstance(items, list)
    item = items[0]
    assert isinstance(item, JavaObject) and (item.class_name, item.fields) == ("shop.Item", {"d": 2})
    price = from_json(9.9, "java.math.BigDecimal", "data")
    assert isinstance(price, JavaObject) and price.fields == {"value": "9.9"}


@pytest.mark.parametrize(
    ("java_type", "value"),
    [
        ("boolean", 1),
        ("byte", 128),
        ("byte", -129),
        ("short", 32768),
        ("int", 2**31),
        ("int", True),
        ("int", 1.0),
        ("int", None),
        ("long", 2**63),
        ("double", "1"),
        ("double", True),
        ("double", 10**400),
        ("char", "ab"),
        ("char", "\U0001f600"),
        ("java.lang.String", 1),
        ("byte[]", "not base64"),
        ("byte[]", [1]),
        ("java.util.Date", "yesterday"),
        ("java.util.Date", "2026-01-01T00:00:00"),
        ("java.util.List", {}),
        ("java.util.Map", []),
        ("int[]", [1, "a"]),
        ("shop.Order", "tea"),
        ("java.math.BigDecimal", True),
        ("java.lang.Object", {"@class": ""}),
        ("java.lang.Object", {"@class": 5}),
        ("java.util.List", [{"@class": "a b"}]),
        ("shop.Order", {"item": {"@class": "\ud800"}}),
        ("shop.Order", {"item": {"@class": "shop.Item[]"}}),
    ],
)
def test_json_that_is_no_value_of_its_type_is_refused_with_its_place(java_type: str, value: object) -> None:
    with pytest.raises(Unfit, match=r"data\[3\]"):
        from_json(value, java_type, "data[3]")


def test_what_is_shown_of_a_wrong_value_is_short() -> None:
    with pytest.raises(Unfit) as refused:
        from_json("x" * 10_000, "int", "data")
    assert len(str(refused.value)) < 200


def test_java_values_are_json() -> None:
    item = JavaObject("shop.Item", {"name": "tea"})
    value = JavaObject(
        "shop.Quote",
        {
            "items": [item, item],
            "total": JavaObject("java.math.BigDecimal", {"value": "9.90"}),
            "at": datetime(2023, 11, 14, 22, 13, 20, 123000, UTC),
            "stamp": b"hi",
            "by": {1: "a", None: "c", datetime(1970, 1, 1, tzinfo=UTC): 0.5},
        },
    )
    assert to_json(value) == {
        "items": [{"name": "tea"}, {"name": "tea"}],
        "total": "9.90",
        "at": "2023-11-14T22:13:20.123Z",
        "stamp": "aGk=",
        "by": {"1": "a", "null": "c", "1970-01-01T00:00:00.000Z": 0.5},
    }


def test_a_key_that_is_true_or_false_is_its_word() -> None:
    assert to_json({True: 1, False: 0}) == {"true": 1, "false": 0}


def test_what_json_cannot_say_is_refused() -> None:
    circle = JavaObject("a.B", fields := {})
    fields["self"] = [circle]
    for value in (circle, math.nan, math.inf, object()):
        with pytest.raises(Unfit):
            to_json(value)


def test_few_bytes_do_not_become_any_number_of_values() -> None:
    value: list[object] = [1, 1]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(Unfit, match=f"more than {MAX_JSON_VALUES}"):
        to_json(value)


def test_few_bytes_do_not_become_a_text_of_any_length() -> None:
    text = "x" * (MAX_JSON_TEXT // 10)
    to_json([JavaObject("a.B", {"text": text})] * 9)
    for often in (JavaObject("a.B", {"text": text}), JavaObject("a.B", {text: 1}), [text.encode()], {text: 1}):
        with pytest.raises(Unfit, match=f"more than {MAX_JSON_TEXT} characters"):
            to_json([often] * 11)


def test_what_refers_from_one_to_the_next_nests_no_deeper_than_what_is_written_inside() -> None:
    value: list[object] = []
    chain: list[object] = [value]
    for _ in range(5_000):
        value = [value]
        chain.append(value)
    with pytest.raises(Unfit, match=f"deeper than {MAX_DEPTH}"):
        to_json(chain)


@pytest.mark.parametrize(
    ("value", "fitting", "other"),
    [
        (1, "int", "java.lang.String"),
        (1, "java.lang.Double", "boolean"),
        (True, "boolean", "int"),
        (0.5, "float", "long"),
        ("a", "char", "int"),
        (b"a", "byte[]", "java.lang.String"),
        ([1], "int[]", "java.lang.String"),
        ([1], "java.util.List", "double"),
        (JavaObject("a.B"), "a.Base", "java.util.List"),
        ({}, "java.util.Map", "java.util.Date"),
        (datetime(1970, 1, 1, tzinfo=UTC), "java.util.Date", "a.B"),
        (None, "java.lang.Integer", "int"),
        (object(), "void", "int"),
    ],
)
def test_a_result_is_held_against_its_type(value: object, fitting: str, other: str) -> None:
    assert fits(value, fitting)
    assert not fits(value, other)
