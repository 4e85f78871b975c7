"""Events as calls of gRPC methods: what a Trigger with `eventmesh.io/grpc-method` does.

The event's data is the message: as protobuf (`application/protobuf`) or as JSON, by gRPC's content subtypes, so that no
message is ever described to the mesh. Attributes travel as metadata, named and escaped as in HTTP. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.outcome import MAX_RESULT_BYTES, NEVER, NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.http import encode_binary
from eventmesh.cloudevents.json_format import is_json
from eventmesh.cloudevents.protobuf_format import is_protobuf
from eventmesh.protocols.grpc import CallFailed, Code, MessageReader, frame, refusal, status_in

if TYPE_CHECKING:
    from eventmesh.core._core import Response

_HTTP_OF: Final = {
    Code.CANCELLED: 500,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.ABORTED: 503,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""What a status counts as for retries. All others say that the same call will never succeed: 422, which nobody tries
again (google.rpc's own mapping has 404 and 409 for some of them, which Knative retries)."""


def request_of(event: Event) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of the call that an event makes; raises NotCallable."""
    content_type = event.text("datacontenttype")
    subtype = _subtype(content_type)
    metadata, data = encode_binary(event)
    fields = [(name, value) for name, value in metadata if name != "content-type"]
    return [("content-type", f"application/grpc+{subtype}"), ("te", "trailers"), *fields], frame(data)


def _subtype(content_type: str) -> str:
    if is_protobuf(content_type):
        return "proto"
    if not content_type or is_json(content_type):
        return "json"
    raise NotCallable(f"data is {content_type}; a gRPC method is called with application/protobuf or JSON")


def result_of(response: Response) -> Answer | Result:
    """Return the message that was answered, or what the failure counts as."""
    if response.status != 200:
        return Answer(response.status, body=response.body)
    try:
        refused = refusal(response.status, response.headers)
        if refused is not None:
            return Answer(502, body=refused.message.encode())
        status = status_in(response.headers)
        if status is None:
            return Answer(502, body=b"the call ended without grpc-status")
        if status.code is not Code.OK:
            text = f"{status.code.name}: {status.message}"
            return Answer(_HTTP_OF.get(status.code, NEVER), body=text.encode())
        reader = MessageReader(MAX_RESULT_BYTES)
        messages = reader.feed(response.body)
        reader.end()
    except CallFailed as failed:
        return Answer(502, body=str(failed).encode())
    if len(messages) != 1:
        return Answer(502, body=f"the call returned {len(messages)} messages instead of one".encode())
    return Result(messages[0])
