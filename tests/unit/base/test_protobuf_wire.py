"""Fields of a protobuf message, read without a schema."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.base.protobuf_wire import WireError, signed, wire_fields

WHOLE = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x19" + b"\0" * 6 + b"\xf0\x3f" + b"\x25abcd"


def test_each_wire_type_is_read_as_what_it_holds() -> None:
    assert list(wire_fields(WHOLE)) == [(1, 150), (2, b"hi"), (3, 1.0), (4, b"abcd")]


@pytest.mark.parametrize("cut", [n for n in range(1, len(WHOLE)) if n not in (3, 7, 16)])
def test_a_message_that_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(WireError, match="cut short"):
        list(wire_fields(WHOLE[:cut]))


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\x00\x01", "field number 0"), (b"\x0b", "wire type 3"), (b"\x80" * 11, "overlong")],
)
def test_bytes_that_are_no_field_are_named_with_their_place(data: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        list(wire_fields(data))


def test_negative_numbers_are_written_as_large_ones() -> None:
    numbers = [value for _, value in wire_fields(b"\x08" + b"\xff" * 9 + b"\x01\x08\x05") if isinstance(value, int)]
    assert list(map(signed, numbers)) == [-1, 5]


@given(st.binary(max_size=100))
def test_any_bytes_are_fields_or_an_error(data: bytes) -> None:
    try:
        assert all(number > 0 for number, _ in wire_fields(data))
    except WireError as error:
        assert str(error)
