"""Events as calls of Java methods, as Bolt and Dubbo share it: arguments from JSON, results and exceptions to JSON."""

from __future__ import annotations

import json

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.outcome import MAX_RESULT_BYTES, NEVER, NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.json_format import is_json
from eventmesh.model.rpc import Signature
from eventmesh.protocols.hessian.json_values import Unfit, fits, from_json, to_json
from eventmesh.protocols.hessian.values import JavaObject
from eventmesh.protocols.java_types import VOID

MAX_NAME = 128
"""Of an exception's class, as much as a timeline shows."""

FAULT = 500
"""Counts as what a function answers that raised: it may succeed another time."""


def arguments_of(event: Event, signature: Signature) -> list[object]:
    """Return the arguments that an event is, as Hessian carries them; raises NotCallable.

    The data is the argument; of several it is the array. A method without arguments is not told the data.
    """
    types = signature.arguments
    if not types:
        return []
    content_type = event.text("datacontenttype")
    if content_type and not is_json(content_type):
        raise NotCallable(f"data is {content_type}; a method with a signature is called with JSON")
    try:
        data = json.loads(event.data or b"null", parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NotCallable(f"data is not JSON: {error}") from None
    values = [data] if len(types) == 1 else data
    if not isinstance(values, list) or len(values) != len(types):
        raise NotCallable(f"data must be an array of {len(types)} arguments: {', '.join(types)}")
    try:
        named = ["data"] if len(types) == 1 else [f"data[{at}]" for at in range(len(types))]
        return [from_json(*argument) for argument in zip(values, types, named, strict=True)]
    except (Unfit, RecursionError) as error:
        raise NotCallable(str(error)) from None


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number")


def result_of(value: object, signature: Signature) -> Answer | Result:
    """Return what a method returned as JSON; a value that its signature does not declare is a failure for good."""
    if value is None or signature.result == VOID:
        return Result(b"")
    if not fits(value, signature.result):
        return Answer(NEVER, body=f"the result is no {signature.result}, as the signature says".encode())
    try:
        data = json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":")).encode()
    except (Unfit, UnicodeEncodeError) as error:
        return Answer(NEVER, body=f"the result cannot be said in JSON: {error}".encode())
    if len(data) > MAX_RESULT_BYTES:
        return Answer(NEVER, body=f"the result has {len(data)} bytes in JSON, of {MAX_RESULT_BYTES}".encode())
    return Result(data, "application/json")


def thrown(exception: object, signature: Signature) -> Answer:
    """Return what an exception counts as.

    One that the signature declares is the method's answer to these arguments, as a 4xx is, and will be the same again.
    Any other is an accident.
    """
    if not isinstance(exception, JavaObject):
        return Answer(FAULT, body=b"the method threw something that is no exception")
    message = exception.fields.get("detailMessage")
    text = f"{exception.class_name}: {message}" if isinstance(message, str) else exception.class_name
    status = NEVER if exception.class_name in signature.throws else FAULT
    return Answer(status, exception.class_name[:MAX_NAME], body=text.encode("utf-8", "replace"))


def is_throwable(value: object) -> bool:
    """Return whether a value is an exception, which all have these fields: SOFARPC returns it in place of a result."""
    return isinstance(value, JavaObject) and {"detailMessage", "stackTrace"} <= value.fields.keys()
