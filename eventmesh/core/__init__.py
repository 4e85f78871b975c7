"""The Python face of the compiled engine (`crates/core`): bytes and events go in, actions come out.

The engine opens no socket, reads no clock and calls nothing back; `transport` does what its actions
say. Only `Receiver`, by which reads come in, does the writes among them itself. See `_core.pyi` for the contract and
`actions` for the vocabulary.
"""

from eventmesh.core._core import (
    MAX_ATTRIBUTE_NAME_LENGTH,
    MAX_ATTRIBUTE_VALUE_BYTES,
    MAX_EVENT_ATTRIBUTES,
    MAX_EVENT_DEPTH,
    REQUIRED_ATTRIBUTES,
    Engine,
    EventFault,
    Protocol,
    Receiver,
    UnknownEventFormat,
    check_event,
    check_keys,
    check_pattern,
    decode_event,
    decode_event_batch,
    decode_structured_event,
    encode_event,
    event_mode,
    is_json_type,
)

__all__ = [
    "Engine",
    "EventFault",
    "MAX_ATTRIBUTE_NAME_LENGTH",
    "MAX_ATTRIBUTE_VALUE_BYTES",
    "MAX_EVENT_ATTRIBUTES",
    "MAX_EVENT_DEPTH",
    "Protocol",
    "REQUIRED_ATTRIBUTES",
    "Receiver",
    "UnknownEventFormat",
    "check_event",
    "check_keys",
    "check_pattern",
    "decode_event",
    "decode_event_batch",
    "decode_structured_event",
    "encode_event",
    "event_mode",
    "is_json_type",
]
