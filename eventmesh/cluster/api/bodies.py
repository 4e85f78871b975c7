"""Request bodies: JSON, YAML, or the protobuf that typed Go clients send for built-in kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.deletion import DeleteOptions
from eventmesh.cluster.api.negotiation import PROTOBUF, decode_text, media_types
from eventmesh.cluster.api.paths import number
from eventmesh.cluster.api.protobuf import decode_protobuf
from eventmesh.kube.api import Object, Propagation


def decode_body(body: bytes, content_type: str) -> Any:
    """Return the value in `body`; raises 400 for what cannot be read, 415 for a media type we do not take."""
    if content_type and next(media_types(content_type)).name == PROTOBUF:
        return decode_protobuf(body)
    return decode_text(body, content_type)


def as_object(value: Any) -> Object:
    """Return `value` when it is an object; raises 400."""
    if not isinstance(value, dict):
        raise errors.bad_request("the request body must be one object")
    return value


def decode_delete_options(body: bytes, content_type: str, query: Mapping[str, str]) -> DeleteOptions:
    """Return the options of a DELETE: from the body if there is one, else from the query; raises 400."""
    options: Object = {}
    if body:
        value = decode_body(body, content_type)
        if not isinstance(value, dict):
            raise errors.bad_request("DeleteOptions must be an object")
        options = value
    grace = options.get("gracePeriodSeconds")
    if grace is None:
        grace = number(query, "gracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise errors.bad_request(f"gracePeriodSeconds must be an integer, not {grace!r}")
    if grace is not None and grace < 0:
        grace = 1  # as upstream takes it: soon
    preconditions = options.get("preconditions") or {}
    return DeleteOptions(
        propagation=_propagation(options, query),
        grace_seconds=grace,
        uid=preconditions.get("uid") or None,
        resource_version=preconditions.get("resourceVersion") or None,
        dry_run=bool(options.get("dryRun")) or query.get("dryRun") == "All",
    )


def _propagation(options: Object, query: Mapping[str, str]) -> Propagation | None:
    policy = options.get("propagationPolicy") or query.get("propagationPolicy")
    if not policy:
        orphans = options.get("orphanDependents")
        return None if orphans is None else Propagation.ORPHAN if orphans else Propagation.BACKGROUND
    try:
        return Propagation(policy)
    except ValueError:
        detail = 'supported values: "Foreground", "Background", "Orphan", "nil"'
        cause = errors.Cause(errors.CauseType.NOT_SUPPORTED, "propagationPolicy", detail, policy)
        raise errors.invalid_options("DeleteOptions", cause) from None
