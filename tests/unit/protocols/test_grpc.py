"""gRPC's messages in bytes, and what the end of a call means. Pure."""

from __future__ import annotations

import pytest

from eventmesh.protocols.grpc import CallFailed, Code, MessageReader, Status, frame, refusal, status_in

MESSAGES = [b"", b"a", b"bc" * 500]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_messages_come_out_whole_however_their_bytes_are_cut(size: int) -> None:
    sent = b"".join(frame(message) for message in MESSAGES)
    reader = MessageReader(1_000)
    found = [message for at in range(0, len(sent), size) for message in reader.feed(sent[at : at + size])]
    reader.end()
    assert found == MESSAGES


def test_a_message_beyond_the_limit_is_refused_by_its_prefix_alone() -> None:
    with pytest.raises(CallFailed, match=r"a message of 1001 bytes; the limit is 1000 bytes") as caught:
        MessageReader(1_000).feed(frame(b"x" * 1_001)[:5])
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_a_compressed_message_is_refused_since_none_was_negotiated() -> None:
    with pytest.raises(CallFailed) as caught:
        MessageReader(1_000).feed(b"\x01\0\0\0\x01x")
    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize("cut", [1, 4, 5, 6])
def test_a_stream_that_ends_within_a_message_is_no_good_end(cut: int) -> None:
    reader = MessageReader(1_000)
    assert reader.feed(frame(b"ab")[:cut]) == []
    with pytest.raises(CallFailed):
        reader.end()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("grpc-status", "0")], Status(Code.OK)),
        (
            [("grpc-status", "14"), ("grpc-message", "try%20later %e2%82%ac")],
            Status(Code.UNAVAILABLE, "try later \u20ac"),
        ),
        ([("grpc-status", "17")], Status(Code.UNKNOWN, "grpc-status '17': ")),
        ([("grpc-status", "x")], Status(Code.UNKNOWN, "grpc-status 'x': ")),
        ([("server", "x")], None),
    ],
)
def test_trailers_tell_how_a_call_ended(fields: list[tuple[str, str]], status: Status | None) -> None:
    assert status_in(fields) == status


@pytest.mark.parametrize(
    ("http_status", "content_type", "code"),
    [
        (200, "application/grpc", None),
        (200, "application/grpc+proto", None),
        (200, "application/grpc;charset=utf-8", None),
        (200, "application/grpc-web", Code.UNKNOWN),
        (200, "text/html", Code.UNKNOWN),
        (404, "text/plain", Code.UNIMPLEMENTED),
        (503, "text/plain", Code.UNAVAILABLE),
        (302, "text/plain", Code.UNKNOWN),
    ],
)
def test_an_answer_that_is_not_grpc_is_told_by_its_head(http_status: int, content_type: str, code: Code | None) -> None:
    refused = refusal(http_status, [("content-type", content_type)])
    assert (refused and refused.code) == code
