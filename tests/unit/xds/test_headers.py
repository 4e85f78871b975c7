"""Header edits and conditions: several edits become one that does the same, and what cannot be done is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.base.errors import ConfigError
from eventmesh.model.match import HeaderMatch, TextKind
from eventmesh.model.route import HeaderEdits
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.translate.headers import merge_edits, read_edits, read_matcher

_NAMES = st.sampled_from(["a", "b", "c"])
_PAIRS = st.tuples(_NAMES, st.sampled_from(["1", "2", "3"]))
_EDITS = st.builds(
    HeaderEdits,
    set=st.lists(_PAIRS, max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
    append=st.lists(_PAIRS, max_size=3).map(tuple),
    remove=st.lists(_NAMES, max_size=2).map(tuple),
)


def _apply(edits: HeaderEdits, head: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Do what the core does: remove, set, append."""
    gone = {*edits.remove, *(name for name, _ in edits.set)}
    return [*(pair for pair in head if pair[0] not in gone), *edits.set, *edits.append]


def _by_name(head: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value for other, value in head if other == name] for name, _ in head}


@given(first=_EDITS, then=_EDITS, head=st.lists(_PAIRS, max_size=4))
def test_merged_edits_do_what_both_do_one_after_the_other(
    first: HeaderEdits, then: HeaderEdits, head: list[tuple[str, str]]
) -> None:
    in_turn = _apply(then, _apply(first, head))
    assert _by_name(_apply(merge_edits(first, then), head)) == _by_name(in_turn)


def _owner(**fields: object) -> Message:
    return read_document(message_type("envoy.config.route.v3.Route"), fields, "", [])


def _option(key: str, value: str, **more: object) -> dict[str, object]:
    return {"header": {"key": key, "value": value}, **more}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([_option("X-A", "1")], HeaderEdits(append=(("x-a", "1"),))),
        ([_option("x-a", "1", append_action="OVERWRITE_IF_EXISTS_OR_ADD")], HeaderEdits(set=(("x-a", "1"),))),
        ([_option("x-a", "1", append=False)], HeaderEdits(set=(("x-a", "1"),))),
        ([_option("x-a", "100%%")], HeaderEdits(append=(("x-a", "100%"),))),
        ([_option("x-a", "")], HeaderEdits()),
        ([_option("x-a", "", keep_empty_value=True)], HeaderEdits(append=(("x-a", ""),))),
        ([_option("x-a", "1"), _option("x-a", "2", append=False)], HeaderEdits(set=(("x-a", "2"),))),
    ],
)
def test_added_headers_are_sets_or_appends(options: list[object], expected: HeaderEdits) -> None:
    assert read_edits(_owner(request_headers_to_add=options)).request == expected


@pytest.mark.parametrize("name", ["host", "Connection", ":path", "content-length", "a b", ""])
def test_what_frames_or_addresses_a_message_is_no_edit(name: str) -> None:
    with pytest.raises(ConfigError):
        read_edits(_owner(response_headers_to_remove=[name]))
    with pytest.raises(ConfigError):
        read_edits(_owner(request_headers_to_add=[_option(name, "1")]))


@pytest.mark.parametrize("value", ["%REQ(x)%", "50%", "a\nb"])
def test_commands_and_control_characters_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"request_headers_to_add\[0\].header.value"):
        read_edits(_owner(request_headers_to_add=[_option("x-a", value)]))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "X-A"}, HeaderMatch("x-a", TextKind.PRESENT)),
        ({"name": "host", "exact_match": "a"}, HeaderMatch(":authority", TextKind.EXACT, "a")),
        ({"name": "x", "prefix_match": "a"}, HeaderMatch("x", TextKind.PREFIX, "a")),
        ({"name": "x", "suffix_match": "a"}, HeaderMatch("x", TextKind.SUFFIX, "a")),
        ({"name": "x", "contains_match": "a"}, HeaderMatch("x", TextKind.CONTAINS, "a")),
        ({"name": "x", "string_match": {"exact": ""}}, HeaderMatch("x", TextKind.EXACT, "")),
        ({"name": "x", "present_match": False}, HeaderMatch("x", TextKind.PRESENT, invert=True)),
        ({"name": "x", "present_match": False, "invert_match": True}, HeaderMatch("x", TextKind.PRESENT)),
    ],
)
def test_conditions_are_read(fields: dict[str, object], expected: HeaderMatch) -> None:
    assert read_matcher(read_document(message_type("envoy.config.route.v3.HeaderMatcher"), fields, "", [])) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x", "prefix_match": ""},
        {"name": "x", "string_match": {}},
        {"name": "x", "string_match": {"safe_regex": {"regex": "a("}}},
        {"name": "x", "string_match": {"prefix": "", "ignore_case": True}},
        {"name": "x", "range_match": {"start": 1}},
    ],
)
def test_a_condition_that_cannot_be_checked_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read_matcher(read_document(message_type("envoy.config.route.v3.HeaderMatcher"), fields, "", []))
