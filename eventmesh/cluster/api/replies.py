"""Replies as JSON, with warnings where a client shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aiohttp import web

from eventmesh.cluster.api.errors import status_of
from eventmesh.kube.api import ApiError, Object

MAX_WARNINGS = 20
"""Headers stay small however wrong an object is; the rest is shown once these are mended."""


def encode(value: Object) -> bytes:
    """Return `value` as JSON with a line end, as the API server writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def json_reply(
    value: Object, status: int = 200, warnings: Sequence[str] = (), content_type: str = "application/json"
) -> web.Response:
    """Return a JSON reply; `warnings` travel in `Warning` headers (RFC 9111 §5.5, code 299)."""
    reply = web.Response(body=encode(value), status=status)
    reply.headers["Content-Type"] = content_type
    for warning in warnings[:MAX_WARNINGS]:
        text = warning.replace("\\", "\\\\").replace('"', '\\"')
        reply.headers.add("Warning", f'299 - "{text}"')
    return reply


def list_reply(head: Object, items: Sequence[bytes]) -> web.Response:
    """Return a list whose `items`, empty in `head` and last there, are JSON already."""
    begin = encode(head).removesuffix(b"]}\n")
    return web.Response(body=b"".join((begin, b",".join(items), b"]}\n")), content_type="application/json")


def error_reply(error: ApiError) -> web.Response:
    """Return the `Status` of a failure."""
    reply = json_reply(status_of(error), error.code, error.warnings)
    retry_after = error.details.get("retryAfterSeconds")
    if retry_after:
        reply.headers["Retry-After"] = str(retry_after)
    return reply


def success(details: Object) -> Object:
    """Return the `Status` of a verb that leaves no object."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
