"""Methods that Triggers call: the annotations that name one, the signatures that ServiceInterfaces declare.

A controller finds the signature and writes it into `status.annotations` of the Trigger: the broker knows nothing of
ServiceInterfaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.kube.api import Object
from eventmesh.kube.broker_annotations import (
    BOLT_METHOD,
    DUBBO_METHOD,
    GRPC_METHOD,
    OF_TRIGGERS,
    REPLY_TYPE,
    ours,
    wrong,
)
from eventmesh.model.rpc import RpcMethod, RpcProtocol, Signature
from eventmesh.protocols.java_types import METHOD, TYPE, VOID

SIGNATURE: Final = "eventmesh.io/signature"
"""In `status.annotations` of a Trigger: the signature of its method as JSON."""

MAX_METHODS: Final = 256
"""Methods of one interface with a signature: as many as a ServiceInterface has interfaces."""
MAX_TYPES: Final = 32
"""Arguments of a method, and exceptions that it declares; each is looked at for each event."""

_GRPC: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/[A-Za-z_][A-Za-z0-9_]*\Z")
_INTERFACE: Final = re.compile(
    r"(?P<service>[A-Za-z0-9_$.-]{1,255})(:(?P<version>[!-.0-9;-~]{0,64})(:(?P<group>[!-.0-9;-~]{1,64}))?)?"
    r"/(?P<name>[A-Za-z_$][\w$]{0,127})\Z",
    re.ASCII,
)

_PROTOCOLS: Final = {
    GRPC_METHOD: RpcProtocol.GRPC,
    BOLT_METHOD: RpcProtocol.BOLT,
    DUBBO_METHOD: RpcProtocol.DUBBO,
}


def rpc_method_of(trigger: Object) -> RpcMethod | None:
    """Return the method that a Trigger calls, with the signature that its status tells; None: it posts its events.

    Raises ConfigError naming the annotation that cannot be read.
    """
    annotations = ours(trigger, OF_TRIGGERS)
    named = [name for name in _PROTOCOLS if name in annotations]
    if not named:
        if REPLY_TYPE in annotations:
            raise wrong(REPLY_TYPE, f"is of the results of a method, which none of {', '.join(_PROTOCOLS)} names")
        return None
    annotation, *more = named
    if more:
        raise wrong(more[0], f"a Trigger calls one method, and {annotation} names one already")
    text, reply_type = annotations[annotation], annotations.get(REPLY_TYPE, "")
    if annotation == GRPC_METHOD:
        if not _GRPC.match(text):
            raise wrong(annotation, f"must be a method such as shop.Prices/Quote, not {text[:80]!r}")
        service, _, name = text.partition("/")
        return RpcMethod(RpcProtocol.GRPC, service, name, reply_type=reply_type)
    found = _INTERFACE.match(text)
    if found is None:
        example = "com.shop.Prices:1.0/quote (interface[:version[:group]]/method)"
        raise wrong(annotation, f"must be a method such as {example}, not {text[:80]!r}")
    version, group = found["version"] or "", found["group"] or ""
    signature = _signature_in((trigger.get("status") or {}).get("annotations") or {})
    return RpcMethod(_PROTOCOLS[annotation], found["service"], found["name"], version, group, reply_type, signature)


def _signature_in(annotations: Object) -> Signature | None:
    text = annotations.get(SIGNATURE)
    if not text:
        return None
    try:
        said = json.loads(text)
        return Signature(tuple(said["arguments"]), said["result"], tuple(said["throws"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"status.annotations[{SIGNATURE}]", f"cannot be read: {error}") from None


def signature_text(signature: Signature) -> str:
    """Return what stands in a Trigger's status for a signature."""
    said = {"arguments": signature.arguments, "result": signature.result, "throws": signature.throws}
    return json.dumps(said, separators=(",", ":"))


Wrong = Callable[[str, str], None]
"""Takes note of what is wrong: the path of a field, and what."""


def read_methods(listed: object, path: str, wrong: Wrong) -> dict[str, Signature]:
    """Return the signatures in `methods` of an interface, by name; what is wrong is told to `wrong`."""
    if listed is None:
        return {}
    if not isinstance(listed, list) or len(listed) > MAX_METHODS:
        wrong(path, f"expected a list of at most {MAX_METHODS} methods")
        return {}
    found: dict[str, Signature] = {}
    for at, item in enumerate(listed):
        name, signature = _read_method(item, f"{path}[{at}]", wrong)
        if name and name in found:
            wrong(f"{path}[{at}].name", f"{name} is given twice; a Trigger names a method by its name alone")
        found[name] = signature
    return found


def _read_method(item: object, path: str, wrong: Wrong) -> tuple[str, Signature]:
    if not isinstance(item, dict):
        wrong(path, "expected an object")
        return "", Signature()
    for key in sorted(item.keys() - {"name", "arguments", "result", "throws"}):
        wrong(f"{path}.{key}", "there is no such field; known are arguments, name, result, throws")
    name = item.get("name")
    if not isinstance(name, str) or METHOD.fullmatch(name) is None:
        wrong(f"{path}.name", f"{name!r} is no name of a method")
        name = ""
    result = item.get("result", VOID)
    if result != VOID and not _is_type(result):
        wrong(f"{path}.result", f"{result!r} is no type such as int, java.lang.String, com.shop.Order, or void")
    types = {field: _types(item.get(field), f"{path}.{field}", wrong) for field in ("arguments", "throws")}
    return name, Signature(types["arguments"], str(result), types["throws"])


def _types(listed: Any, path: str, wrong: Wrong) -> tuple[str, ...]:
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > MAX_TYPES:
        wrong(path, f"expected a list of at most {MAX_TYPES} types")
        return ()
    for at, name in enumerate(listed):
        if not _is_type(name):
            wrong(f"{path}[{at}]", f"{name!r} is no type such as int, java.lang.String, com.shop.Order, byte[]")
    return tuple(str(name) for name in listed)


def _is_type(name: object) -> bool:
    # Generic parameters are not compiled into a method: List<Order> is java.util.List.
    return isinstance(name, str) and name != VOID and TYPE.fullmatch(name) is not None
