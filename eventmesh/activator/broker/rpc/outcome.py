"""What a call came to, in the words of any protocol."""

from __future__ import annotations

from typing import Final

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen

MAX_RESULT_BYTES: Final = 1_048_576
"""Longest result: it becomes an event, and by default no longer one is taken in (`ingress.MAX_EVENT_BYTES`)."""

NEVER: Final = 422
"""Counts as an answer that nobody tries again: the same call will never succeed."""


class NotCallable(MeshError):
    """An event is no call of its method; no attempt changes that."""


@frozen
class Result:
    """What a method returned; no data, and there is no reply."""

    data: bytes
    content_type: str = ""
    """Empty: that of the cause."""
