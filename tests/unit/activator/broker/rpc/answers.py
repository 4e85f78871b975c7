"""Answers of calls, shaped like the core's Response: trailers stand among the headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from eventmesh.core._core import Response


@dataclass
class Ended:
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    error: str = ""
    frame_status: int = 0


def ended(**said: Any) -> Response:
    return cast("Response", Ended(**said))
