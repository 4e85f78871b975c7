"""Data that is a message of protobuf: how senders name it."""

from __future__ import annotations

from typing import Final

PROTOBUF_MEDIA_TYPES: Final = frozenset(
    {"application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf"}
)
"""Names under which senders say that data is a message of protobuf. The first is what `proto_data` is."""


def is_protobuf(content_type: str) -> bool:
    """Return whether data of this media type is a message of protobuf, parameters ignored."""
    return content_type.partition(";")[0].strip().lower() in PROTOBUF_MEDIA_TYPES
