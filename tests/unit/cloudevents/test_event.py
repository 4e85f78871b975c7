"""The attribute rules: what is refused, and that the refusal names the attribute."""

from __future__ import annotations

import pytest

from eventmesh.cloudevents.event import MAX_ATTRIBUTES, MAX_VALUE_BYTES, AttributeValue, Event, InvalidEvent

MINIMAL: dict[str, AttributeValue] = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0"}


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
def test_a_required_attribute_missing_or_empty_is_named(name: str) -> None:
    for broken in ({k: v for k, v in MINIMAL.items() if k != name}, {**MINIMAL, name: ""}):
        with pytest.raises(InvalidEvent) as refusal:
            Event(broken)
        assert refusal.value.attribute == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", "1.1"),
        ("source", "not a uri"),
        ("dataschema", "/relative"),
        ("time", "yesterday"),
        ("time", "2018-13-05T03:56:24Z"),
        ("time", "2018-04-05 03:56:24Z"),
        ("datacontenttype", "json"),
        ("subject", ""),
        ("myext", "tab\tinside"),
        ("myext", "\ud800"),
        ("myext", "\ufffe"),
        ("myext", 2**31),
        ("Upper", "x"),
        ("with-dash", "x"),
        ("data", "x"),
        ("a" * 65, "x"),
        ("long", "x" * (MAX_VALUE_BYTES + 1)),
    ],
)
def test_an_attribute_that_breaks_a_rule_is_refused(name: str, value: AttributeValue) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        Event({**MINIMAL, name: value})
    assert refusal.value.attribute == name[:64]


def test_too_many_attributes_are_refused() -> None:
    many = {f"x{n}": "v" for n in range(MAX_ATTRIBUTES)}
    with pytest.raises(InvalidEvent, match=str(MAX_ATTRIBUTES)):
        Event({**MINIMAL, **many})


@pytest.mark.parametrize(
    "time",
    ["2018-04-05T03:56:24Z", "2018-04-05t03:56:24.123456789z", "2018-04-05T03:56:24+02:00", "2016-12-31T23:59:60Z"],
)
def test_every_rfc_3339_timestamp_is_accepted(time: str) -> None:
    assert Event({**MINIMAL, "time": time}).text("time") == time


def test_values_have_a_canonical_text() -> None:
    event = Event({**MINIMAL, "flag": True, "count": -7})
    assert (event.text("flag"), event.text("count"), event.text("absent")) == ("true", "-7", "")


def test_an_event_cannot_be_changed_only_copied() -> None:
    event = Event(MINIMAL, b"data")
    changed = event.with_attributes(hops=3, id="2")
    assert (event.id, changed.id, changed.attributes["hops"], changed.data) == ("1", "2", 3, b"data")
    assert "hops" not in changed.with_attributes(hops=None).attributes
    with pytest.raises(TypeError):
        event.attributes["id"] = "3"  # type: ignore[index]  # the point of the test


@pytest.mark.parametrize(
    ("change", "attribute"),
    [({"id": None}, "id"), ({"id": ""}, "id"), ({"time": "now"}, "time"), ({"Hops": 1}, "Hops"), ({"n": 2**70}, "n")],
)
def test_a_change_that_breaks_a_rule_is_refused_and_named(
    change: dict[str, AttributeValue | None], attribute: str
) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        Event(MINIMAL).with_attributes(**change)
    assert refusal.value.attribute == attribute


def test_an_event_does_not_grow_beyond_its_attributes() -> None:
    full = Event({**MINIMAL, **{f"x{n}": "v" for n in range(MAX_ATTRIBUTES - len(MINIMAL))}})
    assert full.with_attributes(x0="w", x1=None, y=1).text("x0") == "w"
    with pytest.raises(InvalidEvent, match=str(MAX_ATTRIBUTES)):
        full.with_attributes(y=1)


def test_an_integer_out_of_range_is_refused_whatever_its_length() -> None:
    # Python itself shows no integer of more than 4,300 digits.
    for number in (2**31, -(2**31) - 1, 10**5000):
        with pytest.raises(InvalidEvent, match="outside the 32-bit signed range") as refusal:
            Event({**MINIMAL, "n": number})
        assert refusal.value.attribute == "n"


def test_a_value_of_another_type_is_told_to_the_programmer() -> None:
    with pytest.raises(TypeError, match='attribute "n" is a'):
        Event({**MINIMAL, "n": 1.5})  # type: ignore[dict-item]  # the point of the test


def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands() -> None:
    for broken in ({"x": "a\udc00"}, {"x\ud800": "a"}):
        with pytest.raises(InvalidEvent, match="forbidden character U\\+D[8C]00"):
            Event({**MINIMAL, **broken})


def test_an_extension_may_have_any_name_that_the_rules_allow() -> None:
    assert Event(MINIMAL).with_attributes(**{"self": "x"}).text("self") == "x"
