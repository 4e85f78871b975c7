"""The two servers as a client sees them: a step is put to one, and its answer is remembered for later steps."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.manifests import apply_objects
from eventmesh.cluster.api.patch import merge_patch
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.store.store import Store
from tests.component.processes import program
from tests.peers.tools import tool
from tests.waiting import WAIT_S

JSON = "application/json"
_PLACEHOLDER = re.compile(r"<(name|uid|rv|first|token):([-\w]*)>")


@dataclass(frozen=True, slots=True)
class Step:
    """One request, the same for both sides but for what each has answered before.

    `<name:a>`, `<uid:a>`, `<rv:a>` and `<first:a>` (its first resourceVersion) stand for what the side said of the
    object remembered as `a`, `<token:>` for its last continue token.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    remember: str = ""
    over: str = ""
    """The body is a merge patch on the object remembered so: what a client does that reads, changes and writes."""
    until: str = ""
    """A watch is read up to the first line that has this in it."""

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        said = "" if self.body is None else f" {self.content_type} {json.dumps(self.body)}"
        over = f" over {self.over}" if self.over else ""
        return f"{self.method} {self.path}?{query}{said}{over} (Accept: {self.accept})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is JSON, a list of JSON lines of a watch, or text."""

    code: int
    media: str
    warnings: tuple[str, ...]
    body: Any


class Side:
    """One server, and what it has said in the current history."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.known: dict[str, dict[str, Any]] = {}
        self._first: dict[str, str] = {}
        self._token = ""

    def forget(self) -> None:
        """Begin a history."""
        self.known, self._first, self._token = {}, {}, ""

    async def take(self, step: Step) -> Answer:
        """Put `step` to the server."""
        body = step.body
        if step.over:
            body = merge_patch(self.known.get(step.over, {}), body)
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = {"Content-Type": step.content_type, "Accept": step.accept}
        query = {name: self._filled(value) for name, value in step.query.items()}
        async with self._session.request(
            step.method, self._url + self._filled(step.path), params=query, data=self._filled(data), headers=headers
        ) as reply:
            if step.until and reply.status == 200:
                said: Any = await _lines(reply, step.until)
            else:
                text = await reply.text()
                said = json.loads(text) if reply.content_type == JSON else text
            warnings = tuple(reply.headers.getall("Warning", ()))
            answer = Answer(reply.status, reply.content_type, warnings, said)
        self._learn(step, answer)
        return answer

    def _learn(self, step: Step, answer: Answer) -> None:
        if not isinstance(answer.body, dict) or answer.code >= 300:
            return
        metadata = answer.body.get("metadata", {})
        self._token = metadata.get("continue", "")
        if step.remember and "uid" in metadata and "dryRun" not in step.query and not _is_dry(step.body):
            self.known[step.remember] = answer.body
            self._first.setdefault(step.remember, metadata["resourceVersion"])

    def _filled(self, text: Any) -> Any:
        return _PLACEHOLDER.sub(self._value, text) if isinstance(text, str) else text

    def _value(self, match: re.Match[str]) -> str:
        what, who = match.groups()
        if what == "token":
            return self._token
        metadata = self.known.get(who, {}).get("metadata", {})
        match what:
            case "first":
                return self._first.get(who, "1")
            case "rv":
                return str(metadata.get("resourceVersion", "1"))
            case "uid":
                return str(metadata.get("uid", "no-uid"))
            case _:
                return str(metadata.get("name", who))


def _is_dry(body: Any) -> bool:
    return isinstance(body, dict) and "dryRun" in body


async def _lines(reply: aiohttp.ClientResponse, until: str) -> list[Any]:
    lines = []
    async for line in reply.content:
        lines.append(json.loads(line))
        if until in line.decode():
            break
    return lines


@asynccontextmanager
async def embedded_side(directory: Path, namespaces: list[str]) -> AsyncIterator[Side]:
    """Serve the embedded API on a free port: without its garbage collector, for the oracle has none."""
    clock = SystemClock()
    store = Store(directory / "store", clock)
    api = EmbeddedApi(store, clock)
    apply_objects(
        api.registry, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in namespaces]
    )
    server = ApiServer(api, ("127.0.0.1", 0), directory / "tls")
    await server.start()
    try:
        async with _session({"Authorization": f"Bearer {server.credentials.token}"}) as session:
            yield Side(session, server.url)
    finally:
        await server.stop()
        store.close()


@asynccontextmanager
async def oracle_side(directory: Path) -> AsyncIterator[Side]:
    """Run Kubernetes' own server of custom resources."""
    directory.mkdir()
    async with program(
        tool("api-oracle"), "-data", str(directory), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            said = (await process.stdout.readline()).decode().split()
        assert said[:1] == ["serving"], "the oracle ended without serving"
        async with _session({}) as session:
            yield Side(session, said[1])


def _session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    # The certificates are of this run, and both servers are our own children.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        headers={"User-Agent": "history/1", **headers},
        timeout=aiohttp.ClientTimeout(total=WAIT_S),
    )
