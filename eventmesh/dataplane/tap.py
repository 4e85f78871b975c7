"""The admin page `/tap`: exchanges as they pass, for `eventmesh tap`. One person at a time, and only while they ask.

A look is opened by the first question, and every further one renews it. Secrets are left out here, before anything
leaves the process.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.model.share import MILLION
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core._core import Request

LEASE_S: Final = 5.0
"""A look that nobody has asked about for so long is over: who looked has gone."""

PATIENCE_S: Final = 1.0
"""So long a question waits for something to be seen."""

MAX_EXCHANGES: Final = 10_000
"""Most exchanges of one look."""

MAX_BODY_BYTES: Final = 4_096
"""Most bytes of each body (the core's own limit)."""

_OWN_LISTENERS: Final = ("admin", "queue-admin", "stat")
"""What serves the process itself, these very questions included."""

_STEP_S: Final = 0.05
_JSON: Final = (("content-type", "application/json"),)
_REDACTED: Final = "[redacted]"

_SECRET_FIELDS: Final = frozenset(
    ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-auth-token")
    + ("x-amz-security-token", "x-goog-iap-jwt-assertion", "x-vault-token", "x-csrf-token")
)
_SECRET_WORD: Final = re.compile(
    r"token|secret|passw|pwd|api[-_]?key|sig(nature)?$|credential|session|^code$|^key$", re.I
)
"""Fields and parameters of a query whose values are nobody's business."""


def redacted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be shown of one exchange: without the values of headers and parameters that look like secrets."""
    shown = dict(row)
    for name in ("request_headers", "response_headers"):
        shown[name] = [[field, _REDACTED if _is_secret(field) else value] for field, value in row[name]]
    path, question, query = str(row["path"]).partition("?")
    shown["path"] = path + question + "&".join(_parameter(pair) for pair in query.split("&")) if question else path
    return shown


def _is_secret(field: str) -> bool:
    return field in _SECRET_FIELDS or _SECRET_WORD.search(field) is not None


def _parameter(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={_REDACTED}" if equals and _SECRET_WORD.search(name) else pair


class Source(Protocol):
    """What is looked at: an engine, or those of several workers."""

    async def look(self, terms: bytes) -> None:
        """Look at exchanges that begin from now on. Raises ValueError naming the term that is wrong."""

    async def look_away(self) -> None:
        """Look no more."""

    async def seen(self) -> tuple[list[bytes], int, bool]:
        """Return what was seen since the last call (`Engine.take_tap`)."""
        ...


class EngineSource:
    """The engine of this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def look(self, terms: bytes) -> None:
        """Look at exchanges that begin from now on. Raises ValueError naming the term that is wrong."""
        self._engine.tap(terms)

    async def look_away(self) -> None:
        """Look no more."""
        self._engine.untap()

    async def seen(self) -> tuple[list[bytes], int, bool]:
        """Return what was seen since the last call."""
        return self._engine.take_tap()


class TapPage:
    """Answers GET /tap with what has passed since the last question."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._left = 0
        self._session = ""
        self._asked_at = 0.0
        self._tasks = TaskGroup("tap")

    async def handle(self, request: Request) -> Reply:
        """Return rows, how many were lost, and whether that is all; 400 for a wrong term, 409 while another looks."""
        if request.method != "GET":
            return Reply.text(405, "/tap takes GET\n")
        _, _, query = request.path.partition("?")
        given = {name: values for name, values in parse_qs(query, keep_blank_values=True).items()}
        session = given.pop("session", [""])[0]
        if self._session and session != self._session:
            return Reply.text(409, "somebody looks already; it is over a moment after they have gone\n")
        if not self._session:
            if session:
                return Reply.text(410, "this look is over\n")
            session = self._session = secrets.token_hex(8)
            try:
                terms = read_terms(given)
                await self._source.look(json.dumps(terms).encode())
            except (ConfigError, ValueError) as error:
                self._session = ""
                return Reply.text(400, f"{error}\n")
            self._left = int(terms["most"])
            self._asked_at = self._clock.monotonic()
            self._tasks.spawn("lease", self._watch(self._session))
        return await self._look()

    async def _look(self) -> Reply:
        session, began = self._session, self._clock.monotonic()
        self._asked_at = began
        rows, lost, over = await self._source.seen()
        while not rows and not over and self._clock.monotonic() < began + PATIENCE_S:
            await self._clock.sleep(_STEP_S)
            rows, more, over = await self._source.seen()
            lost += more
        self._asked_at = self._clock.monotonic()
        # Each of several engines gives as many as one alone would, in its own order.
        shown = sorted((redacted(json.loads(row)) for row in rows), key=_ended_at)[: self._left]
        self._left -= len(shown)
        if over := over or not self._left:
            await self._end(session)
        body = {"session": session, "rows": shown, "lost": lost, "over": over}
        return Reply(200, _JSON, json.dumps(body).encode())

    async def _watch(self, session: str) -> None:
        while self._session == session:
            await self._clock.sleep(LEASE_S / 2)
            if self._session == session and self._clock.monotonic() > self._asked_at + LEASE_S:
                await self._end(session)

    async def _end(self, session: str) -> None:
        if self._session == session:
            self._session = ""
            await self._source.look_away()


def _ended_at(row: Mapping[str, Any]) -> float:
    return float(row["at"]) + float(row["took_s"])


def read_terms(given: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the terms of a look out of a query (`Engine.tap`). Raises ConfigError naming the parameter."""
    unknown = given.keys() - {"method", "host", "path", "header", "status", "percent", "body", "max"}
    if unknown:
        raise ConfigError(min(unknown), "no such parameter")
    one = {name: values[-1] for name, values in given.items()}
    return {
        "method": one.get("method", ""),
        "host": one.get("host", ""),
        "path": one.get("path", ""),
        "headers": [header.partition("=")[::2] for header in given.get("header", ())],
        "without": _OWN_LISTENERS,
        "statuses": _statuses(one.get("status", "")),
        "millionths": round(_number(one, "percent", 100.0, 0.0, 100.0) * MILLION / 100),
        "body_bytes": int(_number(one, "body", 0, 0, MAX_BODY_BYTES)),
        "most": int(_number(one, "max", MAX_EXCHANGES, 1, MAX_EXCHANGES)),
    }


def _statuses(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    if re.fullmatch(r"[1-5]xx", text):
        first = int(text[0]) * 100
        return first, first + 99
    if text == "0" or re.fullmatch(r"[1-5]\d\d", text):
        return int(text), int(text)
    raise ConfigError("status", f"{text!r} is neither a status such as 503 nor a class such as 5xx")


def _number(given: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = given.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(name, f"{text!r} is no number") from None
    if not least <= value <= most:
        raise ConfigError(name, f"{text} is out of range; accepted are {least:g} to {most:g}")
    return value
