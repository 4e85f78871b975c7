"""Reading a RequestReply (eventing.knative.dev/v1alpha1): which broker is asked, by what an answer is known, how long.

Defaults are Knative's (pkg/apis/eventing/v1alpha1/requestreply_defaults.go; its default time is 30 s).
"""

from __future__ import annotations

import re
from typing import Final

from eventmesh.base.durations import parse_iso8601
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import REQUIRED
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.resources import BROKER

DEFAULT_CORRELATION: Final = "correlationid"
DEFAULT_REPLY: Final = "replyid"
DEFAULT_TIMEOUT_S: Final = 30.0

MAX_TIMEOUT_S: Final = 600.0
"""Longest wait: a request that waits holds a connection and a place among `MAX_WAITING` of the activator; what takes
longer is an event with a reply of its own."""

_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,20}")
_SPOKEN_FOR: Final = frozenset((*REQUIRED, "subject", "time", "datacontenttype", "dataschema", "data"))


@frozen
class RequestReply:
    """A RequestReply, read."""

    broker: Key
    correlation: str
    """The attribute that a request is marked with."""
    reply: str
    """The attribute that an answer repeats the mark in."""
    timeout_s: float


def parse_request_reply(obj: Object) -> RequestReply:
    """Return what a RequestReply says; raises ConfigError naming the field that is wrong."""
    spec, namespace = obj.get("spec") or {}, key_of(obj).namespace
    reference = spec.get("brokerRef") or {}
    group = str(reference.get("apiVersion") or "").rpartition("/")[0]
    if (group, reference.get("kind")) != (BROKER.group, BROKER.kind) or not reference.get("name"):
        raise ConfigError("spec.brokerRef", f"must name a {BROKER.kind} of {BROKER.api_version}")
    if reference.get("namespace") not in (None, "", namespace):
        raise ConfigError("spec.brokerRef.namespace", f"must be this namespace, {namespace}")
    correlation = _attribute(spec, "correlationAttribute", DEFAULT_CORRELATION)
    reply = _attribute(spec, "replyAttribute", DEFAULT_REPLY)
    if correlation == reply:
        problem = f"is {reply!r} like correlationAttribute: a request would answer itself"
        raise ConfigError("spec.replyAttribute", problem)
    try:
        timeout_s = parse_iso8601(str(spec["timeout"])) if spec.get("timeout") else DEFAULT_TIMEOUT_S
    except ValueError as error:
        raise ConfigError("spec.timeout", str(error)) from None
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise ConfigError(
            "spec.timeout", f"is {spec['timeout']}; must be more than zero, at most {MAX_TIMEOUT_S:.0f} s"
        )
    return RequestReply(Key(namespace, reference["name"]), correlation, reply, timeout_s)


def _attribute(spec: Object, field: str, default: str) -> str:
    name = str(spec.get(field) or default)
    if not _ATTRIBUTE.fullmatch(name) or name in _SPOKEN_FOR:
        raise ConfigError(f"spec.{field}", f"is {name!r}; an extension has up to 20 lower-case letters and digits")
    return name
