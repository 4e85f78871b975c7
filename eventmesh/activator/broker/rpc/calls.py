"""The call that an event makes, and the event that its result is, whatever the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc import bolt, dubbo, grpc
from eventmesh.activator.broker.rpc.outcome import Result
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.http import encode_binary
from eventmesh.model.rpc import RpcMethod, RpcProtocol

if TYPE_CHECKING:
    from eventmesh.core._core import Response


@frozen
class Posted:
    """A call that is a request of HTTP."""

    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@frozen
class Framed:
    """A call that is one frame."""

    frame: bytes


def call_of(event: Event, method: RpcMethod, more: Sequence[tuple[str, str]], timeout_s: float) -> Posted | Framed:
    """Return the call that an event makes: attributes go as metadata, and `more` beside them. Raises NotCallable."""
    if method.protocol is RpcProtocol.GRPC:
        headers, body = grpc.request_of(event)
        return Posted(f"/{method.service}/{method.name}", [*headers, *more], body)
    attributes, _ = encode_binary(event)
    fields = [(name, value) for name, value in (*attributes, *more) if name != "content-type"]
    if method.protocol is RpcProtocol.BOLT:
        return Framed(bolt.frame_of(event, method, fields, timeout_s))
    return Framed(dubbo.frame_of(event, method, fields, timeout_s))


def result_of(response: Response, method: RpcMethod) -> Answer | Result:
    """Return what a call ended with, or what its failure counts as."""
    if response.error:
        return Answer(0, response.error)
    match method.protocol:
        case RpcProtocol.GRPC:
            return grpc.result_of(response)
        case RpcProtocol.BOLT:
            return bolt.result_of(response, method)
        case RpcProtocol.DUBBO:
            return dubbo.result_of(response, method)


def reply_of(result: Result, cause: Event, method: RpcMethod, source: str) -> Event | None:
    """Return the event that a result is; None for an empty one (`google.protobuf.Empty`, void, JSON's null).

    Its id is made from the cause's, so that it stays the same when the cause is delivered again. Raises InvalidEvent.
    """
    if result.data in (b"", b"null"):
        return None
    attributes: dict[str, str | int | bool] = {
        "id": f"{cause.id}-reply",
        "source": source,
        "type": method.reply_type or f"{cause.type}.reply",
        "specversion": "1.0",
        "datacontenttype": result.content_type or cause.text("datacontenttype") or "application/json",
    }
    return Event(attributes, result.data)
