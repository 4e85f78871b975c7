"""`pods/exec` and `pods/attach`: a program's streams as channels of a WebSocket.

After `apimachinery/pkg/util/remotecommand`. Every message begins with the number of its channel. kubectl speaks
version 5, which can tell the end of an input; the Python client version 4, which cannot.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup, first_of
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.paths import Target, flag
from eventmesh.cluster.api.podhost import PodHost
from eventmesh.cluster.runtime.sessions import Session, Stream
from eventmesh.kube.api import ApiError, Object

V5: Final = "v5.channel.k8s.io"
V4: Final = "v4.channel.k8s.io"
PROTOCOLS: Final = (V5, V4)
MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""kubectl sends 32 KiB at once; what is longer than this is refused before it is held in memory."""
DRAIN_S: Final = 0.5
"""How long the streams of an ended program may stay open: a descendant that left its group can hold them for ever."""

CLOSE_S: Final = 1.0
"""How long a client may take to say goodbye in its turn; the Python client never does."""

_STDIN: Final = 0
_ERROR: Final = 3
_RESIZE: Final = 4
_CLOSE: Final = 255
_CHANNEL: Final = {Stream.STDOUT: 1, Stream.STDERR: 2}


@frozen
class StreamOptions:
    """What the query of `exec` and `attach` asks for."""

    container: str
    command: tuple[str, ...]
    stdin: bool
    streams: frozenset[Stream]
    tty: bool


def stream_options(request: web.Request, *, needs_command: bool) -> StreamOptions:
    """Return the options; raises 400 for what cannot be done."""
    query = request.query
    wanted = frozenset(stream for stream in Stream if flag(query, stream.value))
    options = StreamOptions(
        query.get("container", ""), tuple(query.getall("command", ())), flag(query, "stdin"), wanted, flag(query, "tty")
    )
    if needs_command and not options.command:
        raise errors.bad_request("you must specify at least one command for the container")
    if not wanted and not options.stdin:
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if options.tty and Stream.STDERR in wanted:
        raise errors.bad_request("tty and stderr cannot both be true")
    return options


def require_websocket(request: web.Request, protocols: tuple[str, ...]) -> None:
    """Raise 400 unless the client can be answered over a WebSocket with one of `protocols`."""
    if request.method != "GET" or request.headers.get("Upgrade", "").lower() != "websocket":
        raise errors.bad_request(
            "Upgrade request required: this server streams over WebSockets (kubectl 1.31 and later; "
            "exec, cp and attach of 1.29 and 1.30 with KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true)"
        )
    offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if not set(offered) & set(protocols):
        raise errors.bad_request(f"none of the subprotocols {offered} is spoken here; offer one of {list(protocols)}")


async def serve_exec(request: web.Request, target: Target, host: PodHost) -> web.StreamResponse:
    """Run the command that is asked for and carry its streams until it ends; raises ApiError before that begins."""
    options = stream_options(request, needs_command=True)
    require_websocket(request, PROTOCOLS)
    channels = Channels()
    await channels.prepare(request)
    try:
        session = await host.open_session(
            target.namespace, target.name, options.container, options.command, stdin=options.stdin, tty=options.tty
        )
    except MeshError as error:
        # Told over the stream: to another status kubectl answers by asking again in another protocol.
        return await channels.finish(_not_begun(error))
    try:
        with suppress(ConnectionError):
            await first_of(channels.receive(session), channels.send(session, options.streams))
    finally:
        await session.end()
    return channels.socket


async def serve_attach(request: web.Request, target: Target, host: PodHost) -> web.StreamResponse:
    """Carry what a container writes from now on until it ends; its input is closed, as for every container here."""
    options = stream_options(request, needs_command=False)
    require_websocket(request, PROTOCOLS)
    channels = Channels()
    await channels.prepare(request)
    try:
        output, process = host.attach(target.namespace, target.name, options.container)
    except MeshError as error:
        return await channels.finish(_not_begun(error))
    with suppress(ConnectionError):
        await first_of(channels.receive(None), channels.follow(output), _ended(process.exited))
        await channels.finish(_exit_status(process.exited.result() if process.exited.done() else 0))
    return channels.socket


async def _ended(exited: asyncio.Future[int]) -> None:
    await asyncio.shield(exited)
    # The last words of the container are still on their way through its log.
    await asyncio.sleep(DRAIN_S)


class Channels:
    """The WebSocket of one program."""

    def __init__(self) -> None:
        self.socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=MAX_MESSAGE_BYTES, timeout=CLOSE_S)

    async def prepare(self, request: web.Request) -> None:
        """Upgrade, in the newest version that both speak."""
        await self.socket.prepare(request)

    async def receive(self, session: Session | None) -> None:
        """Take in what the client says until it leaves; without a session it is not listened to."""
        async for message in self.socket:
            # The Python client sends what it has as text as a text.
            content = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if not isinstance(content, bytes) or not content or session is None:
                continue
            channel, data = content[0], content[1:]
            if channel == _STDIN:
                await session.write(data)
            elif channel == _RESIZE:
                _resize(session, data)
            elif channel == _CLOSE and data == bytes((_STDIN,)) and self.socket.ws_protocol == V5:
                session.close_input()

    async def send(self, session: Session, wanted: frozenset[Stream]) -> None:
        """Send the program's output, and how it ended."""
        tasks = TaskGroup("exec")
        pumps = [
            tasks.spawn(stream.value, self._pump(session, stream, is_wanted=stream in wanted))
            for stream in session.outputs
        ]
        try:
            status = await session.wait()
            await asyncio.wait(pumps, timeout=DRAIN_S)
        finally:
            await tasks.stop()
        await self.finish(_exit_status(status))

    async def _pump(self, session: Session, stream: Stream, *, is_wanted: bool) -> None:
        with suppress(ConnectionError):
            while data := await session.read(stream):
                if is_wanted:
                    await self.socket.send_bytes(bytes((_CHANNEL[stream],)) + data)

    async def follow(self, output: AsyncIterator[bytes]) -> None:
        """Send `output` as it comes."""
        async for data in output:
            await self.socket.send_bytes(bytes((_CHANNEL[Stream.STDOUT],)) + data)

    async def finish(self, status: Object) -> web.StreamResponse:
        """Tell how it ended, and close."""
        await self.socket.send_bytes(bytes((_ERROR,)) + json.dumps(status).encode())
        await self.socket.close()
        return self.socket


def _resize(session: Session, data: bytes) -> None:
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        size = json.loads(data)
        session.resize(int(size["Width"]), int(size["Height"]))


def _exit_status(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _not_begun(error: MeshError) -> Object:
    if isinstance(error, ApiError):
        return errors.status_of(error)
    return errors.status_of(ApiError(500, "InternalError", f"Internal error occurred: {error}"))
