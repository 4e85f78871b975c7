"""`eventmesh functions run` as a process: every protocol on its one port, an orderly end, errors on one line."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.waiting import WAIT_S

CODE = """
import asyncio
from eventmesh.functions import bolt_function, function, http_function, reply_to

@function
def confirm(event):
    print("seen", event.get_id())
    return reply_to(event, "confirmed", {"order": event.get_data()["order"]})

@http_function(path="/slow")
async def slow(request):
    print("begun")
    await asyncio.sleep(0.3)
    return "late"

@http_function(path="/split")
def split(request):
    from eventmesh.functions import Response
    return Response(200, "", {"x-a": "b\\r\\nx-injected: 1"})

@bolt_function("com.example.Sum:1.0")
def total(call):
    return sum(call.json())
"""


class Process:
    """A started command, with what it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""

    async def read_until(self, pattern: str) -> str:
        """Return the first group of the first line that matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if found := re.search(pattern, line):
                    return found[1]
        raise AssertionError("".join(self.lines))


@asynccontextmanager
async def started(directory: Path, *words: str) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "eventmesh.cli.main", "functions", *words)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Process]:
    (directory / "function.py").write_text(CODE)
    async with started(directory, "run", "--port", "0") as process:
        process.url = "http://" + await process.read_until(r"serving functions=(\S+)")
        yield process


async def test_events_http_2_and_bolt_are_taken_on_one_port(tmp_path: Path) -> None:
    async with serving(tmp_path) as process, aiohttp.ClientSession() as client:
        headers = {"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0"}
        async with client.post(process.url, headers=headers, json={"order": 7}) as answer:
            assert (answer.status, answer.headers["ce-type"]) == (200, "confirmed")
            assert json.loads(await answer.read()) == {"order": 7}
        assert await process.read_until(r"seen (\S+)") == "1"
        host, _, port = process.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(bolt_call(9, "com.example.Sum:1.0", "total", b"[1, 2, 3]"))
        head = await reader.readexactly(20)
        request_id, status, sizes = *struct.unpack(">IxH", head[5:12]), struct.unpack(">HHi", head[12:])
        content = await reader.readexactly(sum(sizes))
        writer.close()
        assert (request_id, status, content[-sizes[2] :]) == (9, 0, b"6")


async def test_what_is_under_way_ends_before_a_process_that_is_told_to_go(tmp_path: Path) -> None:
    async with serving(tmp_path) as process, aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:

        async def ask() -> tuple[int, str]:
            async with client.get(f"{process.url}/slow") as answer:
                return answer.status, await answer.text()

        asked = tasks.create_task(ask())
        await process.read_until("(begun)")
        process.process.send_signal(signal.SIGTERM)
        assert await asked == (200, "late")
        await client.close()
        async with asyncio.timeout(WAIT_S):
            assert await process.process.wait() == 0


async def test_no_header_can_be_smuggled_into_an_answer(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as process,
        aiohttp.ClientSession() as client,
        client.get(f"{process.url}/split", timeout=aiohttp.ClientTimeout(WAIT_S)) as answer,
    ):
        assert (answer.status, "x-injected" in answer.headers) == (500, False)


async def test_a_function_that_was_just_begun_runs_as_its_readme_says(tmp_path: Path) -> None:
    async with started(tmp_path, "init", "greeter", "--template", "http") as process:
        out, _ = await asyncio.wait_for(process.process.communicate(), WAIT_S)
        assert process.process.returncode == 0
        assert out.decode().splitlines()[-1] == "greeter/README.md says how to run it"
    async with started(tmp_path / "greeter", "run", "--port", "0") as process, aiohttp.ClientSession() as client:
        url = "http://" + await process.read_until(r"serving functions=(\S+)")
        async with client.get(f"{url}/?name=Ada") as answer:
            assert await answer.json() == {"greeting": "Hello, Ada!"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "absent"), 2, "no directory, no Python file and no MODULE:NAME"),
        (("run", "--host", "nowhere", "--port", "0"), 3, "nowhere"),
        (("init", "Not-A-Name"), 2, "lower-case letters"),
    ],
)
async def test_what_cannot_be_done_is_said_on_one_line(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "function.py").write_text(CODE)
    async with started(tmp_path, *words) as process:
        out, _ = await asyncio.wait_for(process.process.communicate(), WAIT_S)
        assert process.process.returncode == code
        assert out.decode().startswith("eventmesh: ") and said in out.decode()


def bolt_call(number: int, interface: str, method: str, content: bytes) -> bytes:
    pairs = [b"service", interface.encode(), b"sofa_head_method_name", method.encode()]
    headers = b"".join(struct.pack(">i", len(text)) + text for text in pairs)
    sizes = (0, len(headers), len(content))
    return struct.pack(">BBHBIBiHHi", 1, 1, 1, 1, number, 12, 3000, *sizes) + headers + content
