"""Load reports: bytes and back, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.autoscale.stat import (
    MAX_REPORT_BYTES,
    Stat,
    StatError,
    StatMessage,
    decode_messages,
    decode_stat,
    encode_messages,
    encode_stat,
)

LOADS = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
STATS = st.builds(Stat, st.text(max_size=80), LOADS, LOADS, LOADS, LOADS, LOADS, st.integers(-(2**63), 2**63 - 1))
NAMES = st.text(min_size=1, max_size=63)


def test_a_stat_has_the_bytes_of_its_protobuf() -> None:
    stat = Stat("pod-1", average_concurrent_requests=1.5, request_count=2.0, timestamp=300)
    assert encode_stat(stat) == (
        b"\x0a\x05pod-1"
        b"\x11\x00\x00\x00\x00\x00\x00\xf8\x3f"
        b"\x21\x00\x00\x00\x00\x00\x00\x00\x40"
        b"\x38\xac\x02"
    )  # fmt: skip


def test_an_empty_stat_is_no_bytes() -> None:
    assert encode_stat(Stat()) == b""
    assert decode_stat(b"") == Stat()


@given(st.lists(st.builds(StatMessage, NAMES, NAMES, STATS), max_size=5))
def test_what_was_encoded_is_decoded(messages: list[StatMessage]) -> None:
    assert decode_messages(encode_messages(messages)) == messages


def test_unknown_fields_are_skipped() -> None:
    unknown = b"\x40\x01" + b"\x4d\x00\x00\x00\x00" + b"\x52\x01x" + b"\x59" + bytes(8)
    assert decode_stat(encode_stat(Stat("p")) + unknown) == Stat("p")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_stat_or_a_stat_error(data: bytes) -> None:
    try:
        decoded = decode_messages(data)
    except StatError:
        return
    assert all(message.name for message in decoded)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05pod",  # announces more than is there
        b"\x80" * 11,  # a number without an end
        b"\x03",  # group, long deprecated
        b"\x00\x00",  # field 0
        b"\x0a\x01\xff",  # not UTF-8
        b"\x10\x01",  # a load that is a varint
        b"\x39" + bytes(8),  # a timestamp that is a double
        b"\x11\x00\x00\x00\x00\x00\x00\xf0\xff",  # minus infinity
        b"\x11\x00\x00\x00\x00\x00\x00\xf0\xbf",  # minus one
    ],
)
def test_what_is_no_stat_is_refused(data: bytes) -> None:
    with pytest.raises(StatError):
        decode_stat(data)


@pytest.mark.parametrize("data", [b"\x08\x01", b"\x0a\x02\x1a\x00", b"\x0a\x02\x18\x01"])
def test_a_message_must_name_its_revision(data: bytes) -> None:
    with pytest.raises(StatError):
        decode_messages(data)


def test_an_overlong_report_is_refused_before_it_is_read() -> None:
    with pytest.raises(StatError, match="longer than"):
        decode_messages(bytes(MAX_REPORT_BYTES + 1))
