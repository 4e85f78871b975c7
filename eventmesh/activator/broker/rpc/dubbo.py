"""Events as calls over Dubbo 2: what a Trigger with `eventmesh.io/dubbo-method` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc import java
from eventmesh.activator.broker.rpc.outcome import NEVER, NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.model.rpc import RpcMethod
from eventmesh.protocols import dubbo
from eventmesh.protocols.dubbo import Status
from eventmesh.protocols.hessian.values import HessianError

if TYPE_CHECKING:
    from eventmesh.core._core import Response

_HTTP_OF: Final = {
    Status.CLIENT_TIMEOUT: 504,
    Status.SERVER_TIMEOUT: 504,
    # Java's provider answers so to arguments, or a method, that it cannot read.
    Status.BAD_REQUEST: NEVER,
    Status.BAD_RESPONSE: 502,
    Status.SERVICE_NOT_FOUND: 404,
    Status.SERVER_THREADPOOL_EXHAUSTED: 503,
}
"""What a status counts as for retries; all others are accidents."""


def frame_of(event: Event, method: RpcMethod, headers: Sequence[tuple[str, str]], timeout_s: float) -> bytes:
    """Return the frame of the call that an event makes; raises NotCallable."""
    if method.signature is None:
        raise NotCallable(f"{method} has no signature: declare it in the ServiceInterface of the subscriber")
    arguments = java.arguments_of(event, method.signature)
    target = dubbo.Target(method.service, method.name, method.version, method.group)
    try:
        return dubbo.request(target, method.signature.arguments, arguments, dict(headers), timeout_s)
    except HessianError as error:
        raise NotCallable(str(error)) from None


def result_of(response: Response, method: RpcMethod) -> Answer | Result:
    """Return what was answered, or what the failure counts as."""
    if not response.frame_status or method.signature is None:
        # The mesh itself has answered in the place of the service: a route that says so, or a fault on purpose.
        return Answer(response.status, body=response.body)
    if response.frame_status != Status.OK:
        return _refused(response.frame_status, dubbo.refusal(response.body))
    try:
        result = dubbo.result(response.body)
    except HessianError as error:
        return Answer(502, body=f"the answer is no Hessian 2: {error}".encode())
    if result.thrown:
        return java.thrown(result.value, method.signature)
    return java.result_of(result.value, method.signature)


def _refused(status: int, text: str) -> Answer:
    try:
        known = Status(status)
    except ValueError:
        return Answer(java.FAULT, body=f"Dubbo status {status}: {text}".encode())
    said = f"{known.name}: {text}".encode("utf-8", "replace")
    return Answer(_HTTP_OF.get(known, java.FAULT), known.name, body=said)
