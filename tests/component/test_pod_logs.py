"""`pods/log` over HTTP, from the files that the runtime writes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api.podlogs import log_query
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.runtime.logs import ContainerLog, LogQuery
from eventmesh.cluster.runtime.process import Process
from eventmesh.cluster.runtime.sessions import Session
from eventmesh.kube.api import ApiError
from eventmesh.kube.resources import POD
from tests.component.embedded_api import embedded
from tests.waiting import WAIT_S

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATH = "/api/v1/namespaces/default/pods/p/log"


class OneContainer:
    """The log of one container, for whichever pod is asked for."""

    def __init__(self, log: ContainerLog) -> None:
        self._log = log

    def read_log(self, namespace: str, pod: str, container: str, query: LogQuery) -> AsyncIterator[bytes]:
        if container not in ("", "main"):
            raise ApiError(400, "BadRequest", f"container {container} is not valid for pod {pod}")
        return self._log.read(query)

    async def open_session(
        self, namespace: str, pod: str, container: str, argv: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Session:
        raise UnavailableError("nothing runs here")

    def attach(self, namespace: str, pod: str, container: str) -> tuple[AsyncIterator[bytes], Process]:
        raise UnavailableError("nothing runs here")

    async def dial(self, namespace: str, pod: str, port: int) -> socket.socket:
        raise UnavailableError("nothing runs here")


@pytest.fixture
async def log(tmp_path: Path) -> ContainerLog:
    return ContainerLog(tmp_path / "log", SystemClock())


@pytest.fixture
async def http(tmp_path: Path, log: ContainerLog) -> AsyncIterator[aiohttp.ClientSession]:
    async with embedded(tmp_path) as api:
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "i"}]}}
        await api.in_process().create(POD, pod, "default")
        server = ApiServer(api, ("127.0.0.1", 0), tmp_path / "tls", OneContainer(log))
        await server.start()
        headers = {"Authorization": f"Bearer {server.credentials.token}"}
        connector = aiohttp.TCPConnector(ssl=False)
        async with aiohttp.ClientSession(server.url, headers=headers, connector=connector) as session:
            yield session
        await server.stop()


async def text(http: aiohttp.ClientSession, path: str = PATH) -> tuple[int, str]:
    async with asyncio.timeout(WAIT_S), http.get(path) as response:
        return response.status, await response.text()


async def test_text_and_tail(http: aiohttp.ClientSession, log: ContainerLog) -> None:
    run = log.open_run()
    pipe = run.pipe("stdout")
    os.write(pipe, b"one\ntwo\nthree\n")
    os.close(pipe)
    await run.ended()
    assert await text(http) == (200, "one\ntwo\nthree\n")
    assert await text(http, f"{PATH}?container=main&tailLines=1") == (200, "three\n")
    assert await text(http, f"{PATH}?limitBytes=4") == (200, "one\n")


async def test_follower_reads_on_until_the_pod_is_gone(http: aiohttp.ClientSession, log: ContainerLog) -> None:
    run = log.open_run()
    pipe = run.pipe("stdout")
    os.write(pipe, b"before\n")
    async with asyncio.timeout(WAIT_S), http.get(f"{PATH}?follow=true") as response:
        assert await response.content.readline() == b"before\n"
        os.write(pipe, b"after\n")
        assert await response.content.readline() == b"after\n"
        os.close(pipe)
        await run.ended()
        log.close()
        assert await response.content.read() == b""


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (PATH.replace("/p/", "/missing/"), 404),
        (f"{PATH}?container=other", 400),
        (f"{PATH}?tailLines=some", 400),
        (f"{PATH}?sinceTime=yesterday", 400),
        (f"{PATH}?sinceTime=2026-01-01T00:00:00Z&sinceSeconds=5", 400),
    ],
)
async def test_impossible_questions_are_answered_as_failures(http: aiohttp.ClientSession, path: str, code: int) -> None:
    status, body = await text(http, path)
    assert status == code and '"kind":"Status"' in body


def test_query_parameters_are_read_as_kubectl_writes_them() -> None:
    query = log_query({"sinceSeconds": "60", "timestamps": "true", "previous": "true"}, NOW)
    assert query == LogQuery(since=NOW - timedelta(seconds=60), timestamps=True, previous=True)
    assert log_query({"sinceTime": "2026-01-01T00:00:00Z"}, NOW).since == NOW


@pytest.mark.parametrize(
    ("subresource", "words"),
    [
        ("exec?stdout=1", "at least one command"),
        ("exec?command=ls", "at least 1 of stdin, stdout, stderr"),
        ("exec?command=ls&stderr=1&tty=1", "tty and stderr cannot both be true"),
        ("exec?command=ls&stdout=1", "Upgrade request required"),
        ("attach?stdout=1", "Upgrade request required"),
        ("portforward", "Upgrade request required"),
    ],
)
async def test_streams_that_cannot_be_had_are_refused_in_words(
    http: aiohttp.ClientSession, subresource: str, words: str
) -> None:
    path = PATH.removesuffix("log") + subresource
    for method in ("GET", "POST"):
        async with http.request(method, path) as response:
            assert response.status == 400 and words in (await response.json())["message"]


async def test_stream_in_an_unknown_protocol_is_refused(http: aiohttp.ClientSession) -> None:
    path = PATH.removesuffix("log") + "exec?command=ls&stdout=1"
    with pytest.raises(aiohttp.WSServerHandshakeError) as failure:
        await http.ws_connect(path, protocols=("v9.channel.k8s.io",))
    assert failure.value.status == 400


async def test_failure_to_begin_comes_over_the_stream(http: aiohttp.ClientSession) -> None:
    path = PATH.removesuffix("log") + "exec?command=ls&stdout=1"
    async with http.ws_connect(path, protocols=("v4.channel.k8s.io",)) as stream:
        message = await stream.receive_bytes()
        assert stream.protocol == "v4.channel.k8s.io"
        assert message[:1] == b"\x03" and b"nothing runs here" in message
