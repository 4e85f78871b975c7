"""Asks what a probe asks, with real sockets and processes; what the answers mean is `probe`'s.

A probe goes where the sidecar goes: to the loopback of the pod's own network. A pod without one is asked at its address
in the host's network. The words of a failure are the kubelet's (`kubernetes/pkg/probe`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup, first_of
from eventmesh.cluster.runtime.commands import Place
from eventmesh.cluster.runtime.probe import Exec, GrpcHealth, HttpGet, Outcome, Probe, TcpSocket
from eventmesh.cluster.runtime.process import Command, ProcessLauncher

MAX_OUTPUT_BYTES: Final = 10 * 1024
"""What is kept of an answer or of a program's output; the kubelet's own limit."""

USER_AGENT: Final = "kube-probe/1.32"

_LOOPBACK: Final = ("", "127.0.0.1", "localhost")
_HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_SERVING_STATUS: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_RELAY_BYTES: Final = 64 * 1024


@frozen
class Asker:
    """Asks the containers of one pod."""

    place: Place
    named_port: int
    """The port of the pod's function as its spec says; on the host's network it really listens on `place.port`."""
    isolated: bool
    """Whether the function listens on a loopback: the pod's own, or the host's when pods cannot have their own."""
    launcher: ProcessLauncher
    command: Callable[[str], Command]
    """What runs a container; a probe's program runs in the same surroundings."""

    async def ask(self, container: str, probe: Probe) -> Outcome:
        """Return the answer; a failure of any kind is one too."""
        action = probe.action
        try:
            if isinstance(action, Exec):
                return await self._exec(container, action.argv, probe.timeout_s)
            async with asyncio.timeout(probe.timeout_s):
                match action:
                    case HttpGet():
                        return await self._http(action)
                    case TcpSocket(port, host):
                        (await self._connect(host, port)).close()
                        return Outcome(True)
                    case GrpcHealth():
                        return await self._grpc(action)
        except TimeoutError:
            return Outcome(False, _timed_out(probe))
        except (MeshError, OSError) as error:
            return Outcome(False, str(error))

    async def dial(self, port: int) -> socket.socket:
        """Return a connection to `port` of the pod, not blocking; raises UnavailableError in the kernel's words."""
        try:
            return await self._connect("", port)
        except UnavailableError:
            if self.place.network is None:
                raise
            # The sidecar listens on the pod's address, in the host's network.
            with suppress(UnavailableError):
                return await self._connect(self.place.address, port)
            raise

    async def _connect(self, host: str, port: int) -> socket.socket:
        address, port = self._target(host, port)
        if host in _LOOPBACK and self.place.network is not None:
            opened = await self.launcher.open_socket(self.place.network)
        else:
            opened = socket.socket()
            opened.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(opened, (address, port))
        except BaseException as error:
            opened.close()
            if isinstance(error, OSError):
                # asyncio puts words of its own in the place of the kernel's.
                reason = os.strerror(error.errno).lower() if error.errno else str(error)
                raise UnavailableError(f"dial tcp {address}:{port}: connect: {reason}") from None
            raise
        return opened

    def _target(self, host: str, port: int) -> tuple[str, int]:
        if host not in _LOOPBACK:
            return host, port
        if not self.isolated:
            return self.place.address, port
        moved = self.place.network is None and port == self.named_port
        return "127.0.0.1", self.place.port.number if moved else port

    # -- how each kind is asked

    async def _http(self, action: HttpGet) -> Outcome:
        address, port = self._target(action.host, action.port)
        url = f"{'https' if action.tls else 'http'}://{address}:{port}{action.path}"
        try:
            opened = await self._connect(action.host, action.port)
        except UnavailableError as error:
            return Outcome(False, f'Get "{url}": {error}')
        # As the kubelet: a probe does not care whose certificate it is.
        context = ssl._create_unverified_context() if action.tls else None  # noqa: S323
        reader, writer = await asyncio.open_connection(
            sock=opened, limit=MAX_OUTPUT_BYTES, ssl=context, server_hostname=address if context else None
        )
        try:
            writer.write(_request(action, f"{address}:{port}"))
            line = (await reader.readline()).split(b" ", 2)
        except ValueError:
            return Outcome(False, f'Get "{url}": the answer is no HTTP')
        finally:
            await _close(writer)
        if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():
            return Outcome(False, f'Get "{url}": {"EOF" if not line[0] else "malformed HTTP response"}')
        status = int(line[1])
        return Outcome(200 <= status < 400, f"HTTP probe failed with statuscode: {status}")

    async def _grpc(self, action: GrpcHealth) -> Outcome:
        # Few pods have such a probe, and it is most of what a process without one would import.
        import grpc
        import grpc.aio

        async with self._grpc_target(action.port) as target, grpc.aio.insecure_channel(target) as channel:
            check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_HEALTH_CHECK)
            service = action.service.encode()
            try:
                reply: bytes = await check(b"\x0a" + bytes([len(service)]) + service if service else b"")
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return Outcome(False, "this server does not implement the grpc health protocol")
                return Outcome(False, f"rpc error: code = {error.code().name} desc = {error.details()}")
        # HealthCheckResponse{status = 1}: an absent field is 0.
        status = reply[1] if len(reply) == 2 and reply[0] == 0x08 else 0
        word = _SERVING_STATUS[status] if status < len(_SERVING_STATUS) else str(status)
        return Outcome(word == "SERVING", f'service unhealthy (responded with "{word}")')

    @asynccontextmanager
    async def _grpc_target(self, port: int) -> AsyncIterator[str]:
        """Yield an address for gRPC's own client, which can only dial in the host's network by itself."""
        if self.place.network is None:
            address, port = self._target("", port)
            yield f"ipv4:{address}:{port}"
            return
        (await self._connect("", port)).close()
        # A directory that nobody else may enter, as the pod's network is nobody else's.
        with tempfile.TemporaryDirectory(prefix="eventmesh-") as directory:
            path = str(Path(directory) / "grpc")
            relays = TaskGroup("grpc-probe")

            def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                relays.spawn("relay", self._relay(port, reader, writer))

            server = await asyncio.start_unix_server(accepted, path)
            try:
                yield f"unix:{path}"
            finally:
                server.close()
                await server.wait_closed()
                await relays.stop()

    async def _relay(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(MeshError, OSError):
                inner_reader, inner_writer = await asyncio.open_connection(sock=await self._connect("", port))
                try:
                    await first_of(_copy(reader, inner_writer), _copy(inner_reader, writer))
                finally:
                    await _close(inner_writer)
        finally:
            await _close(writer)

    async def _exec(self, container: str, argv: tuple[str, ...], timeout_s: float) -> Outcome:
        command = replace(self.command(container), argv=argv)
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            process = await self.launcher.spawn(command, writing, writing, self.place.network)
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(writing)
        try:
            async with asyncio.timeout(timeout_s):
                output = await _first_bytes(reader)
                code = await process.exited
        finally:
            transport.close()
            if not process.exited.done():
                await self.launcher.signal(process, signal.SIGKILL)
        return Outcome(code == 0, output.decode("utf-8", "replace").strip())


async def _first_bytes(reader: asyncio.StreamReader) -> bytes:
    """Return the beginning of what comes until the end, all of which is read so that its writer never waits."""
    kept = b""
    while chunk := await reader.read(_RELAY_BYTES):
        kept += chunk[: MAX_OUTPUT_BYTES - len(kept)]
    return kept


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_RELAY_BYTES):
        writer.write(data)
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close at once, and return when the socket is gone: nothing of a probe outlives it."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def _request(action: HttpGet, authority: str) -> bytes:
    headers = {"host": authority, "user-agent": USER_AGENT, "accept": "*/*", "connection": "close"}
    headers |= {name.lower(): value for name, value in action.headers}
    lines = [f"GET {action.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def _timed_out(probe: Probe) -> str:
    if isinstance(probe.action, Exec):
        return f'command timed out: "{" ".join(probe.action.argv)}" timed out after {probe.timeout_s:g}s'
    return f"no answer within {probe.timeout_s:g}s"
