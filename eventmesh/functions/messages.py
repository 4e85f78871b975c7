"""What HTTP and Bolt functions are called with, and how what they return is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import parse_qsl

from eventmesh.base.frozen import frozen


@frozen
class Request:
    """An HTTP request."""

    method: str
    path: str
    """Without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Percent-decoded; of a name that is given twice, the last value."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; values that came apart are joined by commas."""
    body: bytes = b""

    def json(self) -> Any:
        """Return the body, read as JSON. Raises ValueError, which is answered 400 if the function lets it pass."""
        return _json(self.body)

    def text(self) -> str:
        """Return the body as text. Raises ValueError, as `json` does."""
        return self.body.decode()


@frozen
class Response:
    """The answer of an HTTP function that says more than a body."""

    status: int = 200
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@frozen
class Call:
    """A call over Bolt."""

    interface: str
    method: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    def json(self) -> Any:
        """Return the content, read as JSON. Raises ValueError, which the caller is told as a failed call."""
        return _json(self.content)


class UnreadableBody(ValueError):
    """The body is not what the function takes it for: the caller's fault."""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise UnreadableBody(f"the body is not JSON: {error}") from None


def query_of(text: str) -> dict[str, str]:
    """Return the pairs of a query string."""
    return dict(parse_qsl(text, keep_blank_values=True))


def answer_to_http(result: object) -> Response:
    """Return what the result of an HTTP function means. Raises TypeError for what JSON does not know."""
    match result:
        case Response():
            return result
        case None:
            return Response(204)
        case str():
            return Response(200, result, {"content-type": "text/plain; charset=utf-8"})
        case bytes():
            return Response(200, result, {"content-type": "application/octet-stream"})
        case _:
            return Response(200, json.dumps(result, ensure_ascii=False), {"content-type": "application/json"})


def answer_to_bolt(result: object) -> bytes:
    """Return the content that answers a call. Raises TypeError for what JSON does not know."""
    return result if isinstance(result, bytes) else json.dumps(result, ensure_ascii=False).encode()
