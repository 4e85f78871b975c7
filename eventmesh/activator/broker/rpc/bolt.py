"""Events as calls over Bolt: what a Trigger with `eventmesh.io/bolt-method` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc import java
from eventmesh.activator.broker.rpc.outcome import NEVER, NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.json_format import is_json
from eventmesh.cloudevents.protobuf_format import is_protobuf
from eventmesh.model.rpc import RpcMethod
from eventmesh.protocols import bolt
from eventmesh.protocols.bolt import Codec, Status
from eventmesh.protocols.hessian.values import HessianError

if TYPE_CHECKING:
    from eventmesh.core._core import Response

_HTTP_OF: Final = {
    Status.NO_PROCESSOR: 404,
    Status.TIMEOUT: 504,
    Status.SERVER_THREADPOOL_BUSY: 503,
    Status.CONNECTION_CLOSED: 503,
    Status.CODEC_EXCEPTION: 502,
    # The service cannot read what it was sent, or write what it made of it: it would not the next time either.
    Status.SERVER_DESERIAL_EXCEPTION: NEVER,
    Status.SERVER_SERIAL_EXCEPTION: NEVER,
}
"""What a status counts as for retries; all others are accidents."""


def frame_of(event: Event, method: RpcMethod, headers: Sequence[tuple[str, str]], timeout_s: float) -> bytes:
    """Return the frame of the call that an event makes; raises NotCallable."""
    service = method.unique_name
    try:
        if method.signature is None:
            codec, content = _codec(event.text("datacontenttype")), event.data or b""
        else:
            arguments = java.arguments_of(event, method.signature)
            codec = Codec.HESSIAN
            content = bolt.hessian_content(service, method.name, method.signature.arguments, arguments)
        return bolt.request(service, method.name, codec, headers, content, timeout_s)
    except (bolt.TooManyHeaders, HessianError) as error:
        raise NotCallable(str(error)) from None


def _codec(content_type: str) -> Codec:
    if is_protobuf(content_type):
        return Codec.PROTOBUF
    if not content_type or is_json(content_type):
        return Codec.JSON
    raise NotCallable(f"data is {content_type}; without a signature it must be application/protobuf or JSON")


def result_of(response: Response, method: RpcMethod) -> Answer | Result:
    """Return what was answered, or what the failure counts as."""
    if response.frame_status != Status.SUCCESS:
        return _refused(response.frame_status)
    failed = (bolt.RESPONSE_ERROR, "true") in response.headers
    if response.status != 200 and not failed:
        # The mesh itself has answered in the place of the service: a route that says so, or a fault on purpose.
        return Answer(response.status, body=response.body)
    if method.signature is None:
        return Answer(java.FAULT, body=response.body) if failed else Result(response.body)
    try:
        value = bolt.hessian_result(response.body)
    except bolt.ServiceFailed as error:
        status = NEVER if error.is_unknown_method else java.FAULT
        return Answer(status, body=str(error).encode("utf-8", "replace"))
    except HessianError as error:
        return Answer(502, body=f"the answer is no Hessian of SOFARPC: {error}".encode())
    if failed or java.is_throwable(value):
        return java.thrown(value, method.signature)
    return java.result_of(value, method.signature)


def _refused(status: int) -> Answer:
    try:
        known = Status(status)
    except ValueError:
        return Answer(java.FAULT, body=f"Bolt status {status}".encode())
    return Answer(_HTTP_OF.get(known, java.FAULT), known.name, body=f"Bolt status {status} {known.name}".encode())
