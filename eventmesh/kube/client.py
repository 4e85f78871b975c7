"""`Api` over HTTP: the embedded API of another process, or a cluster's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from typing import Any

import aiohttp

from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import (
    ApiError,
    EventType,
    Object,
    ObjectList,
    PatchType,
    Propagation,
    Resource,
    WatchEvent,
)
from eventmesh.kube.config import ClientConfig
from eventmesh.kube.resources import POD

REQUEST_TIMEOUT_S = 30.0
"""An API server gives up on a request after 60 s; a controller had better try again sooner."""
WATCH_S = 300
"""How long a watch is asked for; renewed after that, so that a half-dead connection is noticed."""
WATCH_GRACE_S = 30.0
"""How much longer than asked a watch may last, in silence, before the connection is given up."""
PAGE_ITEMS = 500
"""Objects a page, as kubectl asks: an API server then need not hold a big list in memory at once."""
MAX_EVENT_BYTES = 8 * 1024 * 1024
"""One line of a watch: an object (1.5 MiB at most, twice that as escaped JSON) with room to spare."""
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
UNKNOWN_PATH = "PathNotFound"
"""The reason given to a 404 that is not about an object: the server does not serve the kind."""


class HttpApi:
    """The verbs over HTTP. Close it when done; connections are pooled until then."""

    def __init__(self, config: ClientConfig, user_agent: str = "eventmesh") -> None:
        self._config = config
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection; watches end."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return the object; raises ApiError NotFound."""
        return await self._call("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """Return every matching object as of one version."""
        query = _query(labelSelector=label_selector, fieldSelector=field_selector, limit=str(PAGE_ITEMS))
        items: list[Object] = []
        while True:
            page = await self._call("GET", resource.path(namespace), query=query)
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            query = {**query, "continue": metadata["continue"]}
        for item in items:
            # Items of built-in lists do not carry their kind; every other object does.
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return ObjectList(items, metadata.get("resourceVersion", ""))

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Yield changes after `resource_version` until the server ends the watch, bookmarks among them."""
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(WATCH_S),
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT_S, sock_read=WATCH_S + WATCH_GRACE_S)
        try:
            async with self._open("GET", resource.path(namespace), query, None, None, timeout) as response:
                await _require_success(response)
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def create(
        self, resource: Resource, obj: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Create and return the stored object, or what a subresource of the named object answers."""
        space = namespace or obj.get("metadata", {}).get("namespace")
        name = obj["metadata"]["name"] if subresource else None
        path = resource.path(space, name, subresource)
        return await self._call("POST", path, body={**_typed(resource), **obj})

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """Replace the object (or a subresource of it) and return it as stored."""
        metadata = obj["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._call("PUT", path, body={**_typed(resource), **obj})

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: object,
        namespace: str | None = None,
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str | None = None,
    ) -> Object:
        """Patch the object (or a subresource of it) and return what is stored."""
        path = resource.path(namespace, name, subresource)
        return await self._call("PATCH", path, body=patch, content_type=patch_type.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete the object, or have it marked deleting while somebody holds it."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation.value}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._call("DELETE", resource.path(namespace, name), body=options)

    async def pod_log(self, name: str, namespace: str, container: str = "", *, timestamps: bool = False) -> str:
        """Return what a container of a pod (the first one by default) has written; raises ApiError NotFound.

        With `timestamps` each line begins with the time at which it was written (RFC 3339) and a space.
        """
        query = {"container": container} if container else {}
        if timestamps:
            query["timestamps"] = "true"
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        try:
            async with self._open("GET", POD.path(namespace, name, "log"), query, None, None, timeout) as response:
                await _require_success(response)
                text: str = await response.text(errors="replace")
                return text
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unavailable(error) from error

    # -- one exchange

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Object:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        data = None if body is None else BytesIO(json.dumps(body, separators=(",", ":")).encode())
        try:
            async with self._open(method, path, query or {}, data, content_type, timeout) as response:
                await _require_success(response)
                result: Object = json.loads(await response.read())
                return result
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        data: BytesIO | None,
        content_type: str | None,
        timeout: aiohttp.ClientTimeout,
    ) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": self._user_agent})
        headers = {"Accept": "application/json"}
        if data is not None and content_type is not None:
            headers["Content-Type"] = content_type
        if self._config.token is not None:
            headers["Authorization"] = f"Bearer {self._config.token()}"
        return self._session.request(
            method,
            self._config.server + path,
            params=query,
            data=data,
            headers=headers,
            ssl=self._config.tls if self._config.tls is not None else True,
            timeout=timeout,
        )

    def _unavailable(self, error: Exception) -> UnavailableError:
        return UnavailableError(f"the Kubernetes API at {self._config.server} is not to be had: {error!r}")


def _typed(resource: Resource) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def _query(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


async def _require_success(response: aiohttp.ClientResponse) -> None:
    if response.status >= 400:
        raise _error(response.status, await response.read())


def _error(code: int, body: bytes) -> ApiError:
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return _status_error(status)
    text = body.decode("utf-8", "replace").strip()[:500]
    return ApiError(code, UNKNOWN_PATH if code == 404 else _REASONS.get(code, "Unknown"), text or f"HTTP {code}")


def _status_error(status: Object) -> ApiError:
    code = status.get("code", 500)
    reason = status.get("reason") or _REASONS.get(code, "Unknown")
    return ApiError(code, reason, status.get("message", ""), status.get("details"))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for chunk in content.iter_any():
        if len(buffer) + len(chunk) > MAX_EVENT_BYTES:
            raise UnavailableError(f"a watch event is longer than {MAX_EVENT_BYTES} bytes")
        buffer += chunk
        if b"\n" not in chunk:
            continue
        *lines, rest = bytes(buffer).split(b"\n")
        buffer = bytearray(rest)
        for line in filter(None, lines):
            yield line


def _event(line: bytes) -> WatchEvent:
    event = json.loads(line)
    if event["type"] == "ERROR":
        raise _status_error(event["object"])
    return WatchEvent(EventType(event["type"]), event["object"])
