"""Who runs the pods, as the API sees it: the runtime, or in a test of the API alone a stand-in with one container."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Protocol

from eventmesh.cluster.runtime.logs import LogQuery
from eventmesh.cluster.runtime.process import Process
from eventmesh.cluster.runtime.sessions import Session


class PodHost(Protocol):
    """What the subresources of a pod are answered from. An empty `container` is the one that requests go to."""

    def read_log(self, namespace: str, pod: str, container: str, query: LogQuery) -> AsyncIterator[bytes]:
        """Return the text of a container's log.

        Raises ApiError when there is no such container, or no run of it to read from.
        """
        ...

    async def open_session(
        self, namespace: str, pod: str, container: str, argv: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Session:
        """Run `argv` in a container and return its streams.

        Raises ApiError when there is no such container, MeshError when it or the program does not run.
        """
        ...

    def attach(self, namespace: str, pod: str, container: str) -> tuple[AsyncIterator[bytes], Process]:
        """Return what a container writes from now on, and its process; raises as `open_session`."""
        ...

    async def dial(self, namespace: str, pod: str, port: int) -> socket.socket:
        """Return a connection to `port` of a pod; raises ApiError for a pod that is not there, UnavailableError."""
        ...
