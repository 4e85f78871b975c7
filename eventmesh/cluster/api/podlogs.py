"""`pods/log`: what a container wrote, as the runtime kept it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from aiohttp import web

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.paths import flag, number
from eventmesh.cluster.runtime.logs import LogQuery


def log_query(parameters: Mapping[str, str], now: datetime) -> LogQuery:
    """Return what the query parameters of `pods/log` ask for; raises 400."""
    since_s, since_time = number(parameters, "sinceSeconds"), parameters.get("sinceTime")
    if since_s is not None and since_time:
        raise errors.bad_request("at most one of sinceSeconds and sinceTime may be given")
    since = None
    if since_s is not None:
        since = now - timedelta(seconds=since_s)
    elif since_time:
        since = _moment(since_time)
    return LogQuery(
        tail_lines=number(parameters, "tailLines"),
        since=since,
        timestamps=flag(parameters, "timestamps"),
        limit_bytes=number(parameters, "limitBytes"),
        previous=flag(parameters, "previous"),
        follow=flag(parameters, "follow"),
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise errors.bad_request(f'sinceTime "{text}" is not an RFC 3339 time')
    return moment


async def send_log(request: web.Request, text: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send `text` as it comes, until it ends or the client leaves."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        async for part in text:
            await response.write(part)
        await response.write_eof()
    except ConnectionError:
        pass  # the client has read enough
    return response
